//! Functions that read tokens without verifying them, for clients, debugging and logs of your own tokens.
//! Never base a decision on their results.

use std::time::SystemTime;

use serde::de::DeserializeOwned;

use crate::claims::NumericDate;
use crate::clock::{Clock, unix_seconds};
use crate::codec::{Compact, HEADER_ROOM, Header, MAX_TOKEN_BYTES, Payload};
use crate::error::{AuthError, AuthErrorKind};

/// The content of a token that nobody has verified. Anybody may have written it.
///
/// It cannot be converted to a [`VerifiedToken`](crate::VerifiedToken), and no extractor returns it.
#[derive(Debug, Clone)]
pub struct Unverified<C> {
    claims: C,
    algorithm: String,
    key_id: Option<String>,
    token_type: Option<String>,
}

/// Reads the header and the claims of a token without checking the signature or any claim.
///
/// # Security
///
/// Anybody can write such a token. Do not use it to decide who somebody is or which key or tenant to use, and
/// do not log its content as a fact.
///
/// # Errors
///
/// - [`MalformedToken`](AuthErrorKind::MalformedToken): the text is not a token.
/// - [`UnsupportedAlgorithm`](AuthErrorKind::UnsupportedAlgorithm): the header requires an extension
///   (`crit`), or says that the token is encrypted, compressed or nested.
/// - [`UnknownKey`](AuthErrorKind::UnknownKey): the key id is longer than 256 bytes.
/// - [`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch): the claims do not fit `C`.
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

/// Returns the expiry (`exp`) that an unverified token claims to have, or `None` if it has none.
///
/// # Errors
///
/// - [`MalformedToken`](AuthErrorKind::MalformedToken): the text is not a token.
/// - [`InvalidClaim`](AuthErrorKind::InvalidClaim): `exp` is not a date.
pub fn expires_at(token: &str) -> Result<Option<SystemTime>, AuthError> {
    let Some(exp) = expiry(token)? else {
        return Ok(None);
    };
    exp.to_system_time().map(Some).ok_or_else(not_a_date)
}

/// Returns whether an unverified token has expired according to its `exp`, at the clock's time, without
/// leeway.
///
/// Clients can use it to refresh their tokens in time. A server must not rely on it, because anybody can
/// write a token with any expiry. A token without `exp` counts as not expired.
///
/// # Errors
///
/// Fails in the same cases as [`expires_at`].
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
    AuthError::new(AuthErrorKind::InvalidClaim).because("the token's expiry (`exp`) is not a date")
}

// === impl Unverified ===

impl<C> Unverified<C> {
    /// Returns the claims. Nothing in them has been checked.
    #[must_use]
    pub fn unverified_claims(&self) -> &C {
        &self.claims
    }

    /// Consumes this value and returns the claims. Nothing in them has been checked.
    #[must_use]
    pub fn into_unverified_claims(self) -> C {
        self.claims
    }

    /// Returns the `alg` of the header.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns the `kid` of the header, if it has one.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns the `typ` of the header, if it has one.
    #[must_use]
    pub fn header_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }
}
