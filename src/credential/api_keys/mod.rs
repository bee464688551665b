//! API keys: long-lived secrets that users and services create for their programs.
//!
//! A key is a text such as `acme_` followed by 65 letters and digits. The store keeps only a digest of it, so
//! nobody can read a key from the database. Handlers and guards are given a [`VerifiedToken`], as for JWTs,
//! whose [`kind`](VerifiedToken::kind) is [`ApiKey`](crate::verifier::CredentialKind::ApiKey).
//!
//! [The guide](crate::guide::api_keys) shows how to let users create and revoke keys.

mod builder;
#[cfg(feature = "cache")]
mod cache;
mod core;
mod create;
mod error;
mod form;
mod key;
mod known;
mod revoke;
#[cfg(not(feature = "cache"))]
mod uncached;

#[cfg(feature = "postgres")]
pub use crate::api_key::PostgresApiKeys;
#[cfg(feature = "sqlite")]
pub use crate::api_key::SqliteApiKeys;
pub use crate::api_key::{
    ApiKeyEvent, ApiKeyRecord, ApiKeyStore, ApiKeyTarget, MemoryApiKeys, RevokedApiKey,
};
#[cfg(feature = "cache")]
pub use builder::DEFAULT_CACHED_KEYS;
pub use builder::{
    ApiKeysBuilder, DEFAULT_KEY_CACHE_FOR, DEFAULT_KEY_STORE_TIMEOUT, DEFAULT_MAX_KEYS_PER_OWNER,
    MAX_KEY_CACHE_FOR, MAX_KEY_STORE_TIMEOUT,
};
pub use create::{CreateApiKey, NewApiKey};
pub use error::{ApiKeyError, ApiKeyErrorKind};
pub use key::ApiKey;
pub use revoke::EXPIRED_KEY_RETENTION;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use self::core::{Core, KeyWorld};
use super::{CredentialClaims, CredentialVerifier};
use crate::claims::NumericDate;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::keys::same_digest;
use crate::policy::Possession;
use crate::store::Calls;
use crate::verifier::{VerifiedToken, World};
use form::{Form, Parsed};
use known::Known;

/// The most calls of one [`ApiKeys`] that create or revoke keys and are in progress at once: 1,024. Any
/// further call fails, and the response is a 503. Each call ends within a few timeouts of the stores, even if
/// its request is dropped.
pub const MAX_CONCURRENT_CALLS: usize = 1024;

/// The digest with which an unknown key is compared, so that it takes the same time as a known one.
const NO_DIGEST: [u8; 32] = [0; 32];

/// Creates API keys, verifies them, lists them and revokes them.
///
/// It is cheap to clone, and all clones share their state. Add it to a
/// [`JwtAuthLayer`](crate::JwtAuthLayer::credentials) to accept API keys as well as tokens.
///
/// ```
/// use tower_jwt_auth::credential::api_keys::{ApiKeys, MemoryApiKeys};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::builder("acme", MemoryApiKeys::new()).build()?;
///
/// let new = keys.create("alice").label("backup").scope("files:read").issue().await?;
/// let text = new.text().to_owned(); // shown to alice once, and never again
///
/// let verified = keys.verify(&text).await?;
/// assert_eq!(verified.subject(), Some("alice"));
/// assert_eq!(verified.token_id(), Some(new.id()));
/// assert!(verified.has_scope("files:read"));
///
/// assert!(keys.revoke_owned_by("alice", new.id()).await?);
/// assert!(keys.verify(&text).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it costs
///
/// A malformed or mistyped key is refused without I/O. With the feature `cache`, a node asks the store
/// for a key once per [cache period](ApiKeysBuilder::cache_for), however many requests carry it, and once per
/// cache period for an id that does not exist. Without that feature, each request asks the store. A key with
/// the right secret is also looked up in the [store of revocations](ApiKeysBuilder::revocation), if there is
/// one.
///
/// # Security
///
/// An unknown id and a known id with a wrong secret are refused in the same way, with
/// [`InvalidCredential`](AuthErrorKind::InvalidCredential). Digests are compared in constant time.
///
/// Logging out everywhere does not revoke the API keys of a user, because programs are not devices. To end
/// all access of a user, call [`revoke_all`](Self::revoke_all) as well.
///
/// # Runtime
///
/// The methods need a Tokio runtime with a timer. Work that must not be left half done runs in a task of its
/// own, which goes on if the request is dropped.
#[derive(Clone)]
pub struct ApiKeys {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    form: Form,
    world: Arc<KeyWorld>,
    max_keys_per_owner: u32,
    calls: Calls,
}

// === impl ApiKeys ===

impl ApiKeys {
    /// Returns a builder for the API keys of a service, which are kept in `store`. Each key begins with the
    /// prefix and an underscore, by which layers, secret scanners and people recognize it.
    ///
    /// The prefix has 2 to 32 lower-case letters, digits and underscores, begins with a letter, and does
    /// not end with an underscore. It cannot be changed later: keys with another prefix are not accepted.
    /// Choose one for each environment, such as `acme_live` and `acme_test`.
    pub fn builder(prefix: impl Into<String>, store: impl ApiKeyStore) -> ApiKeysBuilder {
        ApiKeysBuilder::new(prefix.into(), Arc::new(store))
    }

    /// Begins a new key for this subject. Nothing is stored until [`issue`](CreateApiKey::issue) is called.
    ///
    /// # Security
    ///
    /// The scopes, roles and claims of a key are those that you set. Give a key no more than its owner
    /// has, and let a key create no other keys.
    pub fn create(&self, owner: impl Into<String>) -> CreateApiKey<'_> {
        CreateApiKey::new(self, owner.into())
    }

    /// Returns the keys of an owner, expired ones included, the newest first, at most 1000.
    ///
    /// # Errors
    ///
    /// Fails if the store is unavailable.
    pub async fn list(&self, owner: &str) -> Result<Vec<ApiKey>, ApiKeyError> {
        if !create::can_be_owner(owner) {
            return Ok(Vec::new());
        }
        let records = self.inner.core.store.list(owner).await?;
        let keys = records.iter().map(ApiKey::of).collect::<Result<_, _>>()?;
        Ok(keys)
    }

    /// Verifies a key.
    ///
    /// # Errors
    ///
    /// - [`MalformedToken`](AuthErrorKind::MalformedToken): the text is not a key of this service, or is
    ///   mistyped. No store was asked.
    /// - [`InvalidCredential`](AuthErrorKind::InvalidCredential): the key is unknown.
    /// - [`Revoked`](AuthErrorKind::Revoked): the key was revoked a moment ago. Later, it counts as unknown.
    /// - [`Expired`](AuthErrorKind::Expired): the key has expired.
    /// - [`Unavailable`](AuthErrorKind::Unavailable): the store is unavailable.
    pub async fn verify(&self, key: &str) -> Result<VerifiedToken, AuthError> {
        let claims = match self.peek(key) {
            Some(verdict) => verdict,
            None => self.verify_credential(key).await,
        };
        claims?.verified(&Possession::BEARER)
    }

    /// Compares the secret of a key that was looked up.
    fn compare(
        &self,
        parsed: &Parsed<'_>,
        found: Option<&Known>,
    ) -> Result<CredentialClaims, AuthError> {
        let expected = found.map_or(&NO_DIGEST, |known| &known.digest);
        let is_right = same_digest(expected, &parsed.digest);
        let known = found.filter(|_| is_right).ok_or_else(unknown)?;
        let world = Arc::clone(&self.inner.world) as Arc<dyn World>;
        Ok(known.claims.clone().in_world(world))
    }

    /// Decides about a key with the right secret.
    fn decide(
        &self,
        claims: CredentialClaims,
        is_revoked: bool,
    ) -> Result<CredentialClaims, AuthError> {
        let token = claims.token();
        let is_over = |expiry: NumericDate| token.now() >= expiry.as_secs_f64();
        if is_revoked {
            return Err(self.refuse(token, AuthErrorKind::Revoked));
        }
        if token.expires_at().is_some_and(is_over) {
            return Err(self.refuse(token, AuthErrorKind::Expired));
        }
        let core = &self.inner.core;
        if let Some(id) = token.token_id() {
            core.last_use.seen(id, core.now());
        }
        Ok(claims)
    }

    /// Refuses a key with the right secret.
    fn refuse(&self, token: &VerifiedToken, kind: AuthErrorKind) -> AuthError {
        self.inner.core.events.tell(&ApiKeyEvent::Refused {
            owner: token.subject().unwrap_or_default(),
            id: token.token_id().unwrap_or_default(),
            kind,
        });
        kind.into()
    }

    /// Does work to its end, even if the request is dropped. A store that hangs leaves at most
    /// [`MAX_CONCURRENT_CALLS`] such tasks behind.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiKeyError>> + Send + 'static,
    ) -> Result<T, ApiKeyError> {
        self.inner.calls.whole(work).await
    }
}

impl CredentialVerifier for ApiKeys {
    /// Returns whether the credential begins with the prefix and an underscore.
    fn handles(&self, credential: &str) -> bool {
        self.inner.form.handles(credential)
    }

    async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        let core = &self.inner.core;
        let parsed = self.inner.form.parse(credential)?;
        let found = core.look_up(parsed.id).await?;
        let claims = self.compare(&parsed, found.as_deref())?;
        let is_revoked = core.is_revoked(&claims.token().revocation_query()?).await?;
        self.decide(claims, is_revoked)
    }

    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        let core = &self.inner.core;
        let known = || {
            let parsed = self.inner.form.parse(credential)?;
            let Some(found) = core.peek(parsed.id) else {
                return Ok(None);
            };
            let claims = self.compare(&parsed, found.as_deref())?;
            let is_revoked = core.peek_revoked(&claims.token().revocation_query()?);
            Ok(is_revoked.map(|is_revoked| (claims, is_revoked)))
        };
        match known().transpose()? {
            Ok((claims, is_revoked)) => Some(self.decide(claims, is_revoked)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("form", &self.inner.form)
            .field("store", &self.inner.core.store)
            .finish_non_exhaustive()
    }
}

/// Makes the error for an unknown id and for a wrong secret. The client does not learn which it is.
fn unknown() -> AuthError {
    AuthError::new(AuthErrorKind::InvalidCredential).because(&Reason {
        code: "api_key_unknown",
        message: "the API key is not known: it was never issued, or it was revoked",
    })
}
