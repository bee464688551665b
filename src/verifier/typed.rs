//! [`TypedClaims`]: the claims of a token as types of the application, parsed once for each.

use std::any::Any;
use std::fmt;
#[cfg(feature = "axum")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::{AuthError, AuthErrorKind};

/// The claims as the types that they were asked for as.
#[derive(Default)]
pub(super) struct TypedClaims {
    /// Whether an extractor has asked for them.
    #[cfg(feature = "axum")]
    asked: AtomicBool,
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

    /// The same by value, for an extractor. Nearly always there is one, so the first that asks
    /// takes what it parses away; from the second on there is something to share.
    #[cfg(feature = "axum")]
    pub(super) fn owned<C>(&self, json: &str) -> Result<C, AuthError>
    where
        C: DeserializeOwned + Clone + Send + Sync + 'static,
    {
        if self.asked.swap(true, Ordering::Relaxed) {
            return self.shared::<C>(json).map(|claims| C::clone(&claims));
        }
        parse(json)
    }
}

fn parse<C: DeserializeOwned>(json: &str) -> Result<C, AuthError> {
    serde_json::from_str(json).map_err(|error| {
        AuthError::new(AuthErrorKind::InvalidClaim)
            .because("the token's claims do not fit the type that the application reads")
            .with_source(ClaimsMismatch::new::<C>(&error))
    })
}

/// Why claims do not fit a type: the message of the parser, without any value from the token.
#[derive(Debug)]
struct ClaimsMismatch {
    type_name: &'static str,
    what: String,
}

impl ClaimsMismatch {
    fn new<C>(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // A missing field's message holds its name alone; others may quote the claim.
        let what = if message.starts_with("missing field `") {
            message
        } else {
            format!("a claim has the wrong type at column {}", error.column())
        };
        Self {
            type_name: std::any::type_name::<C>(),
            what,
        }
    }
}

impl fmt::Display for ClaimsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.type_name, self.what)
    }
}

impl std::error::Error for ClaimsMismatch {}
