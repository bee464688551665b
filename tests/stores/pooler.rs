//! PgBouncer in front of PostgreSQL: with and without separate prepared statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinSet;
use tower_jwt_auth::revocation::PostgresRevocations;
use tower_jwt_auth::sessions::{
    EndReason, EndSessions, PostgresSessions, SessionStore, SessionTarget,
};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::{Server, pool};
use crate::support::slow_network::SlowNetwork;
use crate::support::transaction_pooler::TransactionPooler;
use crate::support::{now, session, text};

/// Asserts that a store does not open on this pool, and that the error says what to do.
async fn refused(pool: PgPool, what: &str) {
    let found = match PostgresSessions::open(pool.clone()).await {
        Ok(_) => panic!("{what}: it opens"),
        Err(error) => text(&error),
    };
    for word in ["mixes up", "session pooling", "max_prepared_statements"] {
        assert!(found.contains(word), "{what}: {found}");
    }
    pool.close().await;
}

/// The reason for the check: the pooler runs a statement of another client.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_check_the_wrong_session_would_end() {
    let Some(server) = Server::start().await else {
        return;
    };
    let direct = PostgresSessions::open(server.pool(2).await).await.unwrap();
    let settings = "pool_mode = transaction\ndefault_pool_size = 2";
    let Some(pooler) = PgBouncer::start(&server, settings).await else {
        return;
    };
    for name in ["phone", "tablet", "laptop"] {
        direct.create(&session(name, "alice"), None).await.unwrap();
    }
    let end = |target| EndSessions::new(target, EndReason::Revoked, now());

    // One node ends all sessions of another user: its first statement.
    let database = pooler.pool(1).await;
    let one = PostgresSessions::new(database.clone());
    let others = SessionTarget::OthersOf {
        session: "none",
        subject: "bob",
    };
    one.end(end(others)).await.unwrap();
    back_in(&database).await;
    // Another node ends one session: its first statement, on another connection of the pooler.
    let mut holder = pooler.options().connect().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut holder).await.unwrap();
    let database = pooler.pool(1).await;
    let other = PostgresSessions::new(database.clone());
    let that = |session| SessionTarget::SessionOf {
        session,
        subject: "alice",
    };
    other.end(end(that("none"))).await.unwrap();
    back_in(&database).await;
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();

    // Now the second node gets the connection on which the first one prepared its statement.
    let ended = other.end(end(that("phone"))).await.unwrap();
    let mut ended: Vec<_> = ended.iter().map(|session| session.id.as_str()).collect();
    ended.sort_unstable();
    assert_eq!(ended, ["laptop", "tablet"], "and it reports success");
    let listed = direct.list("alice", now()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, "phone");
    holder.close().await.unwrap();
}

/// Waits until a pool has its connection back: it first asks the server whether the connection works.
async fn back_in(pool: &PgPool) {
    for _ in 0..6_000 {
        if pool.num_idle() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the connection does not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_do_not_open_behind_a_pooler_that_mixes_up_statements() {
    const OPENED: usize = 20;
    let Some(server) = Server::start().await else {
        return;
    };
    for (mode, size, round_robin) in [
        ("transaction", 1, 0),
        ("transaction", 2, 0),
        ("transaction", 2, 1),
        ("transaction", 20, 0),
        ("transaction", 20, 1),
        ("statement", 2, 0),
    ] {
        let settings = format!(
            "pool_mode = {mode}\n\
             default_pool_size = {size}\n\
             server_round_robin = {round_robin}"
        );
        let Some(pooler) = PgBouncer::start(&server, &settings).await else {
            return;
        };
        for capacity in [100, 0] {
            let options = pooler.options().statement_cache_capacity(capacity);
            for _ in 0..OPENED {
                let pool = pool(options.clone(), 2).await;
                refused(pool, &format!("{settings}, {capacity} statements")).await;
            }
            let revocations = PostgresRevocations::new(pool(options.clone(), 2).await);
            let error = revocations.migrate().await.unwrap_err();
            assert!(text(&error).contains("mixes up"), "{}", text(&error));
            revocations.check_pooler().await.unwrap_err();
        }
    }
}

/// Other programs, which prepare no statements, keep the pooler's connections in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_do_not_open_behind_such_a_pooler_that_is_busy() {
    const OPENED: usize = 20;
    let Some(server) = Server::start().await else {
        return;
    };
    for (size, round_robin) in [(2, 0), (20, 0), (20, 1)] {
        let settings = format!(
            "pool_mode = transaction\n\
             default_pool_size = {size}\n\
             server_round_robin = {round_robin}"
        );
        let Some(pooler) = PgBouncer::start(&server, &settings).await else {
            return;
        };
        let stop = Arc::new(AtomicBool::new(false));
        let mut others: JoinSet<()> = (0..12)
            .map(|number| keep_busy(pooler.options(), number, Arc::clone(&stop)))
            .collect();
        for _ in 0..OPENED {
            refused(pooler.pool(2).await, &settings).await;
        }
        stop.store(true, Ordering::Relaxed);
        while let Some(other) = others.join_next().await {
            other.unwrap();
        }
    }
}

/// A client that is served late looks like one that waits until another is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_do_not_open_behind_such_a_pooler_on_a_slow_network() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 2";
    let Some((_server, pooler)) = PgBouncer::with_server(settings).await else {
        return;
    };
    let network = SlowNetwork::start(pooler.socket(), Duration::from_secs(1));
    let options = network.through(pooler.options());
    refused(pool(options, 2).await, "a second for each connection").await;
}

async fn keep_busy(options: PgConnectOptions, number: u32, stop: Arc<AtomicBool>) {
    let mut connection = options.connect().await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let sleep = sqlx::AssertSqlSafe(format!("SELECT pg_sleep(0.00{})", number % 5));
        sqlx::raw_sql(sleep).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_behind_session_pooling_keep_every_rule() {
    let settings = "pool_mode = session\ndefault_pool_size = 25";
    let Some((_server, pooler)) = PgBouncer::with_server(settings).await else {
        return;
    };
    let database = pooler.pool(20).await;
    let sessions = PostgresSessions::open(database.clone()).await.unwrap();
    check_session_store(&sessions).await;
    let revocations = PostgresRevocations::open(database).await.unwrap();
    check_revocation_store(&revocations).await;
}

/// Such as PgBouncer 1.21 or later, which is not on every machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_work_behind_a_pooler_that_separates_statements() {
    let Some(server) = Server::start().await else {
        return;
    };
    let pooler = TransactionPooler::start(&server, 5);
    let sessions = PostgresSessions::open(pooler.pool(8).await).await.unwrap();
    check_session_store(&sessions).await;
    for (size, capacity) in [(5, 0), (1, 100)] {
        let pooler = TransactionPooler::start(&server, size);
        let options = pooler.options().statement_cache_capacity(capacity);
        let revocations = PostgresRevocations::open(pool(options, 8).await).await;
        check_revocation_store(&revocations.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_share_a_pool_check_it_once() {
    let Some(server) = Server::start().await else {
        return;
    };
    let pooler = TransactionPooler::start(&server, 5);
    let pool = pooler.pool(1).await;
    PostgresSessions::open(pool.clone()).await.unwrap();
    let clients = pooler.clients();
    assert!(clients > 1, "the pool was not checked");
    let revocations = PostgresRevocations::open(pool).await.unwrap();
    assert_eq!(pooler.clients(), clients);

    // The application can have the check made again at any time. Another pool is checked in any case.
    revocations.check_pooler().await.unwrap();
    let again = pooler.clients();
    assert!(again > clients);
    let other = pooler.pool(1).await;
    let before = pooler.clients();
    PostgresRevocations::open(other).await.unwrap();
    assert!(pooler.clients() > before);
}

/// The pool then has the only connection that is available.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_open_behind_session_pooling_without_spare_connections() {
    let Some(server) = Server::start().await else {
        return;
    };
    for size in [1, 2] {
        let settings = format!("pool_mode = session\ndefault_pool_size = {size}");
        let Some(pooler) = PgBouncer::start(&server, &settings).await else {
            return;
        };
        let sessions = PostgresSessions::open(pooler.pool(1).await).await.unwrap();
        assert!(sessions.list("nobody", now()).await.unwrap().is_empty());
    }
}

/// Session pooling is not enough if the next client gets the statements of the previous one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_do_not_open_behind_session_pooling_without_a_reset() {
    let settings = "pool_mode = session\nserver_reset_query =";
    let Some((_server, pooler)) = PgBouncer::with_server(settings).await else {
        return;
    };
    refused(pooler.pool(2).await, settings).await;
}
