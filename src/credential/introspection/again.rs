//! What a stream knows of the world: the server is asked again whether the token is still active.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::asker::Asker;
use crate::clock::Clock;
use crate::error::AuthErrorKind;
use crate::revocation::{
    DynRevocationStore, Revocation, RevocationChanges, RevocationQuery, RevocationStore,
};
use crate::store::StoreError;
use crate::verifier::{VerifiedToken, World};

/// The shortest interval at which a stream asks, however short answers are cached.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Hands a token out with what it needs to know when it ends. Those in the cache are without, so that no
/// token is kept there.
pub(super) fn in_world(
    verified: VerifiedToken,
    asker: &Arc<Asker>,
    credential: &str,
) -> VerifiedToken {
    verified.in_world(Arc::new(AskedWorld {
        asker: Arc::clone(asker),
        token: Arc::new(Zeroizing::new(credential.to_owned())),
        store: OnceLock::new(),
    }))
}

struct AskedWorld {
    asker: Arc<Asker>,
    token: Arc<Zeroizing<String>>,
    /// Made for the few tokens whose end is waited for.
    store: OnceLock<Arc<dyn DynRevocationStore>>,
}

/// Says of this one token whether it was revoked, here or at its server.
struct AskedAgain {
    asker: Arc<Asker>,
    token: Arc<Zeroizing<String>>,
}

// === impl AskedWorld ===

impl World for AskedWorld {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.asker.judge.clock
    }

    fn leeway(&self) -> Duration {
        self.asker.judge.policy.leeway
    }

    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>> {
        Some(self.store.get_or_init(|| {
            Arc::new(AskedAgain {
                asker: Arc::clone(&self.asker),
                token: Arc::clone(&self.token),
            })
        }))
    }
}

// === impl AskedAgain ===

impl AskedAgain {
    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>> {
        self.asker.judge.revocations.store.as_ref()
    }
}

impl RevocationStore for AskedAgain {
    /// Only its server can end a token everywhere; here a revocation belongs into the store.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        match self.revocations() {
            Some(store) => store.revoke(revocations).await,
            None => Err(StoreError::new("no revocation store is configured")),
        }
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        if let Some(store) = self.revocations()
            && store.is_revoked(*query).await?
        {
            return Ok(true);
        }
        match self.asker.look_up(&self.token).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == AuthErrorKind::Unavailable => Err(StoreError::new(error)),
            Err(_) => Ok(true),
        }
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        if let Some(store) = self.revocations()
            && store.peek(query)?
        {
            return Some(true);
        }
        self.asker.peek(&self.token).map(|verdict| verdict.is_err())
    }

    fn changes(&self) -> RevocationChanges {
        let every = self.asker.cache_for.max(SHORTEST_INTERVAL);
        match self.revocations().map(|store| store.changes()) {
            Some(changes) => {
                let every = changes.interval().map_or(every, |other| other.min(every));
                changes.and_every(every)
            }
            None => RevocationChanges::every(every),
        }
    }
}

impl fmt::Debug for AskedAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedAgain").finish_non_exhaustive()
    }
}
