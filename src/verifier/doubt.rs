//! [`Doubt`]: a token that no known key verifies, although its source may still fetch one that does.

use super::keys::Keys;
use crate::codec::Header;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::keys::{KeyMiss, VerifyingKey};

/// A token for which no key is known, or whose signature does not match the known key: the issuer may have
/// replaced that key under the same id.
pub(super) struct Doubt {
    key_id: Option<String>,
    alg: String,
    /// The key that did not verify the signature.
    key: Option<VerifyingKey>,
    /// Why the token is refused if there is no other key.
    error: AuthError,
}

// === impl Doubt ===

impl Doubt {
    /// Doubts a token for which there is no key.
    ///
    /// Fails if no other key can change that.
    pub(super) fn missed(miss: KeyMiss, header: &Header<'_>) -> Result<Self, AuthError> {
        let error = match miss {
            KeyMiss::UnsupportedAlgorithm => {
                return Err(AuthErrorKind::UnsupportedAlgorithm.into());
            }
            KeyMiss::Ambiguous => {
                return Err(AuthError::new(AuthErrorKind::UnknownKey).because(&Reason {
                    code: "ambiguous_key",
                    message: "several keys fit the token, and it names none of them by its key id",
                }));
            }
            KeyMiss::OtherAlgorithm => AuthErrorKind::UnsupportedAlgorithm,
            KeyMiss::UnknownKey => AuthErrorKind::UnknownKey,
        };
        Ok(Self::of(header, None, error.into()))
    }

    /// Doubts a token that this key does not verify.
    ///
    /// Fails if the token was refused for another reason than its signature.
    pub(super) fn failed(
        key: VerifyingKey,
        error: AuthError,
        header: &Header<'_>,
    ) -> Result<Self, AuthError> {
        match error.kind() {
            AuthErrorKind::InvalidSignature => Ok(Self::of(header, Some(key), error)),
            _ => Err(error),
        }
    }

    fn of(header: &Header<'_>, key: Option<VerifyingKey>, error: AuthError) -> Self {
        Self {
            key_id: header.kid.as_deref().map(str::to_owned),
            alg: (*header.alg).to_owned(),
            key,
            error,
        }
    }

    pub(super) fn into_error(self) -> AuthError {
        self.error
    }

    /// Asks the key source for newer keys. Fails if there is no other key, or if the source is unavailable.
    pub(super) async fn ask(self, keys: &Keys) -> Result<(), AuthError> {
        let Keys::Source(source) = keys else {
            return Err(self.error);
        };
        source.refresh(self.key_id.as_deref()).await?;
        let is_same = self.key.as_ref().is_some_and(|tried| {
            let key_id = self.key_id.as_deref();
            keys.with_key(key_id, &self.alg, |key| key.is(tried)) == Ok(true)
        });
        if is_same { Err(self.error) } else { Ok(()) }
    }
}
