//! Processes that end with the test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A generous time for a process to start listening.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, which ends when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// The URL on which it listens.
    pub(crate) address: String,
}

/// A process that responds to each line of JSON with a line of JSON. It ends when it is dropped.
pub(crate) struct Dialogue {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Returns a port on which nothing listens. It is below the ports from which the operating system gives one to each
/// outgoing connection, so that no connection takes it before the server does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run at the same time begin at different places.
    let first = std::process::id() % 1000 * 20;
    loop {
        let next = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(next % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

// === impl Process ===

impl Process {
    /// Waits until it prints its address. Returns `None` if it exits before.
    pub(crate) fn start(mut command: Command, says: &str) -> Option<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        // From here on a guard ends the child process, whatever fails below.
        let mut process = Self {
            child,
            address: String::new(),
        };
        let (sender, line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let _ = sender.send(lines.next());
            lines.for_each(drop); // it must not block on a full pipe
        });
        let line = line.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("{command:?} did not say {says:?}"))?;
        let address = line.strip_prefix(says);
        let address = address.unwrap_or_else(|| panic!("{command:?} said {line:?}"));
        process.address = address.to_owned();
        Some(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Dialogue ===

impl Dialogue {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Returns the response to a request that must succeed.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input, "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the client ended, or responded with {line:?} to {request}")
        });
        match answer["error"].as_str() {
            Some(error) => panic!("{error}\nin response to {request}"),
            None => answer["ok"].take(),
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
