//! Credentials other than JWTs on the same routes: API keys, opaque tokens, and kinds of your own.
//!
//! A [`CredentialVerifier`] verifies one kind of credential. A
//! [`JwtAuthLayer`](crate::JwtAuthLayer::credentials) passes each credential to exactly one such verifier,
//! which it chooses by the form of the credential or by the header that it is in, before anything is
//! verified. If that verifier refuses it, no other is asked. Handlers, guards and extractors are always given
//! a [`VerifiedToken`](crate::VerifiedToken), whose [`kind`](crate::VerifiedToken::kind) is that of the
//! credential.

pub mod api_keys;
mod claims;
#[cfg(feature = "jwks")]
mod introspection;

pub use claims::{CredentialClaims, CredentialClaimsBuilder};
#[cfg(all(feature = "jwks", feature = "cache"))]
pub use introspection::DEFAULT_INTROSPECTED_TOKENS;
#[cfg(feature = "jwks")]
pub use introspection::{
    DEFAULT_INTROSPECTION_CACHE_FOR, Introspection, IntrospectionBuilder,
    MAX_INTROSPECTION_CACHE_FOR,
};

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::AuthError;
use crate::policy::Possession;
use crate::verifier::Progress;

/// Verifies credentials of one kind. Implement it for a kind of your own.
///
/// There are three possible results: the claims, a refusal such as
/// [`InvalidCredential`](crate::AuthErrorKind::InvalidCredential), or
/// [`Unavailable`](crate::AuthErrorKind::Unavailable) if the credential cannot be judged now. Never return a
/// refusal because of an outage.
///
/// ```
/// use http::Request;
/// use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer, TokenVerifier};
/// use tower_jwt_auth::credential::{CredentialClaims, CredentialVerifier};
///
/// /// Guests have a ticket with a number.
/// #[derive(Debug)]
/// struct Tickets;
///
/// impl CredentialVerifier for Tickets {
///     fn handles(&self, credential: &str) -> bool {
///         credential.starts_with("ticket_")
///     }
///
///     async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
///         if credential != "ticket_4711" {
///             return Err(AuthErrorKind::InvalidCredential.into());
///         }
///         CredentialClaims::builder("guest-4711").scope("menu:read").build()
///     }
/// }
///
/// # fn example(verifier: TokenVerifier) {
/// let layer = JwtAuthLayer::new(verifier).credentials(Tickets);
/// # let _: JwtAuthLayer = layer; }
/// ```
///
/// # Security
///
/// Compare secrets in constant time, or compare their digests. Limit the work that a client can cause: refuse
/// malformed credentials before any I/O, give each call a timeout, and make one look-up for concurrent
/// requests with the same credential.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not verify credentials",
    note = "use `ApiKeys` or `Introspection`, or implement `CredentialVerifier` and `Debug`"
)]
pub trait CredentialVerifier: Debug + Send + Sync + 'static {
    /// Returns whether the credential has the form that this verifier handles, such as a reserved prefix.
    /// Decide by the text alone, without I/O.
    ///
    /// It is not called for a source that [belongs to this verifier](crate::JwtAuthLayer::credentials_in).
    fn handles(&self, credential: &str) -> bool;

    /// Verifies a credential.
    ///
    /// # Errors
    ///
    /// Fails with the reason why the credential is refused or cannot be judged now.
    fn verify_credential(
        &self,
        credential: &str,
    ) -> impl Future<Output = Result<CredentialClaims, AuthError>> + Send;

    /// Returns the result of [`verify_credential`](Self::verify_credential) if it is known without waiting,
    /// and `None` otherwise.
    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        let _ = credential;
        None
    }
}

/// The dyn-compatible counterpart of [`CredentialVerifier`].
pub(crate) trait DynCredentialVerifier: Debug + Send + Sync {
    fn handles(&self, credential: &str) -> bool;
    /// Goes as far as possible without waiting, and boxes a future only if something must be awaited.
    fn start(self: Arc<Self>, credential: &str, held: &Possession) -> Progress;
}

impl<V: CredentialVerifier> DynCredentialVerifier for V {
    fn handles(&self, credential: &str) -> bool {
        CredentialVerifier::handles(self, credential)
    }

    fn start(self: Arc<Self>, credential: &str, held: &Possession) -> Progress {
        if let Some(verdict) = self.peek(credential) {
            return Progress::Done(verdict.and_then(|claims| claims.verified(held)));
        }
        let (credential, held) = (Zeroizing::new(credential.to_owned()), *held);
        Progress::Wait(Box::pin(async move {
            self.verify_credential(&credential).await?.verified(&held)
        }))
    }
}

/// Allows the use of one verifier in several places.
impl<V: CredentialVerifier> CredentialVerifier for Arc<V> {
    fn handles(&self, credential: &str) -> bool {
        V::handles(self, credential)
    }

    async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        V::verify_credential(self, credential).await
    }

    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        V::peek(self, credential)
    }
}
