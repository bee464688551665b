//! Tells a store that the current generation of a session is in use: at most once each, and never awaited.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::store::DynSessionStore;

/// How many sessions are remembered as told; a power of two. One that is forgotten is told again.
const PLACES: usize = 1 << 13;

/// Sees the sessions of verified tokens go by.
///
/// What was told already is remembered in a table of fixed size without locks: a collision
/// costs one more write, which changes nothing in the store.
#[derive(Debug)]
pub(crate) struct Acknowledger {
    store: Arc<dyn DynSessionStore>,
    told: Box<[AtomicU64]>,
    hasher: RandomState,
}

// === impl Acknowledger ===

impl Acknowledger {
    pub(crate) fn new(store: Arc<dyn DynSessionStore>) -> Arc<Self> {
        let told = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            store,
            told,
            hasher: RandomState::new(),
        })
    }

    /// A token of this session and generation was verified. Outside a Tokio runtime nothing
    /// is told, which makes the time for a lost response the only limit on convergence.
    pub(crate) fn seen(self: &Arc<Self>, session: &str, generation: u64) {
        let hash = self.hasher.hash_one((session, generation)) | 1;
        let place = self.hasher.hash_one(session) as usize % PLACES;
        if self.told[place].load(Ordering::Relaxed) == hash
            || self.told[place].swap(hash, Ordering::Relaxed) == hash
        {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.told[place].store(0, Ordering::Relaxed);
            return;
        };
        let (this, session) = (Arc::clone(self), session.to_owned());
        runtime.spawn(async move {
            if this.store.acknowledge(&session, generation).await.is_err() {
                // The next request tries again.
                this.told[place].store(0, Ordering::Relaxed);
            }
        });
    }
}
