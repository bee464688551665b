//! [`TypedClaims`]: the claims of a token as types of the application, parsed once per type.

use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::codec::Payload;
use crate::error::AuthError;

/// The claims, in each type in which they were requested.
#[derive(Default)]
pub(super) struct TypedClaims {
    /// The claims in the first type that was requested. A second type is rare.
    first: OnceLock<Typed>,
    others: Mutex<Vec<Typed>>,
}

type Typed = Arc<dyn Any + Send + Sync>;

// === impl TypedClaims ===

impl TypedClaims {
    /// Returns the claims as this type: parsed at the first call, shared from then on.
    pub(super) fn shared<C>(&self, payload: &Payload) -> Result<Arc<C>, AuthError>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let as_type = |claims: &Typed| Arc::clone(claims).downcast::<C>().ok();
        if let Some(claims) = self.first.get().and_then(as_type) {
            return Ok(claims);
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have parsed them meanwhile.
        let known = self
            .first
            .get()
            .into_iter()
            .chain(&*others)
            .find_map(as_type);
        if let Some(claims) = known {
            return Ok(claims);
        }
        let claims = Arc::new(parse::<C>(payload)?);
        if let Err(claims) = self.first.set(Arc::clone(&claims) as Typed) {
            others.push(claims);
        }
        Ok(claims)
    }
}

/// Parses the claims. The error names the claim that does not fit, but contains no claim's value.
pub(super) fn parse<C: DeserializeOwned>(payload: &Payload) -> Result<C, AuthError> {
    let claims = payload.deserialize();
    claims.map_err(|error| AuthError::claims_mismatch::<C>(&error, payload.json()))
}
