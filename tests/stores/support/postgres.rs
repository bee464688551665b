//! A PostgreSQL server in its own directory, on a socket in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::Directory;
use super::program::{User, command, missing, unprivileged};

/// The server. When it is dropped, it is killed and its files are removed.
#[derive(Debug)]
pub struct Server {
    postgres: PathBuf,
    user: Option<User>,
    process: Option<Child>,
    directory: Directory,
}

impl Server {
    /// Starts a server. Returns `None` if this machine has no PostgreSQL.
    pub async fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            missing("PostgreSQL (initdb, postgres)");
            return None;
        };
        let directory = Directory::new("pg");
        let user = unprivileged(&directory);
        let mut server = Self {
            postgres: binaries.join("postgres"),
            user,
            process: None,
            directory,
        };
        let mut initdb = server.command(&binaries.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        initdb.args(["--no-locale", "--no-sync", "--pgdata"]);
        let done = initdb.arg(server.data()).output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "initdb: {errors}");
        server.restart().await;
        Some(server)
    }

    /// Starts the server, or starts it again, and waits until it responds.
    pub async fn restart(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut postgres = self.command(&self.postgres);
            postgres.arg("-D").arg(self.data());
            postgres.arg("-k").arg(self.socket());
            // Committed data survives a crash of the server, but not of the machine.
            for setting in ["listen_addresses=", "fsync=off", "max_connections=60"] {
                postgres.args(["-c", setting]);
            }
            let log = fs::File::create(self.directory.path().join("log")).unwrap();
            let mut process = postgres.stderr(log).spawn().unwrap();
            while Instant::now() < deadline {
                if process.try_wait().unwrap().is_some() {
                    break; // processes of an earlier server may still use the directory
                }
                if let Ok(connection) = self.options().connect().await {
                    connection.close().await.ok();
                    self.process = Some(process);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            process.kill().ok();
            process.wait().ok();
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "postgres does not start: {log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends SIGKILL to the server and all of its processes.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let pid = process.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        process.kill().ok();
        process.wait().ok();
        let mut kill = Command::new("kill");
        kill.arg("-9").stderr(Stdio::null());
        kill.args(children.unwrap_or_default().split_whitespace());
        kill.status().ok();
    }

    /// The connection options.
    pub fn options(&self) -> PgConnectOptions {
        options(self.socket())
    }

    /// The directory of the socket.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    pub async fn pool(&self, connections: u32) -> PgPool {
        pool(self.options(), connections).await
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &Path) -> Command {
        command(program, &self.directory, self.user)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn options(socket: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(5432)
        .username("postgres")
        .database("postgres")
}

pub async fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30));
    pool.connect_with(options).await.unwrap()
}

/// The directory that contains `initdb` and `postgres`.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let has_both = |place: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| place.join(name).is_file())
    };
    places.into_iter().find(has_both)
}
