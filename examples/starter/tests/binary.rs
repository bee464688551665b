//! The program, as a newcomer starts it: without configuration, and with the commands that it prints.
#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
#[allow(dead_code)] // the other tests use the rest of it
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use folder::Folder;
use program::{Running, clean, failure};

// === impl Folder ===

impl Folder {
    fn service(&self) -> Command {
        program::service(self.path())
    }

    fn start(&self) -> Running {
        Running::start(self.service())
    }

    fn shell(&self, script: &str) -> String {
        let output = clean("sh", self.path())
            .args(["-c", script])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn the_printed_commands_work_and_their_data_survives_a_restart() {
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

    let key = folder.path().join("data/keys.json");
    let key_text = fs::read_to_string(&key).unwrap();
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let log = running.stop();
    assert!(log.contains("WARNING"), "{log}");
    // Only once: the crate can log it as well.
    assert_eq!(log.matches("session_opened").count(), 1, "{log}");
    let keys: serde_json::Value = serde_json::from_str(&key_text).unwrap();
    let private = keys["keys"][0]["d"].as_str().unwrap();
    for secret in [private, token, "correct horse", "$argon2id$"] {
        assert!(!log.contains(secret), "{log}");
    }

    let running = folder.start();
    let header = format!("Authorization: Bearer {token}");
    let again = folder.shell(&format!("curl -sS {}/me -H '{header}'", running.address));
    assert_eq!(again, me);
    assert_eq!(fs::read_to_string(&key).unwrap(), key_text);
    running.stop();
}

// chapter: admin {
#[test]
fn a_command_makes_an_admin_while_the_service_runs() {
    let folder = Folder::new("admin");
    let running = folder.start();
    let unknown = folder
        .service()
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
        .service()
        .args(["grant-admin", "ADA@example.com"])
        .output()
        .unwrap();
    assert!(granted.status.success());
    let said = String::from_utf8(granted.stdout).unwrap();
    assert!(said.contains("address is not confirmed"), "{said}");
    assert_eq!(folder.shell(&admin), "200");
    running.stop();
}
// chapter: admin }

#[test]
fn errors_are_one_line_with_exit_code_1() {
    let folder = Folder::new("wrong");
    let output = folder
        .service()
        .env("JWT_SECRET", "short")
        .output()
        .unwrap();
    let text = failure(&output);
    assert!(text.contains("JWT_SECRET"), "{text}");
    assert!(text.contains("JWT_ISSUER is not set"), "{text}");

    for (name, value) in [
        // chapter: postgres {
        ("DATABASE_URL", "postgres://user:hunter2@127.0.0.1:1/db"),
        ("DATABASE_URL", "postgres://user:hunter2@127.0.0.1:port/db"),
        (
            "DATABASE_URL",
            "postgres://user:hunter2@127.0.0.1/db?sslmode=sometimes",
        ),
        // chapter: postgres }
        ("DATABASE_URL", "mysql://user:hunter2@127.0.0.1/db"),
        ("DATABASE_URL", "user:hunter2@127.0.0.1/db"),
        ("REDIS_URL", "redis://user:hunter2@127.0.0.1:1/"),
        ("REDIS_URL", "redis://user:hunter2@127.0.0.1:port/"),
        ("REDIS_URL", "postgres://user:hunter2@127.0.0.1/"),
        ("REDIS_URL", "hunter2"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("DATABASE_URL", "sqlite:no/such/folder/x.sqlite"),
        ("BIND_ADDR", "nonsense"),
        ("PASSWORD_MEMORY_KIB", "8"),
        ("SESSION_IDLE_TTL", "0"),
        ("SESSION_ROTATION_GRACE", "61"),
        ("SESSION_ROTATION_GRACE", "soon"),
        ("PUBLIC_URL", "auth.example.com"),
        ("PUBLIC_URL", "https://auth.example.com/#x"),
        ("SMTP_URL", "mail:hunter2"),
        ("SMTP_URL", "http://user:hunter2@mail.example.com"),
        (
            "SMTP_URL",
            "smtp://user:hunter2@mail.example.com?tls=opportunistic",
        ),
        ("SMTP_URL", "smtp://mail.example.com?tls=sometimes"),
        ("MAIL_FROM", "nobody"),
        ("SMS_URL", "https://AC7:hunter2@gateway.example"), // no SMS_FROM // chapter: sms
        ("BREACHED_PASSWORDS_URL", "user:hunter2@list.example"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
        ("REQUIRE_VERIFIED_EMAIL", "maybe"),
    ] {
        let mut command = folder.service();
        command.env("BIND_ADDR", "127.0.0.1:0").env(name, value);
        let text = failure(&command.output().unwrap());
        let said = text.lines().last().unwrap();
        assert!(
            said.starts_with(concat!(env!("CARGO_PKG_NAME"), ": ")),
            "{text}"
        );
        assert!(!name.ends_with("_URL") || said.contains(name), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = failure(&folder.service().arg("nonsense").output().unwrap());
    assert!(
        text.contains(concat!("usage: ", env!("CARGO_PKG_NAME"))),
        "{text}"
    );
}

#[test]
fn production_needs_a_public_url_for_links() {
    let folder = Folder::new("production");
    let production = || {
        let mut command = folder.service();
        command.env("JWT_SECRET", "pJ4v0qkX9sTz2mWb7LhR5yNcE1uGdA8fKoViQwZxS3M");
        command.env("JWT_ISSUER", "https://auth.example.com");
        command.env("JWT_AUDIENCE", "api");
        // chapter: second-factor {
        command.env(
            "SEALING_KEYS",
            "1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        );
        // chapter: second-factor }
        command
    };
    let text = failure(&production().output().unwrap());
    assert!(text.contains("PUBLIC_URL is not set"), "{text}");

    let mut command = production();
    command.env("PUBLIC_URL", "https://app.example.com/");
    let running = Running::start_in_production(command);
    let post = "curl -sS -H 'Content-Type: application/json' -d";
    let account = r#"{"email":"ada@example.com","password":"correct horse battery staple"}"#;
    let host = &running.address;
    folder.shell(&format!("{post} '{account}' {host}/auth/register"));
    let login = folder.shell(&format!("{post} '{account}' {host}/auth/login"));
    assert!(login.contains("not confirmed yet"), "{login}");
    let log = running.stop();
    // There is no mail server, and the operator should notice.
    assert!(log.contains("SMTP_URL is not set"), "{log}");

    let mail = folder.path().join("data/mail");
    let mode = fs::metadata(&mail).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let letters = fs::read_dir(mail).unwrap().flatten();
    let letters: Vec<_> = letters.map(|file| file.path()).collect();
    let letter = letters
        .iter()
        .find(|path| path.extension().is_some_and(|end| end == "eml"));
    let letter = letter.unwrap();
    let mode = fs::metadata(letter).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(letter)
        .unwrap()
        .replace("=\r\n", "")
        .replace("=3D", "=");
    let (_, token) = text
        .split_once("https://app.example.com/#confirm-email=")
        .unwrap();
    let token = token.split_whitespace().next().unwrap();
    assert_eq!(token.len(), 43);
    for secret in [token, "correct horse", "$argon2id$", "ada@example.com"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = Folder::new("mode");
    folder.start().stop();
    let key = folder.path().join("data/keys.json");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let text = failure(&folder.service().output().unwrap());
    assert!(text.contains("chmod 600"), "{text}");
}
