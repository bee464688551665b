//! The rules of a [`ReplayStore`], as checks that run on any store.

use std::fmt::Debug;

use super::session_store::gather;
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::keys::sha256;
use crate::replay::{ReplayEntry, ReplayStore};
use crate::testing::random::name_of_run;

const SECOND: u64 = 1_000_000;
/// The number of requests at the same time.
const AT_ONCE: usize = 64;

/// Checks that a store of your own keeps every rule of [`ReplayStore`].
///
/// It adds some 120 entries, in some 450 calls. Nearly all of them expire after 90 seconds. Run it on a test
/// database, preferably in a runtime with several threads.
///
/// ```
/// use tower_jwt_auth::dpop::MemoryReplays;
/// use tower_jwt_auth::testing::check_replay_store;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// check_replay_store(&MemoryReplays::new()).await;
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics if the store breaks a rule, or if it is unavailable. The message names the rule.
pub async fn check_replay_store<S: ReplayStore + Clone>(store: &S) {
    let check = Check {
        store: store.clone(),
        run: name_of_run(),
        now: unix_micros(SystemClock.now()),
    };
    check.once().await;
    check.digests().await;
    check.times().await;
    check.at_once().await;
}

struct Check<S> {
    store: S,
    run: String,
    now: u64,
}

// === impl Check ===

impl<S: ReplayStore + Clone> Check<S> {
    /// Returns a digest that no other run uses.
    fn digest(&self, name: &str) -> [u8; 32] {
        sha256(format!("{}.{name}", self.run).as_bytes()).expect("SHA-256 is available")
    }

    fn entry(&self, digest: [u8; 32]) -> ReplayEntry {
        ReplayEntry::new(digest, self.now, self.now + 90 * SECOND)
    }

    async fn insert(&self, entry: ReplayEntry) -> bool {
        answered(self.store.insert(entry).await)
    }

    async fn once(&self) {
        for name in ["one", "two", "three"] {
            let entry = self.entry(self.digest(name));
            same("an entry is new", &true, &self.insert(entry).await);
            for _ in 0..3 {
                same(
                    "an entry is new once only",
                    &false,
                    &self.insert(entry).await,
                );
            }
        }
        let entry = self.entry(self.digest("one"));
        let rule = "an entry is still known after others were added";
        same(rule, &false, &self.insert(entry).await);
    }

    /// Checks that all bytes count, whatever their value.
    async fn digests(&self) {
        let rule = "entries differ if any byte of their digests differs";
        let first = self.digest("bytes");
        self.insert(self.entry(first)).await;
        for place in 0..32 {
            let mut other = first;
            other[place] ^= 1;
            same(rule, &true, &self.insert(self.entry(other)).await);
        }
        for filler in [0, b'\'', b'%', 0x7f, 0x80, 0xff] {
            let mut odd = self.digest(&format!("odd {filler}"));
            odd[8..].fill(filler);
            let rule = "a digest may have bytes of any value";
            same(rule, &true, &self.insert(self.entry(odd)).await);
            same(rule, &false, &self.insert(self.entry(odd)).await);
            odd[31] = odd[31].wrapping_add(1);
            same(rule, &true, &self.insert(self.entry(odd)).await);
        }
    }

    async fn times(&self) {
        let rule = "an entry is kept until its time";
        let digest = self.digest("kept");
        self.insert(self.entry(digest)).await;
        for later in [SECOND, 30 * SECOND, 90 * SECOND - 1] {
            let again = ReplayEntry::new(digest, self.now + later, self.now + 90 * SECOND);
            same(rule, &false, &self.insert(again).await);
        }
        let rule = "adding an entry again does not shorten its time";
        let digest = self.digest("not shortened");
        self.insert(self.entry(digest)).await;
        let shorter = ReplayEntry::new(digest, self.now, self.now + 1);
        same(rule, &false, &self.insert(shorter).await);
        let later = ReplayEntry::new(digest, self.now + 60 * SECOND, self.now + 90 * SECOND);
        same(rule, &false, &self.insert(later).await);
        let rule = "an entry whose time is over is new like any other";
        let over = ReplayEntry::new(self.digest("over"), self.now, self.now);
        same(rule, &true, &self.insert(over).await);
        let long = ReplayEntry::new(self.digest("long"), self.now, self.now + 700 * SECOND);
        same(rule, &true, &self.insert(long).await);
    }

    async fn at_once(&self) {
        let rule = "of 64 requests at once with the same entry, exactly one is new";
        for round in 0..5 {
            let entry = self.entry(self.digest(&format!("at once {round}")));
            let calls = (0..AT_ONCE).map(|_| {
                let store = self.store.clone();
                async move { answered(store.insert(entry).await) }
            });
            let new = gather(calls).await;
            let new = new.into_iter().filter(|is_new| *is_new).count();
            same(rule, &1, &new);
        }
        let rule = "of many different entries at once, each is new";
        let calls = (0..AT_ONCE).map(|number| {
            let store = self.store.clone();
            let entry = self.entry(self.digest(&format!("different {number}")));
            async move { answered(store.insert(entry).await) }
        });
        let new = gather(calls).await;
        let new = new.into_iter().filter(|is_new| *is_new).count();
        same(rule, &AT_ONCE, &new);
    }
}

/// Panics with the rule that was broken.
#[track_caller]
fn same<T: PartialEq + Debug>(rule: &str, expected: &T, found: &T) {
    assert!(
        expected == found,
        "the replay store breaks a rule: {rule}\n expected: {expected:?}\n    found: {found:?}"
    );
}

/// Returns the result of a call to the store, or panics if the store failed.
#[track_caller]
fn answered<T>(answer: Result<T, crate::store::StoreError>) -> T {
    answer.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        panic!("the replay store failed: {error}: {cause}")
    })
}
