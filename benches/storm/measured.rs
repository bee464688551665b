//! Measurements of a store outside the process: one request at a time, from one task.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};

use crate::{ISSUER, REVOCATIONS, SESSIONS, row, subject, token_id};

/// The number of requests that are measured.
const REQUESTS: usize = 5000;
/// The number of concurrent requests while the store is filled.
const AT_ONCE: usize = 32;

/// The time of one of [`REQUESTS`].
async fn timed(mut one: impl AsyncFnMut(usize)) -> Duration {
    let start = Instant::now();
    for number in 0..REQUESTS {
        one(number).await;
    }
    start.elapsed() / u32::try_from(REQUESTS).unwrap()
}

/// Indexes spread over all of them, each used at most once.
fn spread(number: usize, of: usize) -> usize {
    number * 7919 % of
}

/// Does all of the work concurrently, and returns the time of one piece.
pub(crate) async fn all<F>(count: usize, one: impl Fn(usize) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..count {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(one(number));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    start.elapsed() / u32::try_from(count).unwrap()
}

/// Measures a store that contains [`REVOCATIONS`] tokens.
pub(crate) async fn revocations(store: &impl RevocationStore) {
    let until = crate::memory::far();
    let each = timed(async |number| {
        let id = format!("one more {number:023}");
        let revocation = Revocation::token(Some(ISSUER), id, until);
        store.revoke(&[revocation]).await.unwrap();
    });
    row("revoke a token", each.await, None);
    let ask = async |id: &str| {
        let query = RevocationQuery::new("alice", id, 1).with_issuer(ISSUER);
        store.is_revoked(&query).await.unwrap()
    };
    let each = timed(async |number| assert!(ask(&token_id(spread(number, REVOCATIONS))).await));
    row("find a token among 100,000 revoked", each.await, None);
    let each = timed(async |number| assert!(!ask(&format!("none of them {number:019}")).await));
    row("find that a token is not among them", each.await, None);
}

/// Exchanges a refresh token for the next one.
async fn refresh(sessions: &Sessions, token: &str) -> String {
    let refresh = sessions.refresh(token).await.unwrap();
    refresh.issue().await.unwrap().tokens.refresh_token
}

/// Measures a store that contains [`SESSIONS`].
pub(crate) async fn sessions(sessions: &Sessions) {
    let mut current = Vec::new();
    let each = timed(async |number| {
        let login = sessions.open(format!("new{number:06}")).scope("read");
        current.push(login.label("laptop").issue().await.unwrap().refresh_token);
    });
    row("open a session among 1,000,000", each.await, None);
    let each = timed(async |number| {
        let place = spread(number, REQUESTS);
        current[place] = refresh(sessions, &current[place]).await;
    });
    row("refresh among 1,000,000 sessions", each.await, None);
    let each = all(REQUESTS, |number| {
        let (sessions, token) = (sessions.clone(), current[number].clone());
        async move { drop(refresh(&sessions, &token).await) }
    });
    row("  the same, 32 at once", each.await, None);
    let each = timed(async |number| {
        let subject = subject(spread(number, SESSIONS));
        assert_eq!(sessions.list(&subject).await.unwrap().len(), 4);
    });
    row("list the 4 sessions of one subject", each.await, None);
    let each = timed(async |number| {
        let subject = subject(4 * number);
        assert_eq!(sessions.end_all(&subject).await.unwrap(), 4);
    });
    row(
        "end the 4 sessions of one subject, revoke their tokens",
        each.await,
        None,
    );
}
