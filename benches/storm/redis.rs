//! Measurements in Redis, filled through the stores with 32 concurrent requests.

use tower_jwt_auth::Sessions;
use tower_jwt_auth::revocation::{RedisRevocations, Revocation, RevocationStore};
use tower_jwt_auth::sessions::RedisSessions;
use tower_jwt_auth::store::RedisConnection;

use crate::{ISSUER, REVOCATIONS, SESSIONS, measured, memory, row, subject, token_id, tokens};

/// A line of `INFO`.
async fn info(connection: &mut RedisConnection, name: &str) -> String {
    let info: String = redis::cmd("INFO").query_async(connection).await.unwrap();
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| *key == name).unwrap().1.to_owned()
}

async fn used(connection: &mut RedisConnection) -> u64 {
    info(connection, "used_memory").await.parse().unwrap()
}

pub(crate) async fn run(url: &str) {
    let mut connection = RedisConnection::connect(url).await.unwrap();
    let keys: u64 = redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        keys, 0,
        "STORM_REDIS_URL must name an empty database: it is emptied in the end"
    );
    let version = info(&mut connection, "redis_version").await;
    let aof = info(&mut connection, "aof_enabled").await;
    println!("\nRedis {version}, aof_enabled = {aof}");
    let record = RedisRevocations::connect(url).await.unwrap();
    let store = RedisSessions::connect(url).await.unwrap();
    let tokens = tokens().revocation(record.clone()).build().unwrap();
    let sessions = Sessions::builder(&tokens, store).build().unwrap();

    let before = used(&mut connection).await;
    let each = measured::all(REVOCATIONS, |number| {
        let (record, until) = (record.clone(), memory::far());
        let revocation = Revocation::token(Some(ISSUER), token_id(number), until);
        async move { record.revoke(&[revocation]).await.unwrap() }
    });
    let each = each.await;
    let bytes = (used(&mut connection).await - before) / REVOCATIONS as u64;
    row("revoke 100,000 tokens, 32 at once", each, Some(bytes));
    measured::revocations(&record).await;

    let before = used(&mut connection).await;
    let each = measured::all(SESSIONS, |number| {
        let sessions = sessions.clone();
        async move {
            let login = sessions.open(subject(number)).scope("read");
            login.label("laptop").issue().await.unwrap();
        }
    });
    let each = each.await;
    let bytes = (used(&mut connection).await - before) / SESSIONS as u64;
    row("open 1,000,000 sessions, 32 at once", each, Some(bytes));
    measured::sessions(&sessions).await;
    let () = redis::cmd("FLUSHDB")
        .arg("ASYNC")
        .query_async(&mut connection)
        .await
        .unwrap();
}
