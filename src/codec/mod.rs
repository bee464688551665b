//! Reads and writes tokens in compact form (RFC 7515 section 3.1).

mod base64url;
mod compact;
mod confirmation;
mod header;
mod json;
mod marks;
mod proof;
mod registered;
mod shape;
mod table;

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

/// Signs a payload and returns the token, `header.payload.signature`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, AuthError> {
    let header = header_json(key, typ);
    // Most signatures have 32 or 64 bytes; the longest, RSA with 8192 bits, has 1024.
    let mut token = String::with_capacity((header.len() + payload.len() + 96) * 4 / 3 + 8);
    base64url::encode_to(header.as_bytes(), &mut token);
    token.push('.');
    base64url::encode_to(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    base64url::encode_to(&signature, &mut token);
    Ok(token)
}
