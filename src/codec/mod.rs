//! The compact form (RFC 7515 section 3.1): strictly taken apart, put together.

mod base64url;
mod compact;
mod confirmation;
mod header;
mod json;
mod marks;
mod proof;
mod registered;
mod shape;

pub(crate) use compact::{Compact, HEADER_ROOM, MAX_TOKEN_BYTES};
pub(crate) use confirmation::Confirmation;
use header::header_json;
pub(crate) use header::{Header, Typ};
pub(crate) use json::{NUMBER_MEMBER, Skip};
pub(crate) use marks::Marks;
pub(crate) use proof::{ProofClaims, ProofHeader};
pub(crate) use registered::{Field, Payload};

use crate::error::AuthError;
use crate::keys::SigningKey;

/// Signs a payload: `header.payload.signature`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, AuthError> {
    let header = header_json(key, typ);
    // A signature has at most 1024 bytes (RSA with 8192 bits), most have 32 or 64.
    let mut token = String::with_capacity((header.len() + payload.len() + 96) * 4 / 3 + 8);
    base64url::encode_to(header.as_bytes(), &mut token);
    token.push('.');
    base64url::encode_to(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    base64url::encode_to(&signature, &mut token);
    Ok(token)
}
