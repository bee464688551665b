//! [`Server`]: a private server of another program, for as long as the tests run.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Folder;

/// A shell around the server. When its input ends, at the latest with the test binary, it stops the server
/// and removes its folder. A word on its input keeps the folder. A signal to all processes, such as Ctrl-C, does not
/// end it.
const SHELL: &str = r#"
    trap : INT TERM HUP
    folder=$1 signal=$2
    shift 2
    "$@" >>"$folder/log" 2>&1 &
    echo $!
    read -r word
    kill -CONT $! # it may have been stopped
    kill -"$signal" $!
    wait $!
    [ -n "$word" ] || rm -rf "$folder"
"#;

/// A server, which is stopped when this is dropped. Its folder is removed.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: Folder,
    command: Vec<String>,
    /// The signal that stops it at once.
    signal: &'static str,
    user: Option<(u32, u32)>,
    running: Option<(Child, ChildStdin, String)>,
}

// === impl Server ===

impl Server {
    /// Prepares a server that does not run yet. `user` is another user to run as.
    pub(crate) fn new(folder: Folder, signal: &'static str, user: Option<(u32, u32)>) -> Self {
        Self {
            port: free_port(),
            folder,
            command: Vec::new(),
            signal,
            user,
            running: None,
        }
    }

    /// Sets the program to run.
    pub(crate) fn runs(&mut self, program: PathBuf, arguments: &[&str]) {
        let program = program.into_os_string().into_string().unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        self.command = std::iter::once(program).chain(arguments).collect();
    }

    /// Returns a command in the folder, as the user.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        #[cfg(unix)]
        if let Some((uid, gid)) = self.user {
            use std::os::unix::process::CommandExt;
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts the server, or starts it again. It may take a while to respond.
    pub(crate) fn launch(&mut self) {
        let mut shell = self.program(Path::new("/bin/sh"));
        shell.args(["-c", SHELL, "sh"]).arg(self.folder.path());
        shell.arg(self.signal).args(&self.command);
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut shell = shell.unwrap();
        let mut pid = String::new();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        output.read_line(&mut pid).unwrap();
        let input = shell.stdin.take().unwrap();
        self.running = Some((shell, input, pid.trim().to_owned()));
    }

    /// Kills the server like a crash, and keeps its data.
    pub(crate) fn kill(&mut self) {
        if let Some((mut shell, mut input, _)) = self.running.take() {
            input.write_all(b"keep\n").unwrap();
            shell.wait().unwrap();
        }
    }

    /// Sends a signal to the server and its child processes. `STOP` silences it without closing a
    /// connection, and `CONT` lets it continue.
    pub(crate) fn signal(&self, signal: &str) {
        let (_, _, pid) = self.running.as_ref().unwrap();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(pid);
        kill.args(children.split_whitespace());
        assert!(kill.status().unwrap().success());
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut shell, input, _)) = self.running.take() {
            drop(input);
            let _ = shell.wait();
        }
    }
}

/// Returns a port on which nothing listens. It is below the ports from which the operating system gives one to each
/// outgoing connection, so that no connection takes it before the server does.
fn free_port() -> u16 {
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

/// Says that something was not tested, or fails if it must be tested.
pub(crate) fn missing(what: &str) {
    let required = std::env::var_os("REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(!required, "{what} is not on this machine");
    // `eprintln!` is only shown for failing tests.
    let said = format!("\n*** NOT TESTED: {what} is not on this machine ***\n\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}

/// Returns a folder in the `PATH`, or in `others`, that has all these programs.
pub(crate) fn find(programs: &[&str], others: Vec<PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(others);
    places.find(|place| programs.iter().all(|name| place.join(name).is_file()))
}
