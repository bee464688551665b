//! API keys in SQLite and PostgreSQL.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tower_jwt_auth::credential::api_keys::{
    ApiKeyErrorKind, ApiKeyRecord, ApiKeyStore, ApiKeyTarget, ApiKeys,
};
use tower_jwt_auth::testing::check_api_key_store;

use crate::support::{give_up_after, now, text};

fn keys_in(store: impl ApiKeyStore) -> ApiKeys {
    // The machine may be busy: the result is tested, and not the time.
    let builder = ApiKeys::builder("acme", store).store_timeout(Duration::from_secs(60));
    builder.max_keys_per_owner(5).build().unwrap()
}

/// Creates 64 keys of one owner at once on two nodes, and revokes them.
async fn creations_at_once<S: ApiKeyStore + Clone>(store: &S) {
    let nodes = [keys_in(store.clone()), keys_in(store.clone())];
    let mut running = JoinSet::new();
    for number in 0..64 {
        let keys = nodes[number % 2].clone();
        running.spawn(async move {
            let new = keys.create("creator").scope("a").issue().await;
            new.map(|new| new.text().to_owned())
        });
    }
    let mut texts = HashSet::new();
    while let Some(created) = running.join_next().await {
        match created.unwrap() {
            Ok(text) => assert!(texts.insert(text)),
            Err(error) => assert_eq!(error.kind(), ApiKeyErrorKind::LimitReached, "{error:?}"),
        }
    }
    assert_eq!(texts.len(), 5);
    for text in &texts {
        for keys in &nodes {
            let token = keys.verify(text).await.unwrap();
            assert_eq!(token.subject(), Some("creator"));
            assert!(token.has_scope("a"));
        }
    }
    assert_eq!(nodes[0].list("creator").await.unwrap().len(), 5);
    assert_eq!(nodes[0].revoke_all("creator").await.unwrap(), 5);
    for text in &texts {
        nodes[0].verify(text).await.unwrap_err();
    }
    assert!(nodes[1].list("creator").await.unwrap().is_empty());
}

/// Drops calls at any point: each has taken effect completely or not at all.
async fn dropped_futures<S: ApiKeyStore>(store: &S) {
    let mut given_up = 0;
    for polls in 0..30 {
        let owner = format!("dropper {polls}");
        let key = |name: &str| ApiKeyRecord::new(format!("{name} {polls}"), &*owner, now());
        assert!(store.insert(&key("old"), 2).await.unwrap());
        let new = key("new");
        given_up += u32::from(give_up_after(polls, store.insert(&new, 2)).await.is_none());
        // Others can use the connection, and their writes are committed.
        assert!(store.insert(&key("other"), 5).await.unwrap());
        let target = ApiKeyTarget::Owner(&owner);
        give_up_after(polls, store.revoke(target, 10)).await;
        let left = store.list(&owner).await.unwrap().len();
        assert!(left <= 3, "{left}");
        store.revoke(target, 10).await.unwrap();
    }
    assert!(given_up > 0);
}

async fn impossible_requests_are_errors<S: ApiKeyStore>(store: &S, duplicate: &str) {
    let record = ApiKeyRecord::new("error", "alice", now());
    assert!(store.insert(&record, 5).await.unwrap());
    let error = store.insert(&record, 5).await.unwrap_err();
    assert!(text(&error).contains(duplicate), "{}", text(&error));
    let mut large = ApiKeyRecord::new("large", "alice", now());
    large.expires_at = Some(u64::MAX);
    let error = store.insert(&large, 5).await.unwrap_err();
    assert!(text(&error).contains("too large"), "{}", text(&error));
    assert_eq!(store.list("alice").await.unwrap(), [record]);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx::sqlite::SqliteSynchronous;
    use tower_jwt_auth::credential::api_keys::SqliteApiKeys;

    use super::*;
    use crate::sqlite::{options, pool};
    use crate::support::Directory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn api_keys_in_sqlite_keep_every_rule() {
        let directory = Directory::new("keys");
        let store = SqliteApiKeys::open(pool(options(&directory)).await);
        let store = store.await.unwrap();
        store.migrate().await.unwrap();
        check_api_key_store(&store).await;
        creations_at_once(&store).await;
        dropped_futures(&store).await;
        impossible_requests_are_errors(&store, "UNIQUE").await;
    }

    #[tokio::test]
    async fn a_missing_table_is_an_outage() {
        let directory = Directory::new("keys");
        let store = SqliteApiKeys::new(pool(options(&directory)).await);
        let error = store.find("a").await.unwrap_err();
        assert!(text(&error).contains("no such table"), "{}", text(&error));
        let error = keys_in(store).create("alice").issue().await.unwrap_err();
        assert_eq!(error.kind(), ApiKeyErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn a_key_is_found_among_100_000_by_an_index() {
        let directory = Directory::new("keys");
        let options = options(&directory).synchronous(SqliteSynchronous::Off);
        let pool = pool(options).await;
        let store = SqliteApiKeys::open(pool.clone()).await.unwrap();
        let keys = keys_in(store.clone());
        let before = keys.create("alice").issue().await.unwrap();
        let fill = "WITH RECURSIVE number(n) AS \
             (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000) \
             INSERT INTO jwt_api_keys SELECT printf('%016d', n), 'owner ' || (n % 10000), \
             'AAAA', NULL, '{}', n, CASE WHEN n % 10 = 0 THEN n END, NULL FROM number";
        sqlx::query(fill).execute(&pool).await.unwrap();
        let after = keys.create("alice").issue().await.unwrap();
        for new in [&before, &after] {
            let token = keys.verify(new.text()).await.unwrap();
            assert_eq!(token.subject(), Some("alice"));
        }
        assert_eq!(keys.list("owner 7").await.unwrap().len(), 10);
        assert_eq!(
            store
                .revoke(ApiKeyTarget::Owner("owner 7"), 100)
                .await
                .unwrap()
                .len(),
            10
        );
        assert_eq!(store.clean_up(100_000, 500).await.unwrap(), 500);

        for statement in [
            "SELECT * FROM jwt_api_keys WHERE id = 'a'",
            "SELECT * FROM jwt_api_keys WHERE owner = 'a' ORDER BY created_at DESC, id DESC",
            "SELECT count(*) FROM jwt_api_keys WHERE owner = 'a'",
            "DELETE FROM jwt_api_keys WHERE owner = 'a' AND expires_at <= 5",
            "SELECT id FROM jwt_api_keys WHERE expires_at <= 5 ORDER BY expires_at LIMIT 5",
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(&pool).await.unwrap();
            let is_search = |(.., step): &(i64, i64, i64, String)| step.starts_with("SEARCH");
            assert!(plan.iter().all(is_search), "{statement}: {plan:?}");
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use tower_jwt_auth::credential::api_keys::PostgresApiKeys;

    use super::*;
    use crate::support::pgbouncer::PgBouncer;
    use crate::support::postgres::{Server, pool};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn api_keys_in_postgres_keep_every_rule() {
        let Some(mut server) = Server::start().await else {
            return;
        };
        let database = server.pool(20).await;
        // Eight nodes start at once.
        let mut nodes: JoinSet<_> = (0..8)
            .map(|_| PostgresApiKeys::open(database.clone()))
            .collect();
        while let Some(node) = nodes.join_next().await {
            node.unwrap().unwrap();
        }
        let store = PostgresApiKeys::new(database.clone());
        check_api_key_store(&store).await;
        creations_at_once(&store).await;
        dropped_futures(&store).await;
        impossible_requests_are_errors(&store, "duplicate key").await;
        let long = "\u{4e00}".repeat(8_000);
        let record = ApiKeyRecord::new("long", &long, now());
        assert!(store.insert(&record, 1).await.unwrap());
        assert_eq!(store.list(&long).await.unwrap(), [record]);
        indexes_are_used(&database).await;

        // At a stricter isolation level, the limit still holds.
        let strict = [("default_transaction_isolation", "serializable")];
        let strict = pool(server.options().options(strict), 20).await;
        creations_at_once(&PostgresApiKeys::new(strict)).await;

        // The same if texts are compared by the rules of a language.
        let create =
            "CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
        match sqlx::query(create).execute(&database).await {
            Ok(_) => {
                let english = pool(server.options().database("english"), 20).await;
                check_api_key_store(&PostgresApiKeys::open(english).await.unwrap()).await;
            }
            Err(error) => eprintln!("not tested: a database with ICU collation: {error}"),
        }

        // An outage is not a refusal, and the keys are there when it is over.
        let new = keys_in(store.clone())
            .create("alice")
            .issue()
            .await
            .unwrap();
        let keys = ApiKeys::builder("acme", store).build().unwrap(); // with the default time limit
        server.kill();
        let kind = keys.verify(new.text()).await.unwrap_err().kind();
        assert_eq!(kind, tower_jwt_auth::AuthErrorKind::Unavailable);
        server.restart().await;
        while keys.verify(new.text()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn indexes_are_used(database: &sqlx::PgPool) {
        for statement in [
            "SELECT id FROM jwt_api_keys WHERE id = 'a'",
            "SELECT id FROM jwt_api_keys WHERE owner = 'a'",
            "SELECT id FROM jwt_api_keys WHERE expires_at <= 5 ORDER BY expires_at LIMIT 5",
        ] {
            let mut connection = database.acquire().await.unwrap();
            let set = sqlx::raw_sql("SET enable_seqscan = off");
            set.execute(&mut *connection).await.unwrap();
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {statement}"));
            let plan: Vec<String> = sqlx::query_scalar(explain)
                .fetch_all(&mut *connection)
                .await
                .unwrap();
            let plan = plan.join("\n");
            assert!(
                plan.contains("Index") && !plan.contains("Seq Scan"),
                "{plan}"
            );
            connection.close().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn api_keys_work_behind_a_pooler_or_do_not_start() {
        let Some(server) = Server::start().await else {
            return;
        };
        let mixed_up = "pool_mode = transaction\ndefault_pool_size = 2";
        let Some(pooler) = PgBouncer::start(&server, mixed_up).await else {
            return;
        };
        let error = PostgresApiKeys::open(pooler.pool(4).await)
            .await
            .unwrap_err();
        assert!(text(&error).contains("mixes up"), "{}", text(&error));
        let session = "pool_mode = session\ndefault_pool_size = 20";
        let Some(pooler) = PgBouncer::start(&server, session).await else {
            return;
        };
        let store = PostgresApiKeys::open(pooler.pool(4).await).await.unwrap();
        creations_at_once(&store).await;
    }
}
