//! [`AskedWorld`]: lets a stream ask the server again whether its token is still active.

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

/// The shortest interval at which a stream asks, even if answers are cached for less.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Gives a token what it needs to find out when it ends. Cached answers do not have it, so that the cache
/// contains no tokens.
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
    /// Made only for the few tokens whose end is awaited.
    store: OnceLock<Arc<dyn DynRevocationStore>>,
}

/// Says whether this one token was revoked, here or at its server.
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
    /// Revokes in the store of this service. Only its server can revoke a token everywhere.
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
