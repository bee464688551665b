//! Splits a token: checks its size, its three parts and canonical base64url, but reads no JSON.

use std::borrow::Cow;

use super::base64url;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::keys::VerifyingKey;

/// The default for the longest accepted token, in bytes. Most servers limit a header field to the same size.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest encoded header, in bytes: 4 KiB of JSON.
const MAX_HEADER_BYTES: usize = 4 * 1024 * 4 / 3;
/// The longest signature, in bytes: RSA with 8192 bits.
const MAX_SIGNATURE_BYTES: usize = 1024;

/// The size of the stack buffer for a decoded header, in bytes. A longer header goes to the heap, which is
/// rare.
pub(crate) const HEADER_ROOM: usize = 256;

/// A token in compact form, with its parts still encoded.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    token: &'a [u8],
    /// What is signed: `header.payload`.
    message: &'a [u8],
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

// === impl Compact ===

impl<'a> Compact<'a> {
    /// Splits a token of at most `max_bytes`.
    pub(crate) fn parse(token: &'a [u8], max_bytes: usize) -> Result<Self, AuthError> {
        if token.len() > max_bytes {
            return Err(malformed(&Reason {
                code: "token_too_long",
                message: "the token is too long",
            }));
        }
        let (Some(first), Some(last)) = (memchr::memchr(b'.', token), memchr::memrchr(b'.', token))
        else {
            return Err(why_not_compact(token));
        };
        let parts = (
            token.get(..first),
            token.get(first + 1..last),
            token.get(last + 1..),
        );
        let (Some(header), Some(payload), Some(signature)) = parts else {
            return Err(why_not_compact(token));
        };
        if first > MAX_HEADER_BYTES {
            return Err(malformed(&Reason {
                code: "token_header_too_long",
                message: "the token's header is too long",
            }));
        }
        Ok(Self {
            token,
            message: &token[..last],
            header,
            payload,
            signature,
        })
    }

    /// Returns the header as it is encoded in the token.
    pub(crate) fn encoded_header(&self) -> &'a [u8] {
        self.header
    }

    /// Decodes the header to its JSON text.
    pub(crate) fn header_json<'r>(
        &self,
        room: &'r mut [u8; HEADER_ROOM],
    ) -> Result<Cow<'r, str>, AuthError> {
        if self.header.len() > room.len() {
            return self.decode_text(self.header).map(Cow::Owned);
        }
        let bytes = base64url::decode_into(self.header, room)
            .ok_or_else(|| self.why_not_decoded(&NOT_BASE64URL))?;
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
        Ok(Cow::Borrowed(text))
    }

    /// Checks the signature, and only then returns the JSON text of the payload (OWASP ASVS 5.0 V9.1.1).
    pub(crate) fn open(&self, key: &VerifyingKey) -> Result<String, AuthError> {
        let mut signature = [0_u8; MAX_SIGNATURE_BYTES];
        let signature =
            base64url::decode_into(self.signature, &mut signature).ok_or_else(|| {
                self.why_not_decoded(&Reason {
                    code: "signature_not_base64url",
                    message: "the token's signature is not base64url",
                })
            })?;
        if !key.verify(self.message, signature) {
            self.check_alphabet()?;
            return Err(AuthErrorKind::InvalidSignature.into());
        }
        self.open_unverified()
    }

    /// Returns the JSON text of the payload without a check of the signature: anybody may have written it.
    pub(crate) fn open_unverified(&self) -> Result<String, AuthError> {
        self.decode_text(self.payload)
    }

    /// Fails if the token contains a character outside the base64url alphabet.
    ///
    /// Decoding the parts of a token finds such a character as well. So this check is only made before a token
    /// is refused for another reason, because the character may be the cause.
    #[cold]
    pub(crate) fn check_alphabet(&self) -> Result<(), AuthError> {
        let parts = [self.header, self.payload, self.signature];
        if parts.into_iter().all(is_base64url) {
            return Ok(());
        }
        Err(why_not_compact(self.token))
    }

    fn decode_text(&self, part: &[u8]) -> Result<String, AuthError> {
        let bytes = base64url::decode(part).ok_or_else(|| self.why_not_decoded(&NOT_BASE64URL))?;
        String::from_utf8(bytes).map_err(|_| not_utf8())
    }

    #[cold]
    fn why_not_decoded(&self, otherwise: &'static Reason) -> AuthError {
        let wrong_alphabet = self.check_alphabet().err();
        wrong_alphabet.unwrap_or_else(|| malformed(otherwise))
    }
}

/// Whether all bytes are in the base64url alphabet. It does not stop at the first wrong byte, so that the
/// compiler can check many bytes at once.
fn is_base64url(part: &[u8]) -> bool {
    part.iter().fold(true, |known, byte| {
        known & (byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_'))
    })
}

#[cold]
fn why_not_compact(token: &[u8]) -> AuthError {
    let parts = token.split(|byte| *byte == b'.');
    malformed(if parts.clone().any(|part| part.ends_with(b"=")) {
        &Reason {
            code: "padded_base64url",
            message: "the token's base64url is padded with `=`, which RFC 7515 section 2 forbids: have its issuer \
         leave the padding out (load balancers of AWS write it in `x-amzn-oidc-data`)",
        }
    } else if !parts.clone().all(is_base64url) {
        &Reason {
            code: "foreign_character",
            message: "the token contains a character outside the base64url alphabet",
        }
    } else if parts.count() == 5 {
        &Reason {
            code: "encrypted_token",
            message: "the token is encrypted, which is not supported",
        }
    } else {
        &Reason {
            code: "not_three_parts",
            message: "the token does not have exactly three parts",
        }
    })
}

static NOT_BASE64URL: Reason = Reason {
    code: "not_base64url",
    message: "a part of the token is not base64url",
};

fn not_utf8() -> AuthError {
    malformed(&Reason {
        code: "not_utf8",
        message: "a part of the token is not UTF-8",
    })
}

fn malformed(reason: &'static Reason) -> AuthError {
    AuthError::new(AuthErrorKind::MalformedToken).because(reason)
}
