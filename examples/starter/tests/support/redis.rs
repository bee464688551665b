//! A private Redis server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Folder;
use super::server::{Server, find, missing};

pub(crate) struct Redis(Server);

/// Returns the server that all tests of this binary share, or `None` with a message if there is no Redis.
pub(crate) fn shared() -> Option<&'static Redis> {
    static SHARED: OnceLock<Option<Redis>> = OnceLock::new();
    SHARED.get_or_init(Redis::start).as_ref()
}

// === impl Redis ===

impl Redis {
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = find(&["redis-server"], Vec::new()) else {
            missing("redis-server");
            return None;
        };
        let mut server = Server::new(Folder::new("redis"), "KILL", None);
        let port = server.port.to_string();
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--port", &port];
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        let arguments = [&arguments[..], &durable].concat();
        server.runs(programs.join("redis-server"), &arguments);
        let mut redis = Self(server);
        redis.launch();
        Some(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.0.port)
    }

    /// Starts the server, or starts it again, and waits until it responds.
    pub(crate) fn launch(&mut self) {
        self.0.launch();
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.answer().is_none_or(|answer| &answer != b"+PONG") {
            assert!(Instant::now() < deadline, "no Redis: {}", self.0.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.0.signal(signal);
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// Sends one command.
    pub(crate) fn tell(&self, command: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.0.port)).unwrap();
        let commands = format!("{command}\r\nQUIT\r\n");
        connection.write_all(commands.as_bytes()).unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).unwrap();
        assert!(!answers.contains('-'), "{answers}");
    }

    fn answer(&self) -> Option<[u8; 5]> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.0.port)).ok()?;
        connection.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).ok()?;
        Some(answer)
    }
}
