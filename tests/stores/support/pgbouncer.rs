//! A PgBouncer in front of a PostgreSQL server, on a socket in its own directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection};

use super::Directory;
use super::postgres::{self, Server};
use super::program::{command, missing, unprivileged};

/// The pooler, which is killed when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    directory: Directory,
}

impl PgBouncer {
    /// Starts a server, and a pooler with these settings in front of it. Returns `None` if this machine lacks one.
    pub async fn with_server(settings: &str) -> Option<(Server, Self)> {
        let server = Server::start().await?;
        let pooler = Self::start(&server, settings).await?;
        Some((server, pooler))
    }

    /// Starts a pooler with these settings. Returns `None` if this machine has no PgBouncer.
    pub async fn start(server: &Server, settings: &str) -> Option<Self> {
        let Some(program) = program() else {
            missing("PgBouncer (pgbouncer)");
            return None;
        };
        let directory = Directory::new("pgbouncer");
        let user = unprivileged(&directory);
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let users = file("users.txt", "\"postgres\" \"\"\n");
        let config = format!(
            "[databases]\n\
             * = host={} port=5432\n\
             [pgbouncer]\n\
             listen_port = 5432\n\
             unix_socket_dir = {}\n\
             auth_type = trust\n\
             auth_file = {}\n\
             {settings}\n",
            server.socket().display(),
            directory.path().display(),
            users.display(),
        );
        let config = file("pgbouncer.ini", &config);
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut pgbouncer = command(&program, &directory, user);
        let process = pgbouncer.arg(config).stderr(log).spawn().unwrap();
        let mut pooler = Self { process, directory };
        pooler.wait().await;
        Some(pooler)
    }

    /// The connection options, without sqlx's startup parameter that PgBouncer refuses.
    pub fn options(&self) -> PgConnectOptions {
        postgres::options(self.directory.path()).extra_float_digits(None)
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    pub async fn pool(&self, connections: u32) -> PgPool {
        postgres::pool(self.options(), connections).await
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(connection) = self.options().connect().await {
                connection.close().await.ok();
                return;
            }
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let ended = self.process.try_wait().unwrap().is_some();
            let waits = Instant::now() < deadline && !ended;
            assert!(waits, "pgbouncer does not start: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// On Debian it is not in the PATH of all users.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    places
        .map(|place| place.join("pgbouncer"))
        .find(|program| program.is_file())
}
