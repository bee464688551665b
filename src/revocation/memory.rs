//! [`MemoryRevocations`]: revocations in the memory of this process.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};

use super::changes::{RevocationChanges, RevocationSignal};
use super::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::store::StoreError;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{RandomState, RwLock};

/// The number of shards, so that readers rarely wait for the same lock.
const SHARDS: usize = if cfg!(all(test, loom)) { 1 } else { 32 };
/// The smallest number of entries at which a shard is swept. Otherwise it is swept when it has twice
/// as many as the last sweep left.
const MIN_SWEEP: usize = 64;

/// Keeps revocations in the memory of this process, for one node: a restart forgets them, and other
/// nodes do not see them.
///
/// No entry is dropped before its time. Expired entries are removed as new ones are added, at a cost
/// that is constant on average. A look-up does no I/O and allocates nothing.
#[derive(Clone)]
pub struct MemoryRevocations {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    /// The number of entries of each kind. A kind without entries is not searched.
    counts: [AtomicUsize; 3],
    signal: RevocationSignal,
}

#[derive(Default)]
struct Shard {
    /// By kind, then by id. Different issuers may use the same id.
    entries: [HashMap<Box<str>, Vec<Entry>>; 3],
    sweep_at: usize,
}

struct Entry {
    issuer: Option<Box<str>>,
    /// The entry covers tokens that were issued until this time, inclusive.
    cutoff: u64,
    until: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Token,
    Session,
    Subject,
}

// === impl MemoryRevocations ===

impl MemoryRevocations {
    /// Creates an empty store that reads the clock of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Creates an empty store that reads `clock`.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self::with_shared_clock(Arc::new(clock))
    }

    pub(crate) fn with_shared_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
                hasher: RandomState::new(),
                clock,
                counts: Default::default(),
                signal: RevocationSignal::new(),
            }),
        }
    }

    /// Returns the number of entries, including expired ones that were not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Returns whether the store has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn insert(&self, revocation: &Revocation) {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(jti) => (Kind::Token, jti, u64::MAX),
            RevocationTarget::Session(sid) => (Kind::Session, sid, u64::MAX),
            RevocationTarget::Subject { subject, cutoff } => (Kind::Subject, subject, *cutoff),
        };
        let (now, until) = (
            unix_micros(self.inner.clock.now()),
            unix_micros(revocation.until()),
        );
        let mut shard = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        shard.sweep_if_due(now, &self.inner.counts);

        let entries = shard.entries[kind as usize]
            .entry(id.as_str().into())
            .or_default();
        let same = entries
            .iter_mut()
            .find(|entry| entry.issuer.as_deref() == revocation.issuer());
        if let Some(entry) = same {
            entry.cutoff = entry.cutoff.max(cutoff);
            entry.until = entry.until.max(until);
        } else {
            entries.push(Entry {
                issuer: revocation.issuer().map(Into::into),
                cutoff,
                until,
            });
            self.inner.counts[kind as usize].fetch_add(1, Ordering::Release);
        }
        drop(shard);
        self.inner.signal.send();
    }

    /// Wakes the streams that wait for revocations.
    pub(crate) fn signal(&self) -> &RevocationSignal {
        &self.inner.signal
    }

    /// Returns whether an entry covers this token.
    pub(crate) fn hits(&self, query: &RevocationQuery<'_>) -> bool {
        // The kind that covers most tokens comes first. A kind without entries costs one load.
        self.finds(Kind::Subject, Some(query.subject()), query)
            || self.finds(Kind::Session, query.session(), query)
            || self.finds(Kind::Token, Some(query.token()), query)
    }

    fn finds(&self, kind: Kind, id: Option<&str>, query: &RevocationQuery<'_>) -> bool {
        let Some(id) = id else { return false };
        if self.inner.counts[kind as usize].load(Ordering::Acquire) == 0 {
            return false;
        }
        let shard = self
            .shard(id)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = shard.entries[kind as usize].get(id) else {
            return false;
        };
        let now = unix_micros(self.inner.clock.now());
        entries.iter().any(|entry| {
            entry.issuer.as_deref() == query.issuer()
                && query.issued_at() <= entry.cutoff
                && now < entry.until
        })
    }

    fn shard(&self, id: &str) -> &RwLock<Shard> {
        let hash = usize::try_from(self.inner.hasher.hash_one(id) >> 32).unwrap_or_default();
        &self.inner.shards[hash % SHARDS]
    }
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocations").finish_non_exhaustive()
    }
}

impl RevocationStore for MemoryRevocations {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        for revocation in revocations {
            self.insert(revocation);
        }
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        Ok(self.hits(query))
    }

    fn peek(&self, query: &RevocationQuery<'_>) -> Option<bool> {
        Some(self.hits(query))
    }

    fn changes(&self) -> RevocationChanges {
        RevocationChanges::pushed_by(&self.inner.signal)
    }
}

// === impl Shard ===

impl Shard {
    fn sweep_if_due(&mut self, now: u64, counts: &[AtomicUsize; 3]) {
        let held = self.entries.iter().map(HashMap::len).sum::<usize>();
        if held < self.sweep_at.max(MIN_SWEEP) {
            return;
        }
        for (ids, count) in self.entries.iter_mut().zip(counts) {
            ids.retain(|_, entries| {
                let before = entries.len();
                entries.retain(|entry| now < entry.until);
                count.fetch_sub(before - entries.len(), Ordering::Release);
                !entries.is_empty()
            });
        }
        self.sweep_at = 2 * self.entries.iter().map(HashMap::len).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::MemoryRevocations;
    use crate::clock::ManualClock;
    use crate::revocation::{Revocation, RevocationQuery};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const QUERY: RevocationQuery<'static> = RevocationQuery {
        issuer: Some("me"),
        subject: "alice",
        session: Some("s1"),
        token: "t1",
        issued_at: 5_000_000,
    };

    #[test]
    fn each_kind_covers_what_it_names_and_nothing_else() {
        let me = Some("me");
        for (revocation, hit) in [
            (Revocation::token(me, "t1", at(100)), true),
            (Revocation::token(me, "t2", at(100)), false),
            (Revocation::token(Some("other"), "t1", at(100)), false),
            (Revocation::token(None, "t1", at(100)), false),
            (Revocation::session(me, "s1", at(100)), true),
            (Revocation::session(me, "t1", at(100)), false),
            (Revocation::subject(me, "alice", at(5), at(100)), true),
            (Revocation::subject(me, "alice", at(4), at(100)), false),
            (Revocation::subject(me, "s1", at(50), at(100)), false),
        ] {
            let record = MemoryRevocations::with_clock(ManualClock::at_unix_seconds(10));
            record.insert(&revocation);
            assert_eq!(record.hits(&QUERY), hit, "{revocation:?}");
        }
    }

    #[test]
    fn an_entry_is_in_effect_until_its_end_with_the_latest_cut_off() {
        let clock = ManualClock::at_unix_seconds(10);
        let record = MemoryRevocations::with_clock(clock.clone());
        record.insert(&Revocation::subject(Some("me"), "alice", at(6), at(20)));
        record.insert(&Revocation::subject(Some("me"), "alice", at(4), at(15)));
        assert!(record.hits(&QUERY));
        assert_eq!(record.len(), 1);
        clock.advance(Duration::from_secs(9));
        assert!(record.hits(&QUERY));
        clock.advance(Duration::from_secs(1));
        assert!(!record.hits(&QUERY));
    }

    #[test]
    fn expired_entries_are_removed_and_no_live_one_is_lost() {
        let clock = ManualClock::at_unix_seconds(0);
        let record = MemoryRevocations::with_clock(clock.clone());
        for second in 0..50_000_u64 {
            clock.set(at(second));
            record.insert(&Revocation::token(
                None,
                format!("t{second}"),
                at(second + 1000),
            ));
        }
        assert!(
            record.len() < 10_000,
            "{} entries for 1000 that live",
            record.len()
        );
        for second in 49_001..50_000 {
            let token = format!("t{second}");
            let query = RevocationQuery {
                issuer: None,
                token: &token,
                ..QUERY
            };
            assert!(record.hits(&query), "{token}");
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::time::{Duration, UNIX_EPOCH};

    use loom::thread;

    use super::MemoryRevocations;
    use crate::clock::ManualClock;
    use crate::revocation::{Revocation, RevocationQuery};

    #[test]
    fn what_was_revoked_is_found_by_every_later_look_up() {
        loom::model(|| {
            let record = MemoryRevocations::with_clock(ManualClock::at_unix_seconds(10));
            let until = UNIX_EPOCH + Duration::from_secs(100);
            let threads = ["t1", "t2"].map(|token| {
                let record = record.clone();
                thread::spawn(move || {
                    record.insert(&Revocation::token(None, token, until));
                    assert!(record.hits(&RevocationQuery::new("alice", token, 5)));
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(record.len(), 2);
            for token in ["t1", "t2"] {
                assert!(record.hits(&RevocationQuery::new("alice", token, 5)));
            }
        });
    }
}
