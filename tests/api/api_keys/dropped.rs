//! A request that is dropped at any point leaves nothing half done.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use tower_jwt_auth::credential::api_keys::ApiKeys;
use tower_jwt_auth::revocation::MemoryRevocations;

use super::{Setting, setting_with, settle, verdict};
use crate::sessions::store::Mode;

/// Polls a call at most `polls` times and then drops it. Returns whether it was complete by then.
async fn dropped_after<T>(polls: u32, call: impl Future<Output = T>) -> bool {
    let mut call = pin!(call);
    for _ in 0..polls {
        let done =
            std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
        if done.await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

fn setting() -> (Setting, MemoryRevocations) {
    let revocations = MemoryRevocations::with_clock(crate::support::builder().1);
    let store = revocations.clone();
    (
        setting_with(|builder| builder.revocation(store)),
        revocations,
    )
}

async fn until_quiet() {
    for _ in 0..20 {
        settle().await;
    }
}

/// Drops a revocation of alice's only key at every point.
async fn dropped_at_each_moment(revoke: impl AsyncFn(&ApiKeys, &str)) {
    for polls in 1.. {
        let (setting, revocations) = setting();
        let (id, key) = setting.key().await;
        assert_eq!(setting.verdict(&key).await, Ok(()));
        setting.store.set(Mode::Slow(3));
        let done = dropped_after(polls, revoke(&setting.keys, &id)).await;
        until_quiet().await;
        assert_ne!(setting.verdict(&key).await, Ok(()), "{polls}");
        assert_eq!(revocations.len(), 1, "{polls}");
        assert!(setting.store.inner.is_empty());
        if done {
            assert!(polls > 3, "the store was too quick to be interrupted");
            return;
        }
    }
}

#[tokio::test]
async fn a_dropped_revocation_still_takes_effect() {
    dropped_at_each_moment(async |keys, id| assert!(keys.revoke(id).await.unwrap())).await;
    dropped_at_each_moment(async |keys, id| {
        assert!(keys.revoke_owned_by("alice", id).await.unwrap());
    })
    .await;
    dropped_at_each_moment(async |keys, _| {
        assert_eq!(keys.revoke_all("alice").await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_creation_leaves_no_key() {
    for polls in 1.. {
        let (setting, _) = setting();
        setting.store.set(Mode::Slow(3));
        let done = dropped_after(polls, setting.keys.create("alice").issue()).await;
        until_quiet().await;
        assert_eq!(setting.store.inner.len(), usize::from(done), "{polls}");
        assert_eq!(setting.events().len(), usize::from(done), "{polls}");
        if done {
            assert!(polls > 3, "the store was too quick to be interrupted");
            return;
        }
    }
}

#[tokio::test]
async fn the_next_request_repeats_a_dropped_look_up() {
    for polls in 1..30 {
        let (setting, _) = setting();
        let (_, key) = setting.key().await;
        setting.store.set(Mode::Slow(3));
        let waiting = {
            let (keys, key) = (setting.keys.clone(), key.clone());
            tokio::spawn(async move {
                settle().await;
                verdict(&keys, &key).await
            })
        };
        dropped_after(polls, setting.verdict(&key)).await;
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(setting.verdict(&key).await, Ok(()));
    }
}
