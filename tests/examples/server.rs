//! A running program of an example, which ends when the value is dropped.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::client::{self, Answer};
use crate::copied;

/// A generous time for a program to start listening.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    output: Vec<String>,
}

// === impl Server ===

impl Server {
    /// Starts an example on a free port, and waits until it prints the port.
    pub(crate) fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::run(name, command(copied::binary(name), variables))
    }

    /// Starts another program of an example.
    pub(crate) fn start_other(name: &str, program: &str, variables: &[(&str, &str)]) -> Self {
        let binary = copied::other_binary(name, program);
        Self::run(program, command(binary, variables))
    }

    fn run(name: &str, mut command: Command) -> Self {
        let mut child = command
            .env("BIND_ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        // From here on a guard ends the child process, whatever fails below.
        let mut server = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            output: Vec::new(),
        };
        let line = printed.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("{name} did not say that it listens"));
        let address = line.strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{name} printed {line:?}"));
        server.address = address.parse().unwrap();
        server.output.push(line);
        // The rest of the startup output follows at once, and is complete when a request gets its response.
        server.get_with("/healthz", &[]);
        while let Ok(line) = printed.recv_timeout(Duration::from_millis(200)) {
            server.output.push(line);
        }
        server
    }

    /// Returns what the program printed at startup.
    pub(crate) fn output(&self) -> String {
        self.output.join("\n")
    }

    /// Returns the token in the curl line that is printed if nothing is configured.
    pub(crate) fn printed_token(&self) -> String {
        let curl = format!("curl http://{}/me -H 'Authorization: Bearer ", self.address);
        let line = self.output.iter().find_map(|line| line.strip_prefix(&curl));
        let token = line.and_then(|rest| rest.strip_suffix('\''));
        token
            .unwrap_or_else(|| panic!("no {curl:?} in {:?}", self.output))
            .to_owned()
    }

    /// Sends GET with a bearer token.
    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.get_with(path, &[&format!("Bearer {token}")])
    }

    /// Sends GET with these `Authorization` headers.
    pub(crate) fn get_with(&self, path: &str, authorization: &[&str]) -> Answer {
        let headers = authorization.iter().map(|value| ("Authorization", *value));
        self.get_with_headers(path, &headers.collect::<Vec<_>>())
    }

    /// Sends GET with these headers.
    pub(crate) fn get_with_headers(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        client::get(self.address, path, headers)
    }

    /// Sends POST with JSON, and with a bearer token if there is one.
    pub(crate) fn post(&self, path: &str, token: Option<&str>, json: &serde_json::Value) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers = bearer.iter().map(|bearer| ("Authorization", &**bearer));
        client::post(self.address, path, &headers.collect::<Vec<_>>(), json)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs an example that must exit at startup. Returns its exit code and its output on stderr.
pub(crate) fn run_to_the_end(name: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let child = command(copied::binary(name), &[("BIND_ADDR", "127.0.0.1:0")])
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").arg(id.to_string()).status();
        panic!("{name} runs although it cannot");
    });
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), errors.into_owned())
}

/// The program with these variables, and without any variables of the caller that it would read.
fn command(binary: PathBuf, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if ["JWT_", "PASSWORD_", "ISSUER_", "MCP_"]
            .iter()
            .any(|ours| name.to_string_lossy().starts_with(ours))
        {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}
