//! What is in Redis: keys that expire, indexes that heal, and what is damaged.

use tower_jwt_auth::sessions::{RedisSessions, Rotation, SessionStore};

use crate::server::Server;
use crate::sessions::{HOUR, now, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_expire_and_indexes_heal() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::connect(server.url()).await.unwrap();
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

    // A session that is gone leaves the index with the next look at it.
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

    // An index that is gone comes back with the sessions that are used.
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

    // What is no session is an error, and never an unknown session.
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
