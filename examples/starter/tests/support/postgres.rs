//! A private PostgreSQL server.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
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

pub(crate) struct Postgres(Server);

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
        let mut postgres = Self(server);
        postgres.launch().await;
        Some(postgres)
    }

    /// Starts the server, or starts it again, and waits until it responds.
    pub(crate) async fn launch(&mut self) {
        self.0.launch();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.connect().await.is_err() {
            assert!(Instant::now() < deadline, "no PostgreSQL: {}", self.0.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a new database.
    pub(crate) async fn new_place(&self) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        let mut connection = self.connect().await.unwrap();
        sqlx::query(create).execute(&mut connection).await.unwrap();
        Place::at(self.url(&name))
    }

    /// Gives all roles a time limit for statements in this database.
    pub(crate) async fn set_statement_timeout(&self, database: &str) {
        let set = format!("ALTER DATABASE {database} SET statement_timeout = '2s'");
        let mut connection = self.connect().await.unwrap();
        let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set));
        set.execute(&mut connection).await.unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.0.signal(signal);
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url("postgres")).await
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.0.port)
    }
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
