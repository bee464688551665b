//! PostgreSQL: a server that is up, goes down, and comes up again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;
use tower_jwt_auth::credential::api_keys::{ApiKeyRecord, ApiKeyStore, PostgresApiKeys};
use tower_jwt_auth::dpop::{PostgresReplays, ReplayEntry, ReplayStore};
use tower_jwt_auth::revocation::{PostgresRevocations, Revocation, RevocationStore};
use tower_jwt_auth::sessions::{
    PostgresSessions, Rotation, RotationOutcome as Outcome, SessionLimit, SessionStore, WhenFull,
};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

use crate::processes::{self, Place};
use crate::rows::rotate_as_apply;
use crate::support::postgres::{Server, pool};
use crate::support::{give_up_after, now, session, text, thousands_at_once};

const FORTY_DAYS: Duration = Duration::from_secs(40 * 24 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_in_postgres_keep_every_rule() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.pool(20).await;
    // Eight nodes start at once.
    let mut nodes: JoinSet<()> = (0..8)
        .map(|_| {
            let sessions = PostgresSessions::new(database.clone());
            let revocations = PostgresRevocations::new(database.clone());
            async move {
                sessions.migrate().await.unwrap();
                revocations.migrate().await.unwrap();
            }
        })
        .collect();
    while let Some(node) = nodes.join_next().await {
        node.unwrap();
    }
    check_session_store(&PostgresSessions::new(database.clone())).await;
    check_revocation_store(&PostgresRevocations::new(database.clone())).await;

    // The same if texts are compared by the rules of a language.
    let create = "CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    match sqlx::query(create).execute(&database).await {
        Ok(_) => {
            let english = pool(server.options().database("english"), 20).await;
            let sessions = PostgresSessions::new(english.clone());
            sessions.migrate().await.unwrap();
            check_session_store(&sessions).await;
            let revocations = PostgresRevocations::new(english);
            revocations.migrate().await.unwrap();
            check_revocation_store(&revocations).await;
        }
        Err(error) => eprintln!("not tested: a database with ICU collation: {error}"),
    }
    revocations_are_removed(&PostgresRevocations::new(database.clone())).await;
    revocations_at_once(&PostgresRevocations::new(database.clone())).await;
    rotate_as_apply(&PostgresSessions::new(database.clone())).await;
    subjects_of_any_length(&PostgresSessions::new(database.clone())).await;
    indexes_are_used(&database).await;
    stricter_isolation(&server).await;
    dropped_futures(&server).await;
    errors(&PostgresSessions::new(database.clone()), &database).await;
}

async fn revocations_are_removed(revocations: &PostgresRevocations) {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let later = |seconds| at(seconds) + PostgresRevocations::CLEAN_UP_SLACK;
    for number in 0..5 {
        let entry = Revocation::session(None, format!("s{number}"), at(100 + number));
        revocations.revoke(&[entry]).await.unwrap();
    }
    let longer = Revocation::session(None, "s0", at(200));
    revocations.revoke(&[longer]).await.unwrap();
    // The clock of this node may be ahead.
    assert_eq!(revocations.clean_up(at(3000), 10).await.unwrap(), 0);
    assert_eq!(revocations.clean_up(later(100), 10).await.unwrap(), 0);
    assert_eq!(revocations.clean_up(later(103), 2).await.unwrap(), 2);
    assert_eq!(revocations.clean_up(later(103), 2).await.unwrap(), 1);
    assert_eq!(revocations.clean_up(later(199), 5).await.unwrap(), 1);
    assert_eq!(revocations.clean_up(later(200), 5).await.unwrap(), 1);

    let until = SystemTime::now() + Duration::from_secs(3600);
    let needed = Revocation::session(None, "needed", until);
    revocations.revoke(&[needed]).await.unwrap();
    let ahead = SystemTime::now() + FORTY_DAYS;
    assert_eq!(revocations.clean_up(ahead, 5).await.unwrap(), 0);
}

/// A node whose clock was ahead when it started.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_is_40_days_ahead_removes_nothing_that_is_needed() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.pool(4).await;
    let sessions = PostgresSessions::open(database.clone()).await.unwrap();
    let ahead = now() + u64::try_from(FORTY_DAYS.as_micros()).unwrap();
    let mut record = session("a", "alice");
    record.idle_ttl = 30 * 24 * 3_600_000_000;
    record.expires_at = now() + record.idle_ttl;
    sessions.create(&record, None).await.unwrap();
    assert_eq!(sessions.clean_up(ahead, 5).await.unwrap(), 0);
    assert_eq!(sessions.list("alice", now()).await.unwrap(), [record]);

    let replays = PostgresReplays::open(database.clone()).await.unwrap();
    let proof = || ReplayEntry::new([7; 32], now(), now() + 90_000_000);
    assert!(replays.insert(proof()).await.unwrap());
    let date = SystemTime::now() + FORTY_DAYS;
    assert_eq!(replays.clean_up(date, 5).await.unwrap(), 0);
    assert!(!replays.insert(proof()).await.unwrap());

    let keys = PostgresApiKeys::open(database).await.unwrap();
    let mut key = ApiKeyRecord::new("k", "alice", now());
    key.expires_at = Some(now() + u64::try_from(FORTY_DAYS.as_micros()).unwrap() / 2);
    assert!(keys.insert(&key, 5).await.unwrap());
    assert_eq!(keys.clean_up(ahead, 5).await.unwrap(), 0);
    assert!(keys.find("k").await.unwrap().is_some());
}

/// Two calls with the same revocations in opposite orders do not deadlock.
async fn revocations_at_once(revocations: &PostgresRevocations) {
    thousands_at_once(revocations).await;
    let until = UNIX_EPOCH + Duration::from_secs(1 << 36);
    let mut all: Vec<_> = (0..1000)
        .map(|number| Revocation::session(None, format!("both{number}"), until))
        .collect();
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (revocations, these) = (revocations.clone(), all.clone());
        running.spawn(async move { revocations.revoke(&these).await.unwrap() });
        all.reverse();
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

async fn subjects_of_any_length(sessions: &PostgresSessions) {
    // Random letters, because the database would compress others.
    let mut state = 7_u64;
    let subject: String = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from_u32(0x4e00 + u32::try_from(state >> 52).unwrap()).unwrap()
    })
    .take(8_000)
    .collect();
    let record = session("long", &subject);
    sessions.create(&record, None).await.unwrap();
    let listed = sessions.list(&subject, record.created_at).await.unwrap();
    assert_eq!(listed, [record]);
}

async fn indexes_are_used(database: &PgPool) {
    for statement in [
        "SELECT id FROM jwt_sessions WHERE subject = 'a' AND ended_at IS NULL AND over_at > 5",
        "UPDATE jwt_sessions SET ended_at = 5 WHERE subject = 'a' \
         AND (ended_at IS NULL OR ended_at >= 5) RETURNING id",
        "SELECT id FROM jwt_sessions WHERE over_at <= 5 AND (ended_at IS NULL OR ended_at < 5) \
         ORDER BY over_at LIMIT 5",
        "SELECT id FROM jwt_revocations WHERE until <= 5 ORDER BY until LIMIT 5",
        "SELECT 1 FROM jwt_revocations WHERE id = 'a' AND kind = 'token' AND issuer = 'b'",
    ] {
        let mut connection = database.acquire().await.unwrap();
        sqlx::raw_sql("SET enable_seqscan = off")
            .execute(&mut *connection)
            .await
            .unwrap();
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

/// Concurrent rotations may then fail, but none forks, and limits hold.
async fn stricter_isolation(server: &Server) {
    let strict = [("default_transaction_isolation", "serializable")];
    let database = pool(server.options().options(strict), 20).await;
    let sessions = PostgresSessions::new(database);
    let record = session("strict", "strict");
    sessions.create(&record, None).await.unwrap();
    let mut running: JoinSet<_> = (0..32)
        .map(|number| {
            let sessions = sessions.clone();
            let rotation = Rotation::new("strict", 0, format!("n{number}"), record.created_at);
            async move {
                let after = sessions.rotate(&rotation).await.ok()?;
                Some(rotation.outcome(after.as_ref()))
            }
        })
        .collect();
    let mut rotated = 0;
    while let Some(outcome) = running.join_next().await {
        match outcome.unwrap() {
            Some(Outcome::Rotated { rewound: false }) => rotated += 1,
            None | Some(Outcome::Converged(_)) => {}
            Some(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(rotated, 1);

    let limit = SessionLimit::new(3, WhenFull::Refuse);
    let mut running: JoinSet<_> = (0..24)
        .map(|number| {
            let sessions = sessions.clone();
            let record = session(&format!("strict{number}"), "strict logins");
            async move { sessions.create(&record, Some(limit)).await.unwrap() }
        })
        .collect();
    while let Some(created) = running.join_next().await {
        created.unwrap();
    }
    let listed = sessions.list("strict logins", now()).await.unwrap();
    assert_eq!(listed.len(), 3);
}

/// sqlx leaves a transaction open if its `BEGIN` is dropped, and later work on that connection is never
/// committed.
async fn dropped_futures(server: &Server) {
    let limit = SessionLimit::new(2, WhenFull::EndOldest);
    let others = server.pool(1).await;
    let mut given_up = 0;
    for polls in 0..12 {
        let pool = server.pool(1).await;
        let sessions = PostgresSessions::new(pool.clone());
        let used = session(&format!("used{polls}"), &format!("dropper{polls}"));
        sessions.create(&used, None).await.unwrap();
        let dropped = session(&format!("dropped{polls}"), &used.subject);
        let create = sessions.create(&dropped, Some(limit));
        given_up += u32::from(give_up_after(polls, create).await.is_none());

        let rotation = Rotation::new(&used.id, 0, "next", used.created_at);
        sessions.rotate(&rotation).await.unwrap().unwrap();
        let listed = PostgresSessions::new(others.clone());
        let listed = listed.list(&used.subject, used.created_at).await.unwrap();
        let committed = listed.iter().any(|record| record.token_id == "next");
        assert!(committed, "dropped after {polls} polls: {listed:?}");
        pool.close().await; // after the work that continues in the background
    }
    assert!(given_up > 0);
}

async fn errors(sessions: &PostgresSessions, database: &PgPool) {
    let record = session("error", "alice");
    sessions.create(&record, None).await.unwrap();
    let error = sessions.create(&record, None).await.unwrap_err();
    assert!(text(&error).contains("duplicate key"), "{}", text(&error));
    let error = sessions.list("nul\0", now()).await.unwrap_err();
    assert!(text(&error).contains("UTF8"), "{}", text(&error));

    let rotation = Rotation::new("error", 0, "next", record.created_at);
    for damage in [
        "ended_at = 5, end_reason = 'boredom'",
        "end_reason = NULL, idle_ttl = -1",
    ] {
        let sql = format!("UPDATE jwt_sessions SET {damage} WHERE id = 'error'");
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).execute(database).await.unwrap();
        sessions.rotate(&rotation).await.expect_err(damage);
    }
    database.close().await;
    sessions.rotate(&rotation).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_rotations_in_4_processes_one_rotates() {
    let Some(server) = Server::start().await else {
        return;
    };
    let sessions = PostgresSessions::new(server.pool(4).await);
    sessions.migrate().await.unwrap();
    let place = Place::Postgres(server.socket().to_owned());
    processes::rotate_in_all(&sessions, &place).await;
}

/// The refresh tokens that a client received, by generation.
type Told = Arc<Mutex<BTreeMap<u64, String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_dies_loses_no_session_and_forks_none() {
    const SESSIONS: usize = 6;
    let Some(mut server) = Server::start().await else {
        return;
    };
    let pool = PgPoolOptions::new()
        .max_connections(8)
        // Shorter than the outage, so requests in between are refused and repeated.
        .acquire_timeout(Duration::from_millis(200))
        .connect_with(server.options())
        .await
        .unwrap();
    let sessions = PostgresSessions::new(pool);
    sessions.migrate().await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let errors = Arc::new(AtomicU32::new(0));
    let told: Vec<Told> = (0..SESSIONS).map(|_| Told::default()).collect();
    let mut clients = JoinSet::new();
    for (number, told) in told.iter().enumerate() {
        let record = session(&format!("s{number}"), "alice");
        sessions.create(&record, None).await.unwrap();
        told.lock().unwrap().insert(0, record.token_id);
        let client = Client {
            id: record.id,
            sessions: sessions.clone(),
            told: Arc::clone(told),
            errors: Arc::clone(&errors),
        };
        let stop = Arc::clone(&stop);
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // Two tabs refresh at once.
                tokio::join!(client.refresh("a"), client.refresh("b"));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let reached = |told: &[Told]| -> Vec<u64> {
        let newest = |told: &Told| *told.lock().unwrap().keys().last().unwrap();
        told.iter().map(newest).collect()
    };
    // Waits until each session has gone on, however long that takes.
    let go_on = async || {
        let (started, before) = (Instant::now(), reached(&told));
        loop {
            let now = reached(&told);
            let pairs = now.iter().zip(&before);
            if pairs.into_iter().all(|(now, before)| *now > before + 2) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "sessions do not go on: {before:?} {now:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for _ in 0..3 {
        go_on().await;
        let refused = errors.load(Ordering::Relaxed);
        server.kill();
        while errors.load(Ordering::Relaxed) < refused + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.restart().await;
        go_on().await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(
        errors.load(Ordering::Relaxed) > 0,
        "no rotation met the outage"
    );
    let listed = sessions.list("alice", now()).await.unwrap();
    assert_eq!(listed.len(), SESSIONS);
    eprintln!(
        "{:?} rotations, {} errors",
        reached(&told),
        errors.load(Ordering::Relaxed)
    );
}

struct Client {
    id: String,
    sessions: PostgresSessions,
    told: Told,
    errors: Arc<AtomicU32>,
}

impl Client {
    /// Exchanges the newest token that was received for the next one.
    async fn refresh(&self, tab: &str) {
        let generation = *self.told.lock().unwrap().keys().last().unwrap();
        let token = format!("{}.{tab}.{generation}.{}", self.id, now());
        let rotation = Rotation::new(&self.id, generation, token, now());
        let Ok(after) = self.sessions.rotate(&rotation).await else {
            self.errors.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
            return;
        };
        // A rewound session would have lost a rotation whose response was sent.
        let outcome = rotation.outcome(after.as_ref());
        let honest = matches!(
            outcome,
            Outcome::Rotated { rewound: false } | Outcome::Converged(_)
        );
        assert!(honest, "{outcome:?}: {rotation:?} {after:?}");
        let after = after.unwrap();
        let mut told = self.told.lock().unwrap();
        let known = told
            .entry(after.generation)
            .or_insert_with(|| after.token_id.clone());
        assert_eq!(*known, after.token_id, "the session has forked");
    }
}
