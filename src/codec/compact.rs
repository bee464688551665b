//! Takes a token apart: size, alphabet, three parts, canonical base64url; no JSON yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{AuthError, AuthErrorKind};
use crate::keys::VerifyingKey;

/// The longest token that is looked at, in bytes; a header field of most servers ends there too.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest encoded header: 4 KiB of JSON (J37).
const MAX_HEADER_BYTES: usize = 4 * 1024 * 4 / 3;
/// The longest signature: RSA with 8192 bits.
const MAX_SIGNATURE_BYTES: usize = 1024;

/// A token in compact form, its parts still encoded.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    /// What is signed: `header.payload`.
    message: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

// === impl Compact ===

impl<'a> Compact<'a> {
    /// Splits a token of at most `max_bytes`.
    pub(crate) fn parse(token: &'a str, max_bytes: usize) -> Result<Self, AuthError> {
        if token.len() > max_bytes {
            return Err(malformed("the token is too long"));
        }
        // Without a way out in the middle, this is done for many bytes at once.
        let known = token.bytes().fold(true, |known, byte| {
            known & (byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.'))
        });
        if !known {
            return Err(malformed("the token holds a character that none can")); // J34
        }
        let mut found = token.split('.');
        let (Some(header), Some(payload), Some(signature)) =
            (found.next(), found.next(), found.next())
        else {
            return Err(malformed("the token has not three parts"));
        };
        match found.count() {
            0 => {}
            2 => return Err(malformed("the token is encrypted, which is not supported")), // J11
            _ => return Err(malformed("the token has not three parts")),
        }
        let message = &token[..header.len() + 1 + payload.len()];
        let parts = Self {
            message,
            header,
            payload,
            signature,
        };
        if parts.header.len() > MAX_HEADER_BYTES {
            return Err(malformed("the token's header is too long"));
        }
        Ok(parts)
    }

    /// The JSON text of the header.
    pub(crate) fn header_json(&self) -> Result<String, AuthError> {
        decode_text(self.header)
    }

    /// Checks the signature, and only then gives the payload's JSON text away (V9.1.1).
    pub(crate) fn open(&self, key: &VerifyingKey) -> Result<String, AuthError> {
        let mut signature = [0_u8; MAX_SIGNATURE_BYTES];
        // Padding bits that are not zero are refused (J35).
        let length = URL_SAFE_NO_PAD
            .decode_slice(self.signature, &mut signature)
            .map_err(|_| malformed("the token's signature is not base64url"))?;
        let signature = signature.get(..length).unwrap_or_default();
        if !key.verify(self.message.as_bytes(), signature) {
            return Err(AuthErrorKind::InvalidSignature.into());
        }
        self.open_unverified()
    }

    /// The payload's JSON text, whoever may have written it.
    pub(crate) fn open_unverified(&self) -> Result<String, AuthError> {
        decode_text(self.payload)
    }
}

fn decode_text(part: &str) -> Result<String, AuthError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed("a part of the token is not base64url"))?;
    String::from_utf8(bytes).map_err(|_| malformed("a part of the token is not UTF-8")) // J19
}

fn malformed(message: &'static str) -> AuthError {
    AuthError::new(AuthErrorKind::MalformedToken).because(message)
}
