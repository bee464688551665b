//! [`TokenVerifier`]: from the text of a token to a [`VerifiedToken`], or the reason why not.

mod builder;
mod verified;

pub use builder::TokenVerifierBuilder;
pub use verified::VerifiedToken;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::{Clock, unix_seconds};
use crate::codec::{Compact, Header, Registered};
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::{Algorithm, DynKeySource, KeyLookup, KeyMiss, KeySet, KeySource, VerifyingKey};
use crate::policy::Policy;
use crate::revocation::DynRevocationStore;
use crate::session::Acknowledger;

/// Verifies tokens: form, header, key, signature, claims, revocation, in this order.
///
/// Cheap to clone, and made to be shared. Build one with [`builder`](Self::builder), or
/// take [`TokenIssuer::verifier`](crate::TokenIssuer::verifier) where the same service issues.
///
/// ```
/// use tower_jwt_auth::keys::{Algorithm, KeySet};
/// use tower_jwt_auth::{SigningKey, TokenIssuer, TokenVerifier};
/// use tower_jwt_auth::error::AuthErrorKind;
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let verifier = TokenVerifier::builder(key.verifying_key()).issuer("me").audience("api").build()?;
///
/// let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
/// let verified = verifier.verify_local(&tokens.access("alice").issue()?)?;
/// assert_eq!(verified.subject(), Some("alice"));
///
/// let refused = verifier.verify_local(&tokens.refresh("alice").issue()?).unwrap_err();
/// assert_eq!(refused.kind(), AuthErrorKind::WrongType);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenVerifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    policy: Policy,
    max_token_bytes: usize,
    clock: Arc<dyn Clock>,
    revocation: Option<Arc<dyn DynRevocationStore>>,
    acknowledger: Option<Arc<Acknowledger>>,
}

/// Fixed keys are borrowed for a verification; a source hands out shared ones.
#[derive(Clone, Debug)]
enum Keys {
    Fixed(KeySet),
    Source(Arc<dyn DynKeySource>),
}

/// How far a verification comes without waiting.
pub(crate) enum Progress {
    Done(Result<VerifiedToken, AuthError>),
    Wait(Pin<Box<dyn Future<Output = Result<VerifiedToken, AuthError>> + Send>>),
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// Starts a verifier that trusts these keys: a [`VerifyingKey`], or a [`KeySet`].
    pub fn builder(keys: impl Into<KeySet>) -> TokenVerifierBuilder {
        TokenVerifierBuilder::new(Keys::Fixed(keys.into()))
    }

    /// Starts a verifier that asks a source of your own for its keys.
    pub fn builder_with_source(source: impl KeySource) -> TokenVerifierBuilder {
        TokenVerifierBuilder::new(Keys::Source(Arc::new(source)))
    }

    /// Verifies a token by everything that is configured, the revocation store included.
    ///
    /// Signature and claims come first: a forged token causes no I/O, unless it names a key that
    /// a [`KeySource`] may still learn of.
    ///
    /// # Errors
    ///
    /// The [reason](AuthErrorKind) why the token is refused, or cannot be judged now.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        match self.start(token) {
            Progress::Done(result) => result,
            Progress::Wait(future) => future.await,
        }
    }

    /// Verifies the signature and the claims of a token, with no I/O: revocation is not looked
    /// at, and a key that would have to be fetched is unknown.
    ///
    /// # Errors
    ///
    /// The [reason](AuthErrorKind) why the token is refused.
    pub fn verify_local(&self, token: &str) -> Result<VerifiedToken, AuthError> {
        match self.check(token)? {
            Checked::Good(verified) => Ok(verified),
            Checked::KeyNotFound { .. } => Err(AuthErrorKind::UnknownKey.into()),
        }
    }

    /// Comes as far as memory allows; boxes a future only where something must be waited for.
    pub(crate) fn start(&self, token: &str) -> Progress {
        let verified = match self.check(token) {
            Ok(Checked::Good(verified)) => verified,
            Ok(Checked::KeyNotFound { key_id }) => return self.wait_for_key(token, key_id),
            Err(error) => return Progress::Done(Err(error)),
        };
        let Some(store) = &self.inner.revocation else {
            return Progress::Done(Ok(self.accept(verified)));
        };
        match verified.revocation_query().map(|query| store.peek(&query)) {
            Err(error) => Progress::Done(Err(error)),
            Ok(Some(true)) => Progress::Done(Err(AuthErrorKind::Revoked.into())),
            Ok(Some(false)) => Progress::Done(Ok(self.accept(verified))),
            Ok(None) => {
                let this = self.clone();
                Progress::Wait(Box::pin(
                    async move { this.check_revocation(verified).await },
                ))
            }
        }
    }

    fn wait_for_key(&self, token: &str, key_id: Option<String>) -> Progress {
        let Keys::Source(source) = &self.inner.keys else {
            return Progress::Done(Err(AuthErrorKind::UnknownKey.into()));
        };
        let (source, this, token) = (Arc::clone(source), self.clone(), token.to_owned());
        Progress::Wait(Box::pin(async move {
            source.refresh(key_id.as_deref()).await?;
            this.check_revocation(this.verify_local(&token)?).await
        }))
    }

    async fn check_revocation(&self, verified: VerifiedToken) -> Result<VerifiedToken, AuthError> {
        if let Some(store) = &self.inner.revocation
            && store.is_revoked(verified.revocation_query()?).await?
        {
            return Err(AuthErrorKind::Revoked.into());
        }
        Ok(self.accept(verified))
    }

    /// A token that passed everything: its session is in use.
    fn accept(&self, verified: VerifiedToken) -> VerifiedToken {
        if let Some(acknowledger) = &self.inner.acknowledger
            && let (Some(session), Some(generation)) =
                (verified.session_id(), verified.generation())
        {
            acknowledger.seen(session, generation);
        }
        verified
    }

    /// Everything that needs no I/O.
    fn check(&self, token: &str) -> Result<Checked, AuthError> {
        let Inner {
            keys,
            policy,
            max_token_bytes,
            clock,
            ..
        } = &*self.inner;
        let parts = Compact::parse(token, *max_token_bytes)?;
        let header_json = parts.header_json()?;
        let header = Header::parse(&header_json)?;
        if Algorithm::from_str(&header.alg).is_err() {
            return Err(AuthErrorKind::UnsupportedAlgorithm.into()); // J03: whatever the keys
        }
        policy.check_typ(header.typ.as_deref())?;

        let found = keys.with_key(header.kid.as_deref(), &header.alg, |key| parts.open(key));
        let payload: String = match found {
            Ok(opened) => opened?,
            Err(miss) => {
                if miss == KeyMiss::UnsupportedAlgorithm {
                    return Err(AuthErrorKind::UnsupportedAlgorithm.into());
                }
                let key_id = header.kid.map(Cow::into_owned);
                return Ok(Checked::KeyNotFound { key_id });
            }
        };

        let claims = Registered::parse(&payload, &policy.required)?;
        let now = unix_seconds(&**clock);
        policy.check(&claims, now)?;
        let kept = verified::Kept::of(&claims, &payload)?;
        drop(claims);
        Ok(Checked::Good(VerifiedToken::new(payload, kept)))
    }
}

enum Checked {
    Good(VerifiedToken),
    /// No key for it now; a source may still learn of one.
    KeyNotFound {
        key_id: Option<String>,
    },
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("keys", &self.inner.keys)
            .field("policy", &self.inner.policy)
            .field("revocation", &self.inner.revocation)
            .finish_non_exhaustive()
    }
}

// === impl Keys ===

impl Keys {
    /// Runs `open` with the key that the header names.
    fn with_key<T>(
        &self,
        key_id: Option<&str>,
        alg: &str,
        open: impl FnOnce(&VerifyingKey) -> T,
    ) -> Result<T, KeyMiss> {
        match self {
            Self::Fixed(set) => set.lookup(key_id, alg).map(open),
            Self::Source(source) => match source.find(key_id, alg) {
                // A source must not stretch a key to another algorithm (J05).
                KeyLookup::Found(key) if key.algorithm().accepts(alg) => Ok(open(&key)),
                KeyLookup::Found(_) | KeyLookup::UnsupportedAlgorithm => {
                    Err(KeyMiss::UnsupportedAlgorithm)
                }
                KeyLookup::UnknownKey => Err(KeyMiss::UnknownKey),
            },
        }
    }
}
