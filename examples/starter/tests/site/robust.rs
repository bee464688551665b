//! The program on a machine that lacks something: a log that cannot be written, open files, privacy from
//! other users.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::support::{Folder, program};

/// A generous limit, which a passing test never reaches.
const WAIT: Duration = Duration::from_secs(60);

struct Service {
    child: Child,
    address: SocketAddr,
    stderr: Option<ChildStderr>,
}

// === impl Service ===

impl Service {
    fn start(mut command: Command, stderr: Stdio) -> Self {
        let command = command.env("BIND_ADDR", "127.0.0.1:0");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on http://");
        let address = address.expect("it starts").parse().unwrap();
        // Nobody reads its further output either.
        drop(output);
        Self {
            stderr: child.stderr.take(),
            child,
            address,
        }
    }

    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address).unwrap();
        connection.set_read_timeout(Some(WAIT)).unwrap();
        connection
    }

    /// Returns the first line of the response to a request.
    fn ask(&self, request: &str) -> String {
        let mut connection = self.connect();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    fn assert_answers(&self) {
        let head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        for _ in 0..20 {
            let healthy = self.ask(&format!("GET /healthz {head}\r\n"));
            assert_eq!(healthy, "HTTP/1.1 200 OK");
            let refused = self.ask(&format!("GET /me {head}authorization: Bearer x\r\n\r\n"));
            assert_eq!(refused, "HTTP/1.1 401 Unauthorized");
            let body = r#"{"email":"ada@example.com","password":"violet umbrella carousel"}"#;
            let register = format!(
                "POST /auth/register {head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = self.ask(&register);
            assert!(
                answer.starts_with("HTTP/1.1 202") || answer.starts_with("HTTP/1.1 429"),
                "{answer}"
            );
        }
    }

    /// Stops the service as an operator would.
    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Folder) -> Command {
    let mut command = program::service(folder.path());
    command.env("RUST_LOG", "debug");
    command
}

/// As on a full disk.
#[test]
#[cfg(target_os = "linux")]
fn a_log_that_cannot_be_written_fails_no_request() {
    let folder = Folder::new("full");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let service = Service::start(command(&folder), full.into());
    service.assert_answers();
    service.stop();
}

#[test]
fn a_log_with_a_dead_reader_fails_no_request() {
    let folder = Folder::new("died");
    let mut service = Service::start(command(&folder), Stdio::piped());
    service.stderr = None;
    service.assert_answers();
    service.stop();
}

#[test]
fn a_log_with_a_hanging_reader_fails_no_request() {
    let folder = Folder::new("stuck");
    let mut command = command(&folder);
    command.env("RUST_LOG", "trace"); // more than a pipe can hold
    let service = Service::start(command, Stdio::piped());
    service.assert_answers();
    service.stop();
}

#[test]
fn silent_connections_do_not_use_up_the_open_files() {
    let folder = Folder::new("files");
    let mut command = program::clean("sh", folder.path());
    let script = "ulimit -n 160 && exec \"$0\"";
    command.args(["-c", script, program::PROGRAM]);
    let mut service = Service::start(command, Stdio::piped());
    let mut log = service.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    let mut silent: Vec<_> = (0..100).map(|_| service.connect()).collect();
    for (number, connection) in silent.iter_mut().enumerate() {
        if number % 2 == 0 {
            connection
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ")
                .unwrap();
        }
    }
    // The request waits until some silent connections are closed, and is then answered. The database can
    // open files.
    service.assert_answers();
    let mut rest = Vec::new();
    assert_eq!(silent[1].read_to_end(&mut rest).unwrap(), 0, "it is closed");
    service.stop();
    let log = log.join().unwrap();
    let said = log.matches("as many connections are open").count();
    assert_eq!(said, 1, "{log}");
}

#[test]
fn other_users_of_the_machine_cannot_read_the_database() {
    let folder = Folder::new("mode");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = program::clean("sh", folder.path());
    command.args(["-c", "umask 022 && exec \"$0\"", program::PROGRAM]);
    command.env("DATABASE_URL", "sqlite:own.sqlite");
    let service = Service::start(command, Stdio::null());
    service.assert_answers();
    let mut seen = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("own.sqlite") {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
            seen.push(name);
        }
    }
    seen.sort();
    let all = [
        "own.sqlite",
        "own.sqlite-shm",
        "own.sqlite-wal",
        "own.sqlite.lock",
    ];
    assert_eq!(seen, all);
    // chapter: second-factor {
    let keys = folder.path().join("data/sealing-keys");
    assert_eq!(
        fs::metadata(keys).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // chapter: second-factor }
    service.stop();
}
