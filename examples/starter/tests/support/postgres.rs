//! A private PostgreSQL server.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use service::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use super::server::{Server, find, missing};
use super::{Folder, Place};

/// Settings for many small databases of a short life. Commits survive a crash of the server, but not of the machine.
const SETTINGS: [&str; 14] = [
    "-c",
    "max_connections=300",
    "-c",
    "fsync=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "wal_level=minimal",
    "-c",
    "max_wal_senders=0",
    "-c",
    "max_wal_size=8GB",
    // It would start a process for each database again and again.
    "-c",
    "autovacuum=off",
];

/// Tells apart databases with different tables, triggers, functions or settings.
const SHAPE: &str = "SELECT string_agg(part, ' ' ORDER BY part) FROM (
         SELECT concat_ws(' ', relname, relkind, relnatts) FROM pg_class
             WHERE relnamespace = 'public'::regnamespace
         UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         UNION ALL SELECT setconfig::text FROM pg_db_role_setting
             WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
     ) AS parts (part)";

/// Deletes all rows, without regard to keys and triggers.
const CLEAR: &str = "SET session_replication_role = replica;
     DO $$ DECLARE name text; BEGIN
         FOR name IN SELECT tablename FROM pg_tables
             WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
         LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
     END $$";

pub(crate) struct Postgres {
    server: Server,
    /// The databases of tests that have ended.
    left: Mutex<Vec<String>>,
    /// The [`SHAPE`] of a database that a service has just made.
    shape: OnceCell<String>,
}

/// Gives a database to another test when this one has ended.
pub(crate) struct Lease {
    server: &'static Postgres,
    database: String,
}

/// Returns the server that all tests of this binary share, or `None` with a message if there is no
/// PostgreSQL.
pub(crate) async fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
    SHARED.get_or_init(Postgres::start).await.as_ref()
}

// === impl Postgres ===

impl Postgres {
    pub(crate) async fn start() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let versions = versions.flatten().map(|version| version.path().join("bin"));
        let Some(programs) = find(&["initdb", "postgres"], versions.collect()) else {
            missing("PostgreSQL (initdb, postgres)");
            return None;
        };
        let folder = Folder::new("postgres");
        let user = somebody_else(&folder);
        let mut server = Server::new(folder, "QUIT", user);
        let data = server.folder().join("data");
        let mut initdb = server.program(&programs.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        initdb.args(["--no-locale", "--no-sync", "--pgdata"]);
        let done = initdb.arg(&data).output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "initdb: {errors}");

        let port = server.port.to_string();
        let address = ["-h", "127.0.0.1", "-k", "", "-p", &port];
        let arguments = [&["-D", data.to_str().unwrap()], &address[..], &SETTINGS].concat();
        server.runs(programs.join("postgres"), &arguments);
        let mut postgres = Self {
            server,
            left: Mutex::default(),
            shape: OnceCell::new(),
        };
        postgres.launch().await;
        Some(postgres)
    }

    /// Starts the server, or starts it again, and waits until it responds.
    pub(crate) async fn launch(&mut self) {
        self.server.launch();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.connect().await.is_err() {
            assert!(
                Instant::now() < deadline,
                "no PostgreSQL: {}",
                self.server.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a new, empty database.
    pub(crate) async fn new_place(&self) -> Place {
        Place::at(self.url(&self.create().await))
    }

    /// Returns a database without rows: one of a test that has ended, or a new one. To make and remove a
    /// database for each test would be most of what the tests do.
    pub(crate) async fn any_place(&'static self) -> Place {
        let mut found = None;
        while found.is_none()
            && let Some(left) = self.pop_left()
        {
            found = self.cleared(&left).await;
        }
        let database = match found {
            Some(database) => database,
            None => self.create().await,
        };
        let mut place = Place::at(self.url(&database));
        place.lease = Some(Lease {
            server: self,
            database,
        });
        place
    }

    fn pop_left(&self) -> Option<String> {
        self.left.lock().unwrap().pop()
    }

    fn new_name() -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed))
    }

    async fn create(&self) -> String {
        let name = Self::new_name();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        let mut connection = self.connect().await.unwrap();
        sqlx::query(create).execute(&mut connection).await.unwrap();
        name
    }

    /// Removes all rows of a database, and returns its new name: what may still run of the other test does
    /// not find it. Returns `None` if that test has changed more than rows.
    async fn cleared(&self, old: &str) -> Option<String> {
        let new = Self::new_name();
        let close = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'"
        );
        let rename = format!("ALTER DATABASE {old} RENAME TO {new}");
        let mut connection = self.connect().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let close = sqlx::raw_sql(AssertSqlSafe(&*close));
            close.execute(&mut connection).await.unwrap();
            let rename = sqlx::raw_sql(AssertSqlSafe(&*rename));
            match rename.execute(&mut connection).await {
                Ok(_) => break,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut connection = PgConnection::connect(&self.url(&new)).await.unwrap();
        let shape = self.shape.get_or_init(|| self.service_shape()).await;
        if shape_of(&mut connection).await != *shape {
            return None;
        }
        let clear = sqlx::raw_sql(CLEAR).execute(&mut connection).await;
        clear.unwrap();
        Some(new)
    }

    /// Returns the shape of a database that a service has just made.
    async fn service_shape(&self) -> String {
        let url = self.url(&self.create().await);
        Database::open(&url).await.unwrap();
        shape_of(&mut PgConnection::connect(&url).await.unwrap()).await
    }

    /// Gives all roles a time limit for statements in this database.
    pub(crate) async fn set_statement_timeout(&self, database: &str) {
        let set = format!("ALTER DATABASE {database} SET statement_timeout = '2s'");
        let mut connection = self.connect().await.unwrap();
        let set = sqlx::raw_sql(AssertSqlSafe(set));
        set.execute(&mut connection).await.unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.server.signal(signal);
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url("postgres")).await
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}",
            self.server.port
        )
    }
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        let database = std::mem::take(&mut self.database);
        self.server.left.lock().unwrap().push(database);
    }
}

async fn shape_of(connection: &mut PgConnection) -> String {
    sqlx::query_scalar(SHAPE)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Returns another user to run as if we are root, because PostgreSQL and PgBouncer refuse to run as root.
#[cfg(unix)]
pub(crate) fn somebody_else(folder: &Folder) -> Option<(u32, u32)> {
    use std::os::unix::fs::{MetadataExt, chown};
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (uid, gid) = ids("postgres")
        .or_else(|| ids("nobody"))
        .expect("a user for PostgreSQL");
    chown(folder.path(), Some(uid), Some(gid)).unwrap();
    Some((uid, gid))
}

#[cfg(not(unix))]
pub(crate) fn somebody_else(_: &Folder) -> Option<(u32, u32)> {
    None
}
