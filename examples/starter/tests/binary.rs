//! The program itself, as a newcomer starts it: no configuration, and the lines that it prints.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

struct Running {
    child: Child,
    steps: Vec<String>,
    address: String,
}

// === impl Folder ===

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("starter-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The program in this folder, with an environment that holds nothing but the way to a shell.
    fn starter(&self) -> Command {
        clean(env!("CARGO_BIN_EXE_starter"), &self.0)
    }

    fn start(&self) -> Running {
        let mut child = self
            .starter()
            .env("BIND_ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the program starts").unwrap();
        let address = first.strip_prefix("listening on ").unwrap().to_owned();
        let steps = lines
            .map(Result::unwrap)
            .filter(|line| line.contains("curl "))
            .take(3)
            .collect();
        Running {
            child,
            steps,
            address,
        }
    }

    fn shell(&self, script: &str) -> String {
        let output = clean("sh", &self.0).args(["-c", script]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// === impl Running ===

impl Running {
    /// Ends the program as an operator would, and returns what it has logged.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn clean(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_lines_that_it_prints_work_and_a_restart_keeps_what_they_made() {
    let folder = Folder::new("steps");
    folder.shell("command -v curl >/dev/null || { echo 'this test needs curl' >&2; exit 1; }");

    let running = folder.start();
    let [register, login, me] = running.steps.as_slice() else {
        panic!("three lines: {:?}", running.steps);
    };
    let registered = folder.shell(register);
    assert!(
        registered.contains(r#""email":"ada@example.com""#),
        "{registered}"
    );
    let script = format!("{login}\n{me}\nprintf '\\n%s' \"$TOKEN\"");
    let output = folder.shell(&script);
    let (me, token) = output.split_once('\n').unwrap();
    assert!(me.contains(r#""email":"ada@example.com""#), "{me}");
    assert!(me.contains(r#""sub":""#), "{me}");

    let key = folder.0.join("starter-data/development.key");
    let key_text = fs::read_to_string(&key).unwrap();
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let log = running.stop();
    assert!(log.contains("WARNING"), "{log}");
    // Once: the crate can tell it too.
    assert_eq!(log.matches("session_opened").count(), 1, "{log}");
    for secret in [key_text.trim(), token, "correct horse", "$argon2id$"] {
        assert!(!log.contains(secret), "{log}");
    }

    let running = folder.start();
    let header = format!("Authorization: Bearer {token}");
    let again = folder.shell(&format!("curl -sS {}/me -H '{header}'", running.address));
    assert_eq!(again, me);
    assert_eq!(fs::read_to_string(&key).unwrap(), key_text);
    running.stop();
}

#[test]
fn a_command_makes_an_admin_while_the_service_runs() {
    let folder = Folder::new("admin");
    let running = folder.start();
    let unknown = folder
        .starter()
        .args(["grant-admin", "ada@example.com"])
        .output()
        .unwrap();
    assert!(failure(&unknown).contains("register it first"));

    let [register, login, _] = running.steps.as_slice() else {
        panic!("three lines: {:?}", running.steps);
    };
    let admin = format!(
        "{login}\ncurl -sS -o /dev/null -w '%{{http_code}}' {}/admin -H \"Authorization: Bearer $TOKEN\"",
        running.address
    );
    folder.shell(register);
    assert_eq!(folder.shell(&admin), "403");
    let granted = folder
        .starter()
        .args(["grant-admin", "ADA@example.com"])
        .output()
        .unwrap();
    assert!(granted.status.success());
    assert_eq!(folder.shell(&admin), "200");
    running.stop();
}

#[test]
fn what_is_wrong_is_said_in_one_line_and_with_exit_code_1() {
    let folder = Folder::new("wrong");
    let output = folder
        .starter()
        .env("JWT_SECRET", "short")
        .output()
        .unwrap();
    let text = failure(&output);
    assert!(text.contains("JWT_SECRET"), "{text}");
    assert!(text.contains("JWT_ISSUER is not set"), "{text}");

    for (name, value) in [
        ("DATABASE_URL", "postgres://user:secret@localhost/db"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("DATABASE_URL", "sqlite:no/such/folder/x.sqlite"),
        ("BIND_ADDR", "nonsense"),
        ("PASSWORD_MEMORY_KIB", "8"),
        ("SESSION_IDLE_TTL", "0"),
        ("SESSION_ROTATION_GRACE", "61"),
        ("SESSION_ROTATION_GRACE", "soon"),
    ] {
        let mut starter = folder.starter();
        starter.env("BIND_ADDR", "127.0.0.1:0").env(name, value);
        let text = failure(&starter.output().unwrap());
        assert!(text.contains("starter: "), "{text}");
        assert!(!text.contains("user:secret"), "{text}");
    }
    let text = failure(&folder.starter().arg("nonsense").output().unwrap());
    assert!(text.contains("usage: starter"), "{text}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = Folder::new("mode");
    folder.start().stop();
    let key = folder.0.join("starter-data/development.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let text = failure(&folder.starter().output().unwrap());
    assert!(text.contains("chmod 600"), "{text}");
}

/// The refresh token in the answer to a refresh; none if there was no answer.
fn refresh_token(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once(r#""refresh_token":""#)?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[test]
fn a_program_that_is_killed_while_it_answers_logs_nobody_out() {
    let folder = Folder::new("killed");
    let refresh = |address: &str, token: &str| {
        let mut curl = clean("curl", &folder.0);
        curl.args(["-sS", "-H", "Content-Type: application/json", "-d"])
            .arg(format!(r#"{{"refresh_token":"{token}"}}"#))
            .arg(format!("{address}/auth/refresh"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        curl.spawn().unwrap()
    };
    let answered = |curl: Child| {
        let output = curl.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let running = folder.start();
    folder.shell(&running.steps[0]);
    let login = running.steps[1].split_once("$(").unwrap().1;
    let login = folder.shell(login.split_once(" | sed").unwrap().0);
    let mut token = refresh_token(&login).expect(&login);
    drop(running); // SIGKILL

    let mut lost = 0;
    for delay in [0, 2, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 30] {
        let running = folder.start();
        // Whatever became of the last answer, the client goes on with the token that it has.
        let answer = answered(refresh(&running.address, &token));
        token = refresh_token(&answer).unwrap_or_else(|| panic!("logged out: {answer}"));

        let curl = refresh(&running.address, &token);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        drop(running); // SIGKILL, before, in, or after the answer
        match refresh_token(&answered(curl)) {
            Some(next) => token = next,
            None => lost += 1,
        }
    }
    assert!(
        lost > 0,
        "no answer was lost: the delays prove nothing here"
    );
}
