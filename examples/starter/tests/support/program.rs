//! The program in a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

/// The path of the program, whatever the name of the package.
pub(crate) const PROGRAM: &str = env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME")));

pub(crate) struct Running {
    child: Child,
    /// The log, which is read as it comes, because a full pipe would block the program.
    log: Option<JoinHandle<String>>,
    pub(crate) steps: Vec<String>,
    pub(crate) address: String,
}

/// Returns a command in this folder, whose environment contains only the way to a shell.
pub(crate) fn clean(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// Returns a command that starts the service in this folder.
pub(crate) fn service(folder: &Path) -> Command {
    clean(PROGRAM, folder)
}

/// Returns a command with everything that production needs, in a folder of its own.
pub(crate) fn production(folder: &Path) -> Command {
    let mut command = service(folder);
    command.envs([
        ("APP_ENV", "production"),
        ("PUBLIC_URL", "https://auth.example.com"),
        ("JWT_KEY_RING_FILE", "keys.json"),
        ("JWT_ROTATE_KEYS", "EdDSA"),
        ("JWT_ISSUER", "https://auth.example.com"),
        ("JWT_AUDIENCE", "api"),
        // chapter: second-factor {
        (
            "SEALING_KEYS",
            "1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        ),
        // chapter: second-factor }
        ("BIND_ADDR", "127.0.0.1:0"),
        ("MAIL_FROM", "Example <no-reply@auth.example.com>"),
        ("DANGEROUS_EMAILS_TO_FILES", "true"),
        ("MAIL_FOLDER", "mail"),
        ("TRUSTED_PROXIES", "none"),
    ]);
    command
}

/// Returns the error of a program that does not start.
pub(crate) fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

// === impl Running ===

impl Running {
    /// Starts the program on a free port, and waits until it listens.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with_steps(command, 3)
    }

    /// Starts the program with production keys, with which it prints no first steps.
    pub(crate) fn start_in_production(command: Command) -> Self {
        Self::start_with_steps(command, 0)
    }

    fn start_with_steps(mut command: Command, steps: usize) -> Self {
        let mut child = command
            .env("BIND_ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the program starts").unwrap();
        let address = first.strip_prefix("listening on ").unwrap().to_owned();
        let steps = lines
            .map(Result::unwrap)
            .filter(|line| line.contains("curl "))
            .take(steps)
            .collect();
        Self {
            child,
            log: Some(log),
            steps,
            address,
        }
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.address
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Stops the program like an operator would, and returns its log.
    pub(crate) fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    /// Sends SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
