//! The program for an operator: what it refuses, what it logs, what is documented.
#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
#[allow(dead_code)] // the other tests use the rest of it
#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use folder::Folder;
use program::{Running, clean};
use serde_json::Value;
use tower_jwt_auth::config::AuthConfig;

/// Runs a whole flow with everything logged that can be. Returns the log and the secrets of the flow.
#[test]
fn the_json_log_of_a_whole_flow_contains_no_secret() {
    let folder = Folder::new("log");
    let mut command = program::production(folder.path());
    command.envs([
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "trace"),
        ("REQUIRE_VERIFIED_EMAIL", "false"),
        ("DANGEROUS_UNCONFIRMED_LOGINS", "true"),
    ]);
    let running = Running::start_in_production(command);
    let script = r#"
        set -e
        json='Content-Type: application/json'
        account='{"email":"ada@example.com","password":"correct horse battery staple"}'
        field() { sed 's/.*"'$1'":"\([^"]*\)".*/\1/'; }
        curl -sS $HOST/auth/register -H "$json" -d "$account" -H 'X-Request-Id: flow-1' >&2
        first=$(curl -sS $HOST/auth/login -H "$json" -d "$account")
        curl -sS $HOST/auth/login -H "$json" -d '{"email":"ada@example.com","password":"hunter2-hunter2"}' >&2
        refresh=$(echo "$first" | field refresh_token)
        second=$(curl -sS $HOST/auth/refresh -H "$json" -d '{"refresh_token":"'$refresh'"}')
        access=$(echo "$second" | field access_token)
        for path in /me /admin /auth/sessions "/me?access_token=$access" /nowhere; do
            curl -sS $HOST$path -H "Authorization: Bearer $access" >&2
        done
        curl -sS $HOST/me -H "Authorization: Bearer x$access" >&2
        subject=$(curl -sS $HOST/me -H "Authorization: Bearer $access" | field sub)
        session=$(curl -sS $HOST/auth/sessions -H "Authorization: Bearer $access" | field id)
        curl -sS $HOST/users/$subject/avatar -H "Authorization: Bearer $access" >&2
        third=$(curl -sS $HOST/auth/login -H "$json" -d "$account" | field access_token)
        curl -sS -X DELETE $HOST/auth/sessions/$session -H "Authorization: Bearer $third" >&2
        curl -sS -X POST $HOST/auth/logout-all -H "Authorization: Bearer $third" >&2
        echo $refresh $access $third
        echo "$first" | field access_token
        echo "$second" | field refresh_token
        echo $subject $session
    "#;
    let output = clean("sh", folder.path())
        .args(["-c", script])
        .env("HOST", &running.address)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let log = running.stop();

    let mut requests = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        requests += usize::from(line["span"]["id"] == "flow-1");
    }
    assert!(requests > 0, "{log}");
    for event in ["session_opened", "session_ended"] {
        assert!(log.contains(event), "{log}");
    }

    let tokens = String::from_utf8(output.stdout).unwrap();
    let tokens: Vec<_> = tokens.split_whitespace().collect();
    assert_eq!(tokens.len(), 7, "{tokens:?}");
    let file = fs::read_to_string(folder.path().join("keys.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let private = file["keys"][0]["d"].as_str().unwrap();
    let letters = fs::read_dir(folder.path().join("mail")).unwrap();
    let mut letters = letters.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let letter = letters.find(|letter| letter.contains("#confirm-email="));
    let letter = letter.expect("an email with a link");
    let (_, link) = letter.split_once("#confirm-email=").unwrap();
    let link = link.split_whitespace().next().unwrap();
    assert_eq!(link.len(), 43);
    let fixed = ["correct horse", "hunter2", "$argon2id$", private, link];
    for secret in tokens.iter().chain(&fixed) {
        // Only the signature of a token is secret. Users and sessions are logged as digests.
        let secret = secret.rsplit('.').next().unwrap();
        let found = log.lines().find(|line| line.contains(secret));
        assert!(secret.len() > 6 && found.is_none(), "{secret} in {found:?}");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// Returns every name in quotes after one of the functions that read a variable.
fn variables_read() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut read = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        let words = text.split('"').collect::<Vec<_>>();
        for pair in words.windows(2) {
            let name = pair[1];
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let is_read = pair[0].trim_end().ends_with('(')
                || (pair[0].ends_with("&str = ") && name.starts_with("DANGEROUS_"));
            if is_read
                && (name.contains('_') || name == "DPOP")
                && !name.ends_with('_')
                && !name.starts_with("CARGO_") // read by the build
                && name.chars().all(is_name)
            {
                read.insert(name.to_owned());
            }
        }
    }
    read
}

#[test]
fn documented_variables_are_exactly_those_that_are_read() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let (example, page) = (
        fs::read_to_string(example).unwrap(),
        fs::read_to_string(page).unwrap(),
    );
    let documented: BTreeSet<_> = example
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0.to_owned()))
        .filter(|name| !name.contains(' '))
        .filter(|name| !name.starts_with("LOGIN_")) // chapter: social-login
        .collect();
    let read = variables_read();
    assert!(
        read.contains("BIND_ADDR") && read.contains("APP_ENV"),
        "{read:?}"
    );
    for name in &read {
        assert!(documented.contains(name), "{name} is not in .env.example");
    }
    for name in &documented {
        // The crate reads its own variables, and complains about each that is not UTF-8.
        let odd = AuthConfig::from_vars([(name.as_str(), "\u{fffd}")]).unwrap_err();
        let of_the_crate = odd.to_string().contains(name.as_str());
        assert!(read.contains(name) || of_the_crate, "nothing reads {name}");
        assert!(
            page.contains(name.as_str()),
            "{name} is not in docs/configuration.md"
        );
    }
}
