//! Measurements in SQLite and PostgreSQL. A few rows are written through the stores. The database then copies
//! them with new ids, which takes seconds instead of many minutes.

use sqlx::AssertSqlSafe;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::revocation::{Revocation, RevocationStore};

use crate::{ISSUER, REVOCATIONS, SESSIONS, measured, memory, row, subject, token_id, tokens};

const NUMBERS: &str = "WITH RECURSIVE numbers (i) AS \
    (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ";

/// Copies the revocation of token 0 to all others.
fn copy_revocation() -> AssertSqlSafe<String> {
    let zeros = "0".repeat(32);
    AssertSqlSafe(format!(
        "{NUMBERS} {}) INSERT INTO jwt_revocations (id, kind, issuer, cutoff, until) \
         SELECT substr('{zeros}' || i, length('{zeros}' || i) - 31), kind, issuer, cutoff, until \
         FROM numbers, (SELECT * FROM jwt_revocations) AS one",
        REVOCATIONS - 1,
    ))
}

/// Copies the first session to all others: four of each subject.
fn copy_session(random_hex: &str) -> AssertSqlSafe<String> {
    let last = SESSIONS - 1;
    AssertSqlSafe(format!(
        "{NUMBERS} {last}) INSERT INTO jwt_sessions (id, subject, generation, \
         previous_generation, token_id, created_at, rotated_at, last_used_at, idle_ttl, \
         expires_at, converged, convergences, lost_responses, label, payload) \
         SELECT substr({random_hex}, 1, 22), \
             'user' || substr('000000' || (i / 4), length('000000' || (i / 4)) - 5), generation, \
             previous_generation, {random_hex}, created_at + i, rotated_at + i, \
             last_used_at + i, idle_ttl, expires_at + i, converged, convergences, \
             lost_responses, label, payload \
         FROM numbers, (SELECT * FROM jwt_sessions) AS one"
    ))
}

/// It is a macro because the sqlx types of the two databases share no trait that fits into one line.
macro_rules! measure {
    ($pool:expr, $Sessions:ident, $Revocations:ident, $random_hex:literal, $settled:expr, $size:expr) => {{
        let record = tower_jwt_auth::revocation::$Revocations::new($pool.clone());
        let store = tower_jwt_auth::sessions::$Sessions::new($pool.clone());
        record.migrate().await.unwrap();
        store.migrate().await.unwrap();
        let tokens = tokens().revocation(record.clone()).build().unwrap();
        let sessions = Sessions::builder(&tokens, store).build().unwrap();

        let before = $size.await;
        let first = Revocation::token(Some(ISSUER), token_id(0), memory::far());
        record.revoke(&[first]).await.unwrap();
        let start = std::time::Instant::now();
        sqlx::query(copy_revocation())
            .execute(&$pool)
            .await
            .unwrap();
        let each = start.elapsed() / u32::try_from(REVOCATIONS).unwrap();
        $settled.await;
        let bytes = ($size.await - before) / REVOCATIONS as u64;
        row(
            "100,000 revocations, copied by the database",
            each,
            Some(bytes),
        );
        measured::revocations(&record).await;

        $settled.await;
        let before = $size.await;
        let first = sessions.open(subject(0)).scope("read").label("laptop");
        first.issue().await.unwrap();
        let start = std::time::Instant::now();
        sqlx::query(copy_session($random_hex))
            .execute(&$pool)
            .await
            .unwrap();
        let each = start.elapsed() / u32::try_from(SESSIONS).unwrap();
        $settled.await;
        let bytes = ($size.await - before) / SESSIONS as u64;
        row(
            "1,000,000 sessions, copied by the database",
            each,
            Some(bytes),
        );
        measured::sessions(&sessions).await;
    }};
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };
    println!(
        "\nSQLite in {}, WAL, synchronous = full",
        std::env::temp_dir().display()
    );
    let folder = std::env::temp_dir().join(format!("storm-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("storm.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await
        .unwrap();
    let settled = async || {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&pool)
            .await
            .unwrap();
    };
    let size = async || std::fs::metadata(&file).unwrap().len();
    measure!(
        pool,
        SqliteSessions,
        SqliteRevocations,
        "lower(hex(randomblob(16)))",
        settled(),
        size()
    );
    pool.close().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres(url: &str) {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("search_path", "storm")]);
    let pool = PgPoolOptions::new()
        .max_connections(32)
        .connect_with(options)
        .await
        .unwrap();
    let settings = "SELECT version() || ', fsync = ' || current_setting('fsync') || \
        ', synchronous_commit = ' || current_setting('synchronous_commit')";
    let settings: String = sqlx::query_scalar(settings).fetch_one(&pool).await.unwrap();
    println!("\n{settings}");
    sqlx::query("CREATE SCHEMA storm")
        .execute(&pool)
        .await
        .unwrap();
    let settled = async || {
        sqlx::query("ANALYZE").execute(&pool).await.unwrap();
    };
    let size = async || {
        let size = "SELECT (pg_total_relation_size('jwt_sessions') \
            + pg_total_relation_size('jwt_revocations'))::bigint";
        let size: i64 = sqlx::query_scalar(size).fetch_one(&pool).await.unwrap();
        u64::try_from(size).unwrap()
    };
    measure!(
        pool,
        PostgresSessions,
        PostgresRevocations,
        "md5(random()::text)",
        settled(),
        size()
    );
    sqlx::query("DROP SCHEMA storm CASCADE")
        .execute(&pool)
        .await
        .unwrap();
}
