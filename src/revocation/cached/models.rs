//! Models of requests that ask while a token is revoked.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::CachedRevocations;
use crate::clock::ManualClock;
use crate::revocation::{Revocation, RevocationQuery, RevocationStore};
use crate::store::StoreError;

const QUERY: RevocationQuery<'static> = RevocationQuery::new("alice", "t1", 5);

/// A store with one token.
#[derive(Debug)]
struct Store(AtomicBool);

impl RevocationStore for Store {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

/// Revokes the token in one way while two requests ask about it: no request that begins after that may
/// pass.
fn model(revoke: fn(&CachedRevocations<Store>)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let cached = CachedRevocations::new(Store(AtomicBool::new(false)));
        let cached = Arc::new(cached.clock(ManualClock::at_unix_seconds(10)));
        assert!(!block_on(cached.is_revoked(&QUERY)).unwrap());
        let is_over = Arc::new(AtomicBool::new(false));
        let revoking = thread::spawn({
            let (cached, is_over) = (Arc::clone(&cached), Arc::clone(&is_over));
            move || {
                revoke(&cached);
                is_over.store(true, Ordering::SeqCst);
            }
        });
        let asking = thread::spawn({
            let (cached, is_over) = (Arc::clone(&cached), Arc::clone(&is_over));
            move || ask(&cached, &is_over)
        });
        ask(&cached, &is_over);
        revoking.join().unwrap();
        asking.join().unwrap();
        ask(&cached, &is_over);
    });
}

fn ask(cached: &CachedRevocations<Store>, is_over: &AtomicBool) {
    let was_over = is_over.load(Ordering::SeqCst);
    if was_over {
        assert_ne!(cached.peek(&QUERY), Some(false), "by memory");
    }
    let is_revoked = block_on(cached.is_revoked(&QUERY)).unwrap();
    assert!(is_revoked || !was_over, "by asking");
}

#[test]
fn a_revocation_beats_the_look_ups_in_flight() {
    model(|cached| {
        let until = UNIX_EPOCH + Duration::from_secs(100);
        let revocation = Revocation::token(None, "t1", until);
        block_on(cached.revoke(&[revocation])).unwrap();
    });
}

#[test]
fn a_revocation_of_another_node_counts_once_it_is_learned() {
    model(|cached| {
        cached.store().0.store(true, Ordering::SeqCst);
        let until = UNIX_EPOCH + Duration::from_secs(100);
        cached.apply(&Revocation::token(None, "t1", until));
    });
}

#[test]
fn no_answer_from_before_counts_after_negatives_are_forgotten() {
    model(|cached| {
        cached.store().0.store(true, Ordering::SeqCst);
        cached.forget_negatives();
    });
}
