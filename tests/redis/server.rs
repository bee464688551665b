//! A Redis server for one test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tower_jwt_auth::store::RedisConnection;

/// When it is dropped, the server is killed and its directory removed.
pub(crate) struct Server {
    pub(crate) port: u16,
    dir: PathBuf,
    child: Child,
    more: Vec<String>,
}

// === impl Server ===

impl Server {
    /// Returns `None` and prints a clear note if this machine has no Redis.
    pub(crate) async fn start(more: &[&str]) -> Option<Self> {
        if !installed() {
            return None;
        }
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("jwt-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let more: Vec<String> = more.iter().map(|arg| (*arg).to_owned()).collect();
        let child = launch(port, &dir, &more);
        let server = Self {
            port,
            dir,
            child,
            more,
        };
        server.ready().await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection for the test itself.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        // This machine may be busy with other tests.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(20)))
            .set_response_timeout(Some(Duration::from_secs(20)));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        connection.await.unwrap()
    }

    pub(crate) async fn patient(&self) -> RedisConnection {
        patient(&self.url()).await
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the same server again, with its data on disk.
    pub(crate) async fn start_again(&mut self) {
        self.child = launch(self.port, &self.dir, &self.more);
        self.ready().await;
    }

    /// Sends a signal: `STOP` makes it silent without closing a connection.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    async fn ready(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let started = Instant::now();
        loop {
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                let ping = redis::cmd("PING");
                if ping.query_async::<String>(&mut connection).await.is_ok() {
                    return;
                }
            }
            assert!(started.elapsed() < Duration::from_secs(60), "no Redis");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A connection for tests that are not about time limits, because this machine may be busy.
pub(crate) async fn patient(url: &str) -> RedisConnection {
    let long = Duration::from_secs(20);
    let connection = RedisConnection::connect_with_timeouts(url, long, long);
    connection.await.unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn launch(port: u16, dir: &PathBuf, more: &[String]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(dir)
        .args(more)
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .unwrap()
}

/// Returns a port on which nothing listens. It is below the ports from which the operating system gives one to each
/// outgoing connection, so that no connection takes it before the server does.
/// A node of a cluster also listens on the port that is 10,000 higher.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 10_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

#[allow(clippy::print_stderr, clippy::disallowed_methods)] // a test that does not run says so
fn installed() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "redis-server is not in the PATH"
        );
        eprintln!("NOT TESTED: redis-server is not in the PATH");
    }
    found
}
