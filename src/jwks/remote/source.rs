//! [`RemoteJwks`]: the keys of an identity provider, as a key source.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::builder::RemoteJwksBuilder;
use super::shared::{Demand, Shared, unavailable};
use super::worker;
use crate::error::AuthError;
use crate::keys::{KeyLookup, KeySource, KeySourceHealth};
use crate::sync::timeout;

/// The longest time for which a request waits for a fetch.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The public keys of an identity provider, fetched and kept up to date: a [`KeySource`].
///
/// It is cheap to clone, and clones share the keys. The [module](crate::jwks) says when keys are fetched, and
/// what happens during an outage.
#[derive(Clone)]
pub struct RemoteJwks {
    pub(super) shared: Arc<Shared>,
}

// === impl RemoteJwks ===

impl RemoteJwks {
    /// Returns a builder that finds the keys of an issuer through its metadata (OpenID Connect Discovery 1.0
    /// or RFC 8414).
    ///
    /// `issuer` is the `iss` of its tokens, byte for byte, such as `https://idp.example/`.
    pub fn builder(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::discover(issuer.into())
    }

    /// Returns a builder for the keys at this URL, such as `https://idp.example/.well-known/jwks.json`,
    /// without metadata.
    pub fn builder_at(url: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::at(url.into())
    }

    pub(super) fn new(shared: Shared) -> Self {
        let this = Self {
            shared: Arc::new(shared),
        };
        this.ensure_worker();
        this
    }

    /// Waits until there are keys to verify with. If they cannot be fetched, it waits forever, so put a
    /// timeout around it. A service need not wait: until there are keys, it answers with 503.
    pub async fn ready(&self) {
        self.ensure_worker();
        let mut attempts = self.shared.attempts.subscribe();
        while !self.shared.state(Instant::now()).is_ready() {
            if attempts.changed().await.is_err() {
                return; // cannot happen while `self` exists
            }
        }
    }

    /// Returns the issuer that was given to [`builder`](Self::builder), or `None` if there is none.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.shared.issuer.as_deref()
    }

    /// Starts a worker if there is none, and if there is a runtime to start it in.
    fn ensure_worker(&self) {
        let has_worker = &self.shared.has_worker;
        if !has_worker.load(Ordering::Acquire)
            && let Ok(runtime) = Handle::try_current()
            && !has_worker.swap(true, Ordering::AcqRel)
        {
            worker::start(&runtime, &self.shared);
        }
    }
}

impl KeySource for RemoteJwks {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        self.ensure_worker();
        let allowed = &self.shared.fetcher.keys.algorithms;
        if !allowed.iter().any(|one| one.accepts(algorithm)) {
            return KeyLookup::UnsupportedAlgorithm;
        }
        let snapshot = self.shared.snapshot.load();
        match snapshot.usable_until {
            Some(until) if Instant::now() < until => snapshot.keys.find(key_id, algorithm),
            _ => KeyLookup::UnknownKey,
        }
    }

    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        if Handle::try_current().is_err() {
            return Err(unavailable(
                Duration::from_secs(1),
                "keys can only be fetched inside a Tokio runtime, but none is running",
            ));
        }
        self.ensure_worker();
        let before = self.shared.named(key_id, Instant::now());
        let (mut attempts, joined) = match self.shared.demand(key_id, Instant::now()) {
            Demand::Wait(attempts) => (attempts, false),
            Demand::Join(attempts) => (attempts, true),
            Demand::Refuse => return Ok(()),
            Demand::Unavailable(error) => return Err(error),
        };
        let Ok(_place) = self.shared.places.try_acquire() else {
            let why = "too many requests wait for the keys";
            return Err(unavailable(Duration::from_secs(1), why));
        };
        let waited = timeout(MAX_WAIT, attempts.changed()).await;
        let is_over = matches!(waited, Ok(Ok(())));
        self.shared
            .after_wait(key_id, &before, is_over, joined, Instant::now())
    }

    fn health(&self) -> Option<KeySourceHealth> {
        Some(self.shared.health(Instant::now()))
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}
