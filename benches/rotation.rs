//! The cost of a refresh in each store: `cargo bench --all-features --bench rotation`.
//!
//! SQLite uses a file in the temporary directory. PostgreSQL and Redis are the servers of
//! `STORM_POSTGRES_URL` and `STORM_REDIS_URL`, if set. The tables are left behind in PostgreSQL.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // a bench may read the environment

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tower_jwt_auth::sessions::{MemorySessions, SessionStore};
use tower_jwt_auth::{Algorithm, Sessions, SigningKey, TokenIssuer};

struct Rotation<'c> {
    group: BenchmarkGroup<'c, WallTime>,
    runtime: Runtime,
}

// === impl Rotation ===

impl Rotation<'_> {
    fn measure(&mut self, name: &str, store: impl SessionStore) {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        let tokens = TokenIssuer::builder(key)
            .issuer("https://me.example")
            .audience("api")
            .build()
            .unwrap();
        let sessions = Sessions::builder(&tokens, store).build().unwrap();
        let login = sessions.open("alice").scope("read");
        let login = self.runtime.block_on(login.issue()).unwrap();
        let (runtime, mut current) = (&self.runtime, login.refresh_token);
        self.group.bench_function(name, |b| {
            b.iter(|| {
                let refreshed = runtime.block_on(async {
                    let refresh = sessions.refresh(&current).await.unwrap();
                    refresh.issue().await.unwrap()
                });
                current = refreshed.tokens.refresh_token;
            });
        });
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(&mut self) {
        use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
        use tower_jwt_auth::sessions::SqliteSessions;

        let folder = std::env::temp_dir().join(format!("rotation-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.join("rotation.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let (pool, store) = self.runtime.block_on(async {
            let pool = SqlitePoolOptions::new().connect_with(options).await;
            let pool = pool.unwrap();
            let store = SqliteSessions::new(pool.clone());
            store.migrate().await.unwrap();
            (pool, store)
        });
        self.measure("SQLite", store);
        self.runtime.block_on(pool.close());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(feature = "postgres")]
    fn postgres(&mut self, url: &str) {
        use tower_jwt_auth::sessions::PostgresSessions;

        let store = self.runtime.block_on(async {
            let pool = sqlx::PgPool::connect(url).await.unwrap();
            let store = PostgresSessions::new(pool);
            store.migrate().await.unwrap();
            store
        });
        self.measure("PostgreSQL", store);
    }

    #[cfg(feature = "redis")]
    fn redis(&mut self, url: &str) {
        use tower_jwt_auth::sessions::RedisSessions;

        let store = RedisSessions::connect(url);
        let store = self.runtime.block_on(store).unwrap();
        self.measure("Redis", store);
    }
}

/// Returns the server that a variable names, and prints a note if it is not set.
#[cfg(any(feature = "postgres", feature = "redis"))]
fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("{variable} is not set: not measured");
    }
    url
}

fn rotation(c: &mut Criterion) {
    let mut rotation = Rotation {
        group: c.benchmark_group("rotate"),
        runtime: Runtime::new().unwrap(),
    };
    rotation.measure("memory", MemorySessions::new());
    #[cfg(feature = "sqlite")]
    rotation.sqlite();
    #[cfg(feature = "postgres")]
    if let Some(url) = server("STORM_POSTGRES_URL") {
        rotation.postgres(&url);
    }
    #[cfg(feature = "redis")]
    if let Some(url) = server("STORM_REDIS_URL") {
        rotation.redis(&url);
    }
    rotation.group.finish();
}

criterion_group!(benches, rotation);
criterion_main!(benches);
