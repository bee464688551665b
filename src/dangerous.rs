//! Reading tokens without verifying them: for logs of your own tokens, clients and debugging, never to decide.

use std::time::SystemTime;

use serde::de::DeserializeOwned;

use crate::claims::NumericDate;
use crate::clock::{Clock, unix_seconds};
use crate::codec::{Compact, HEADER_ROOM, Header, MAX_TOKEN_BYTES, Payload};
use crate::error::{AuthError, AuthErrorKind};

/// What a token says, whoever wrote it.
///
/// It cannot become a [`VerifiedToken`](crate::VerifiedToken), and no extractor yields it.
#[derive(Debug, Clone)]
pub struct Unverified<C> {
    claims: C,
    algorithm: String,
    key_id: Option<String>,
    token_type: Option<String>,
}

/// Reads a token's header and claims without checking the signature or anything that it says.
///
/// # Security
///
/// Anyone can write such a token. Decide nothing by it: not who somebody is, not which
/// key or tenant to use, not what to log as a fact.
///
/// # Errors
///
/// [`MalformedToken`](AuthErrorKind::MalformedToken) for text that is no token,
/// [`UnsupportedAlgorithm`](AuthErrorKind::UnsupportedAlgorithm) for a header that demands an extension, and
/// [`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch) for claims that do not fit `C`.
pub fn decode_unverified<C: DeserializeOwned>(token: &str) -> Result<Unverified<C>, AuthError> {
    let parts = Compact::parse(token.as_bytes(), MAX_TOKEN_BYTES)?;
    let mut room = [0; HEADER_ROOM];
    let header_json = parts.header_json(&mut room)?;
    let header = Header::parse(&header_json)?;
    let payload = parts.open_unverified()?;
    let payload = Payload::parse(payload, &[])?;
    let claims = serde_json::from_str(payload.json())
        .map_err(|error| AuthError::claims_mismatch::<C>(&error, payload.json()))?;
    Ok(Unverified {
        claims,
        algorithm: header.alg.into_owned(),
        key_id: header.kid.map(Into::into),
        token_type: header.typ.map(Into::into),
    })
}

/// When a token says that it expires; none if it does not say.
///
/// # Errors
///
/// [`MalformedToken`](AuthErrorKind::MalformedToken) for text that is no token, and
/// [`InvalidClaim`](AuthErrorKind::InvalidClaim) for an `exp` that is no date.
pub fn expires_at(token: &str) -> Result<Option<SystemTime>, AuthError> {
    let Some(exp) = expiry(token)? else {
        return Ok(None);
    };
    exp.to_system_time().map(Some).ok_or_else(not_a_date)
}

/// Whether a token says that it has expired at the clock's time, with no leeway.
///
/// A client uses it to refresh in time. "No" means nothing to a server: anyone can write
/// a token with any expiry. A token that does not say when it expires has not expired.
///
/// # Errors
///
/// As [`expires_at`].
pub fn is_expired(token: &str, clock: &dyn Clock) -> Result<bool, AuthError> {
    let now = unix_seconds(clock);
    Ok(expiry(token)?.is_some_and(|exp| now >= exp.as_secs_f64()))
}

fn expiry(token: &str) -> Result<Option<NumericDate>, AuthError> {
    let payload = Compact::parse(token.as_bytes(), MAX_TOKEN_BYTES)?.open_unverified()?;
    let claims = Payload::parse(payload, &[])?;
    let exp = claims.expires_at();
    if exp.is_wrong() {
        return Err(not_a_date());
    }
    Ok(exp.value().copied())
}

fn not_a_date() -> AuthError {
    AuthError::new(AuthErrorKind::InvalidClaim).because("the token's expiry is not a date")
}

// === impl Unverified ===

impl<C> Unverified<C> {
    /// What the token claims. Nobody has checked a word of it.
    #[must_use]
    pub fn unverified_claims(&self) -> &C {
        &self.claims
    }

    /// The same, by value.
    #[must_use]
    pub fn into_unverified_claims(self) -> C {
        self.claims
    }

    /// The header's `alg`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The header's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The header's `typ`.
    #[must_use]
    pub fn header_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }
}
