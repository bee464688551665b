//! SQLite: a file, a journal, several connections.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tower_jwt_auth::revocation::{Revocation, RevocationStore, SqliteRevocations};
use tower_jwt_auth::sessions::{
    CreateOutcome, Rotation, SessionLimit, SessionStore, SqliteSessions, WhenFull,
};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

use crate::processes::{self, Place};
use crate::rows::rotate_as_apply;
use crate::support::{Directory, give_up_after, session, text, thousands_at_once};

pub fn options(directory: &Directory) -> SqliteConnectOptions {
    options_for(&directory.path().join("sessions.db"))
}

pub fn options_for(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // As the documentation requires.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(20))
}

pub async fn pool(options: SqliteConnectOptions) -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(6);
    pool.connect_with(options).await.unwrap()
}

async fn sessions(directory: &Directory) -> SqliteSessions {
    let sessions = SqliteSessions::new(pool(options(directory)).await);
    sessions.migrate().await.unwrap();
    sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_in_sqlite_keep_every_rule() {
    let directory = Directory::new("sqlite");
    let sessions = sessions(&directory).await;
    sessions.migrate().await.unwrap();
    check_session_store(&sessions).await;
}

#[tokio::test]
async fn a_rotation_equals_apply_for_any_row() {
    let directory = Directory::new("sqlite");
    rotate_as_apply(&sessions(&directory).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revocations_in_sqlite_keep_every_rule() {
    let directory = Directory::new("sqlite");
    let revocations = SqliteRevocations::new(pool(options(&directory)).await);
    revocations.migrate().await.unwrap();
    revocations.migrate().await.unwrap();
    check_revocation_store(&revocations).await;
}

#[tokio::test]
async fn revocations_are_removed_in_steps_once_they_are_over() {
    let directory = Directory::new("sqlite");
    let revocations = SqliteRevocations::new(pool(options(&directory)).await);
    revocations.migrate().await.unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let later = |seconds| at(seconds) + SqliteRevocations::CLEAN_UP_SLACK;
    for number in 0..5 {
        let entry = Revocation::token(Some("us"), format!("t{number}"), at(100 + number));
        revocations.revoke(&[entry]).await.unwrap();
    }
    let longer = Revocation::token(Some("us"), "t0", at(200));
    revocations.revoke(&[longer]).await.unwrap();
    // The clock of this node may be ahead.
    assert_eq!(revocations.clean_up(at(3000), 10).await.unwrap(), 0);
    assert_eq!(revocations.clean_up(later(100), 10).await.unwrap(), 0);
    assert_eq!(revocations.clean_up(later(103), 2).await.unwrap(), 2);
    assert_eq!(revocations.clean_up(later(103), 2).await.unwrap(), 1);
    assert_eq!(revocations.clean_up(later(199), 2).await.unwrap(), 1);
    assert_eq!(revocations.clean_up(later(199), 2).await.unwrap(), 0);
    assert_eq!(revocations.clean_up(later(200), 2).await.unwrap(), 1);
    assert!(revocations.clean_up(SystemTime::now(), 1).await.is_ok());
    assert_eq!(revocations.clean_up(UNIX_EPOCH, 1).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_revocations_are_recorded_in_one_call() {
    let directory = Directory::new("sqlite");
    let pool = pool(options(&directory)).await;
    let revocations = SqliteRevocations::open(pool.clone()).await.unwrap();
    thousands_at_once(&revocations).await;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM jwt_revocations")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 20_000);
}

/// If a file loses acknowledged writes, the store goes back in time.
#[tokio::test]
async fn connections_of_these_tests_write_to_disk_before_they_answer() {
    let directory = Directory::new("sqlite");
    for options in [
        options(&directory),
        // What the documentation says about sqlx and its bundled SQLite.
        SqliteConnectOptions::new()
            .filename(directory.path().join("sessions.db"))
            .create_if_missing(true),
    ] {
        let pool = pool(options).await;
        for (pragma, expected) in [("synchronous", "2"), ("journal_mode", "wal")] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT {pragma} || '' FROM pragma_{pragma}"));
            let set: String = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
            assert_eq!(set, expected, "{pragma}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_rotations_in_4_processes_one_rotates() {
    let directory = Directory::new("sqlite");
    let sessions = sessions(&directory).await;
    let file = directory.path().join("sessions.db");
    processes::rotate_in_all(&sessions, &Place::Sqlite(file)).await;
}

/// In this journal mode, a reader prevents SQLite from committing after the row is returned.
#[tokio::test]
async fn a_rotation_that_could_not_be_committed_is_an_error() {
    let directory = Directory::new("sqlite");
    let options = options(&directory)
        .journal_mode(SqliteJournalMode::Delete)
        .busy_timeout(Duration::from_millis(50));
    let pool = pool(options).await;
    let sessions = SqliteSessions::new(pool.clone());
    sessions.migrate().await.unwrap();
    let record = session("s", "alice");
    sessions.create(&record, None).await.unwrap();

    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM jwt_sessions")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    let rotation = Rotation::new("s", 0, "next", record.created_at + 1);
    let error = sessions.rotate(&rotation).await.unwrap_err();
    assert!(
        text(&error).contains("database is locked"),
        "{}",
        text(&error)
    );
    reader.rollback().await.unwrap();

    let listed = sessions.list("alice", record.created_at).await.unwrap();
    assert_eq!(listed, [record]);
    let after = sessions.rotate(&rotation).await.unwrap().unwrap();
    assert_eq!(after.token_id, "next");
}

#[tokio::test]
async fn impossible_requests_are_errors() {
    let directory = Directory::new("sqlite");
    let pool = pool(options(&directory)).await;
    let sessions = SqliteSessions::new(pool.clone());
    let record = session("s", "alice");
    let rotation = Rotation::new("s", 0, "next", record.created_at);
    let error = sessions.rotate(&rotation).await.unwrap_err();
    assert!(text(&error).contains("no such table"), "{}", text(&error));

    sessions.migrate().await.unwrap();
    sessions.create(&record, None).await.unwrap();
    let error = sessions.create(&record, None).await.unwrap_err();
    assert!(text(&error).contains("UNIQUE"), "{}", text(&error));

    let mut large = session("large", "alice");
    large.expires_at = u64::MAX;
    let error = sessions.create(&large, None).await.unwrap_err();
    assert!(text(&error).contains("too large"), "{}", text(&error));
    let ahead = Rotation::new("s", u64::MAX, "next", record.created_at);
    let error = sessions.rotate(&ahead).await.unwrap_err();
    assert!(text(&error).contains("too large"), "{}", text(&error));

    for damage in [
        "ended_at = 5, end_reason = 'boredom'",
        "end_reason = NULL, idle_ttl = -1",
        "idle_ttl = 5, payload = CAST(x'ff' AS TEXT)",
    ] {
        let sql = format!("UPDATE jwt_sessions SET {damage}");
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).execute(&pool).await.unwrap();
        sessions.rotate(&rotation).await.expect_err(damage);
    }
    pool.close().await;
    sessions.rotate(&rotation).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_future_leaves_nothing_half_done() {
    let directory = Directory::new("sqlite");
    let sessions = sessions(&directory).await;
    let limit = SessionLimit::new(2, WhenFull::EndOldest);
    for number in 0..200 {
        let record = session(&format!("s{number}"), "alice");
        let create = sessions.create(&record, Some(limit));
        give_up_after(number % 10, create).await;
    }
    let last = session("last", "alice");
    let created = sessions.create(&last, Some(limit)).await.unwrap();
    assert!(matches!(created, CreateOutcome::Opened { .. }));
    let rotation = Rotation::new("last", 0, "next", last.created_at);
    sessions.rotate(&rotation).await.unwrap().unwrap();

    // Another pool sees the change, so it was committed.
    let others = SqliteSessions::new(pool(options(&directory)).await);
    let listed = others.list("alice", last.created_at).await.unwrap();
    assert!(listed.len() <= 2, "{listed:?}");
    assert!(
        listed.iter().any(|record| record.token_id == "next"),
        "{listed:?}"
    );
}
