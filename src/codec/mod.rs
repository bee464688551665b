//! The compact form (RFC 7515 section 3.1): strictly taken apart, put together.

mod compact;
mod header;
mod json;
mod registered;

pub(crate) use compact::{Compact, MAX_TOKEN_BYTES};
pub(crate) use header::Header;
use header::header_json;
pub(crate) use registered::{Field, Marks, Registered, Text, issuer_of};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::AuthError;
use crate::keys::SigningKey;

/// Signs a payload: `header.payload.signature`.
pub(crate) fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, AuthError> {
    let header = header_json(key, typ);
    // A signature has at most 1024 bytes (RSA with 8192 bits), most have 32 or 64.
    let mut token = String::with_capacity((header.len() + payload.len() + 96) * 4 / 3 + 8);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}
