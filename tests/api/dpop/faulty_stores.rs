//! The rules for replay stores, and that the checks detect each broken rule.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_jwt_auth::dpop::{MemoryReplays, ReplayEntry, ReplayStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::testing::check_replay_store;

/// What a faulty store does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    CallsAllNew,
    CallsNoneNew,
    ReadsThenWrites,
    ForgetsTheLastByte,
    ReadsDigestsAsText,
    ForgetsEarly,
    IsShortenedByARepeat,
    ForgetsTheOldest,
    IsUnavailable,
}

#[derive(Debug, Clone)]
struct Careless {
    fault: Fault,
    store: MemoryReplays,
    known: Arc<Mutex<HashSet<[u8; 32]>>>,
    until: Arc<Mutex<HashMap<[u8; 32], u64>>>,
}

impl ReplayStore for Careless {
    async fn insert(&self, entry: ReplayEntry) -> Result<bool, StoreError> {
        let mut digest = entry.digest;
        match self.fault {
            Fault::CallsAllNew => return Ok(true),
            Fault::CallsNoneNew => return Ok(false),
            Fault::IsUnavailable => return Err(StoreError::new("down")),
            Fault::ReadsThenWrites => {
                let is_known = self.known.lock().unwrap().contains(&digest);
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.known.lock().unwrap().insert(digest);
                return Ok(!is_known);
            }
            Fault::ForgetsTheOldest => {
                let mut known = self.known.lock().unwrap();
                if known.len() >= 2 && !known.contains(&digest) {
                    known.clear();
                }
                return Ok(known.insert(digest));
            }
            Fault::IsShortenedByARepeat => {
                let mut all = self.until.lock().unwrap();
                let old = all.insert(digest, entry.until);
                return Ok(old.is_none_or(|until| until <= entry.now));
            }
            Fault::ForgetsTheLastByte => digest[31] = 0,
            Fault::ReadsDigestsAsText => {
                let text = String::from_utf8_lossy(&digest).into_owned();
                digest = [0; 32];
                for (place, byte) in text.bytes().enumerate() {
                    digest[place % 32] ^= byte.rotate_left(u32::try_from(place / 32).unwrap());
                }
            }
            Fault::ForgetsEarly => {}
        }
        let mut until = entry.until;
        if self.fault == Fault::ForgetsEarly {
            until = until.min(entry.now + 10_000_000);
        }
        self.store
            .insert(ReplayEntry::new(digest, entry.now, until))
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_checks_name_the_rule_that_a_replay_store_breaks() {
    for (fault, rule) in [
        (Fault::CallsAllNew, "an entry is new once only"),
        (Fault::CallsNoneNew, "an entry is new"),
        (Fault::ReadsThenWrites, "exactly one is new"),
        (Fault::ForgetsTheLastByte, "any byte of their digests"),
        (Fault::ReadsDigestsAsText, "any byte of their digests"),
        (Fault::ForgetsEarly, "kept until its time"),
        (Fault::IsShortenedByARepeat, "does not shorten its time"),
        (Fault::ForgetsTheOldest, "after others were added"),
        (Fault::IsUnavailable, "the replay store failed"),
    ] {
        let store = Careless {
            fault,
            store: MemoryReplays::new(),
            known: Arc::default(),
            until: Arc::default(),
        };
        let checked = tokio::spawn(async move { check_replay_store(&store).await }).await;
        let panic = checked.expect_err("the fault is found").into_panic();
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains(rule), "{fault:?}: {text}");
    }
}
