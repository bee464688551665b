//! A subject with more sessions than a list can contain.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tower_jwt_auth::sessions::{
    CreateOutcome, EndReason, EndSessions, RedisSessions, SessionLimit, SessionStore,
    SessionTarget, WhenFull,
};

use crate::server::Server;
use crate::sessions::{now, session};

/// Opens sessions, each used a microsecond after the one before.
async fn open(store: &RedisSessions, count: u64) -> u64 {
    let now = now();
    for part in (0..count).collect::<Vec<_>>().chunks(100) {
        let mut tasks = JoinSet::new();
        for number in part.iter().copied() {
            let store = store.clone();
            let mut record = session(&format!("s{number}"), "alice", now);
            record.last_used_at = now + number;
            tasks.spawn(async move { store.create(&record, None).await.unwrap() });
        }
        tasks.join_all().await;
    }
    now
}

/// The number of calls of a command since the statistics were reset.
async fn calls(redis: &mut MultiplexedConnection, command: &str) -> u64 {
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(redis)
        .await
        .unwrap();
    let line = format!("cmdstat_{command}:calls=");
    let Some((_, calls)) = info.split_once(&line) else {
        return 0;
    };
    calls.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_bounded_and_an_end_reaches_all_sessions() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::new(server.patient().await);
    let now = open(&store, 2600).await + 10_000;
    // The session that was used last was opened first.
    store.acknowledge("s0", 0).await.unwrap();

    let mut redis = server.connection().await;
    let reset = redis::cmd("CONFIG").arg("RESETSTAT").clone();
    reset.query_async::<()>(&mut redis).await.unwrap();
    let listed = store.list("alice", now).await.unwrap();
    assert_eq!(calls(&mut redis, "hgetall").await, 2000);
    let newest: Vec<_> = (1600..2600)
        .rev()
        .map(|number| format!("s{number}"))
        .collect();
    let ids: Vec<_> = listed.into_iter().map(|record| record.id).collect();
    assert_eq!(ids, newest);

    let target = SessionTarget::OthersOf {
        session: "s0",
        subject: "alice",
    };
    let mut end = EndSessions::new(target, EndReason::Revoked, now);
    end.ended_since = now;
    let ended = store.end(end).await.unwrap();
    assert_eq!(ended.len(), 2599);
    let left = store.list("alice", now).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, "s0");
    // A caller that was interrupted repeats the call, and gets the same result.
    end.now += 1;
    let again = store.end(end).await.unwrap();
    assert!(again == ended, "{} are told again", again.len());
    end.ended_since += 1;
    let again = store.end(end).await.unwrap();
    assert!(again.is_empty(), "{} are told again", again.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lowered_limit_ends_all_excess_sessions() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::new(server.patient().await);
    let now = open(&store, 1200).await + 10_000;
    let create = async |id: &str, when_full| {
        let limit = Some(SessionLimit::new(3, when_full));
        store
            .create(&session(id, "alice", now), limit)
            .await
            .unwrap()
    };
    assert_eq!(
        create("refused", WhenFull::Refuse).await,
        CreateOutcome::Full
    );
    let CreateOutcome::Opened { ended } = create("new", WhenFull::EndOldest).await else {
        panic!("full");
    };
    let ended: BTreeSet<_> = ended.into_iter().map(|session| session.id).collect();
    assert_eq!(
        ended,
        (0..1198).map(|number| format!("s{number}")).collect()
    );
    let live = store.list("alice", now).await.unwrap();
    let ids: Vec<_> = live.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["new", "s1199", "s1198"]);
}
