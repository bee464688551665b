//! [`TypedClaims`]: the claims of a token as types of the application, parsed once for each.

use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::AuthError;

/// The claims as the types that they were asked for as.
#[derive(Default)]
pub(super) struct TypedClaims {
    /// The type that they were first shared as; rarely is there another.
    first: OnceLock<Typed>,
    others: Mutex<Vec<Typed>>,
}

type Typed = Arc<dyn Any + Send + Sync>;

// === impl TypedClaims ===

impl TypedClaims {
    /// The claims as this type: parsed at the first call, shared from then on.
    pub(super) fn shared<C>(&self, json: &str) -> Result<Arc<C>, AuthError>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let as_type = |claims: &Typed| Arc::clone(claims).downcast::<C>().ok();
        if let Some(claims) = self.first.get().and_then(as_type) {
            return Ok(claims);
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        // By now another thread may have put it here or there.
        let known = self
            .first
            .get()
            .into_iter()
            .chain(&*others)
            .find_map(as_type);
        if let Some(claims) = known {
            return Ok(claims);
        }
        let claims = Arc::new(parse::<C>(json)?);
        if let Err(claims) = self.first.set(Arc::clone(&claims) as Typed) {
            others.push(claims);
        }
        Ok(claims)
    }
}

/// Parses the claims. The error names the claim that does not fit, and no value of any.
pub(super) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, AuthError> {
    serde_json::from_str(json).map_err(|error| AuthError::claims_mismatch::<C>(&error, json))
}
