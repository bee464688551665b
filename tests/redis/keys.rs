//! The content of Redis: keys expire, indexes are repaired, and damaged values are errors.

use tower_jwt_auth::sessions::{
    EndReason, EndSessions, EndedSession, RedisSessions, Rotation, SessionStore, SessionTarget,
};

use crate::server::Server;
use crate::sessions::{HOUR, now, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_expire_and_indexes_are_repaired() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::new(server.patient().await);
    let mut redis = server.connection().await;
    let now = now();
    for id in ["a", "b", "c"] {
        store
            .create(&session(id, "alice", now), None)
            .await
            .unwrap();
    }
    let left: u64 = redis::cmd("PTTL")
        .arg("jwt-auth:{a}:s")
        .query_async(&mut redis)
        .await
        .unwrap();
    let expected = 48 * HOUR / 1000;
    assert!((expected - 10_000..=expected).contains(&left), "{left}");

    // A session that is gone is removed from the index the next time the index is read.
    let _: () = redis::cmd("DEL")
        .arg("jwt-auth:{a}:s")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(store.list("alice", now).await.unwrap().len(), 2);
    let index: Vec<String> = redis::cmd("ZRANGE")
        .arg("jwt-auth:{u:alice}:u")
        .arg(0)
        .arg(-1)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(index, ["b", "c"]);

    // An index that was lost is rebuilt by the sessions that are in use.
    let _: () = redis::cmd("DEL")
        .arg("jwt-auth:{u:alice}:u")
        .query_async(&mut redis)
        .await
        .unwrap();
    store.acknowledge("c", 0).await.unwrap();
    let live = store.list("alice", now).await.unwrap();
    assert_eq!(
        live.iter().map(|record| &record.id).collect::<Vec<_>>(),
        ["c"]
    );

    // A session that was ended moves to the index of ended sessions, and is found there again.
    let target = SessionTarget::Subject("alice");
    let mut end = EndSessions::new(target, EndReason::Revoked, now);
    end.ended_since = now;
    let ended = store.end(end).await.unwrap();
    assert_eq!(ended, [EndedSession::new("c", "alice", now)]);
    let kept: (Vec<String>, Vec<(String, u64)>, u64) = redis::pipe()
        .cmd("ZRANGE")
        .arg("jwt-auth:{u:alice}:u")
        .arg(0)
        .arg(-1)
        .cmd("ZRANGE")
        .arg("jwt-auth:{u:alice}:e")
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .cmd("TTL")
        .arg("jwt-auth:{u:alice}:e")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(kept.0.is_empty(), "{kept:?}");
    assert_eq!(kept.1, [("c".to_owned(), now / 1_000_000)]);
    assert!((86_000..=86_400).contains(&kept.2), "{kept:?}");
    assert_eq!(store.end(end).await.unwrap(), ended);
    // If only the index contains it, the session itself is read.
    let _: () = redis::cmd("HDEL")
        .arg("jwt-auth:{c}:s")
        .arg("ended")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(store.end(end).await.unwrap(), ended);
    let ended_at: u64 = redis::cmd("HGET")
        .arg("jwt-auth:{c}:s")
        .arg("ended")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(ended_at, now);

    // A malformed value is an error, and never an unknown session.
    let _: () = redis::cmd("SET")
        .arg("jwt-auth:{x}:s")
        .arg("1")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(
        store
            .rotate(&Rotation::new("x", 0, "t", now))
            .await
            .is_err()
    );
    let _: () = redis::cmd("HDEL")
        .arg("jwt-auth:{b}:s")
        .arg("gen")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(
        store
            .rotate(&Rotation::new("b", 0, "t", now))
            .await
            .is_err()
    );
}
