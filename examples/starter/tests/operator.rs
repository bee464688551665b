//! The program in the hands of an operator: what it refuses, what it logs, what is documented.
#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
#[allow(dead_code)] // the other tests use the rest of it
#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use folder::Folder;
use program::{Running, clean, failure};
use serde_json::Value;
use tower_jwt_auth::config::AuthConfig;

/// What production needs, in a folder of its own.
fn production(folder: &Folder) -> Command {
    let mut starter = program::starter(folder.path());
    starter.envs([
        ("APP_ENV", "production"),
        ("PUBLIC_URL", "https://auth.example.com"),
        ("JWT_KEY_RING_FILE", "keys.json"),
        ("JWT_ROTATE_KEYS", "EdDSA"),
        ("JWT_ISSUER", "https://auth.example.com"),
        ("JWT_AUDIENCE", "api"),
        ("BIND_ADDR", "127.0.0.1:0"),
        ("MAIL_FROM", "Example <no-reply@auth.example.com>"),
        ("DANGEROUS_EMAILS_TO_FILES", "true"),
        ("MAIL_FOLDER", "mail"),
        ("TRUSTED_PROXIES", "none"),
    ]);
    starter
}

#[test]
fn production_starts_without_a_warning_with_what_it_needs() {
    let folder = Folder::new("production");
    let mut starter = production(&folder);
    starter.env_remove("DANGEROUS_EMAILS_TO_FILES");
    starter.envs([
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("SMTP_URL", "smtp://user:hunter2@mail.example.com"),
        ("STORAGE_URL", "s3://bucket/prefix"),
    ]);
    let log = Running::start_in_production(starter).stop();
    assert!(!log.contains("WARN"), "{log}");
    assert!(log.contains("metrics"), "{log}");
}

/// What may be meant is allowed by a variable that says so, and then told at each start.
#[test]
fn production_warns_of_what_a_dangerous_variable_allows() {
    let folder = Folder::new("allowed");
    for (variables, said) in [
        (
            &[("MAIL_FOLDER", "mail")][..],
            "DANGEROUS_EMAILS_TO_FILES is true: SMTP_URL is not set",
        ),
        (
            &[
                ("SMTP_URL", "smtp://mail.example.com"),
                ("DANGEROUS_WITHOUT_TLS", "SMTP_URL"),
            ],
            "SMTP_URL may send emails, and the links in them, unencrypted",
        ),
        (
            &[
                ("BREACHED_PASSWORDS_URL", "http://list.example.com"),
                ("DANGEROUS_WITHOUT_TLS", "SMTP_URL, BREACHED_PASSWORDS_URL"),
            ],
            "DANGEROUS_WITHOUT_TLS names BREACHED_PASSWORDS_URL",
        ),
    ] {
        let mut starter = production(&folder);
        starter.envs(variables.iter().copied());
        let log = Running::start_in_production(starter).stop();
        assert!(log.contains("allowed in production"), "{log}");
        assert!(log.contains(said), "{said}: {log}");
    }
}

/// Each row is refused, and allowed by its variable, if there is one. That is told at each start.
#[test]
fn production_refuses_settings_that_protect_nobody() {
    let folder = Folder::new("protect-nobody");
    for (name, value, danger) in [
        ("TRUSTED_PROXIES", "", ""),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "TRUST_ANY_PROXY"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 ::/0", "TRUST_ANY_PROXY"),
        (
            "TRUSTED_PROXIES",
            "0.0.0.0/1,128.0.0.0/1",
            "TRUST_ANY_PROXY",
        ),
        ("RATE_LIMIT_PER_MINUTE", "0", "NO_RATE_LIMIT"),
        ("RATE_LIMIT_PER_MINUTE", "1000000", "NO_RATE_LIMIT"),
        ("REQUIRE_VERIFIED_EMAIL", "false", "UNCONFIRMED_LOGINS"),
        ("JWT_ACCESS_TTL", "3153600000", ""),
        ("JWT_ACCESS_TTL", "172800", "LONG_TOKENS"),
        ("JWT_REFRESH_TTL", "3153600000", ""),
        ("JWT_REFRESH_TTL", "63072000", "LONG_TOKENS"),
        ("SESSION_IDLE_TTL", "3153600000", ""),
        ("JWT_ISSUER", "a", ""),
        ("JWT_ISSUER", "http://auth.example.com", ""),
        ("SMTP_URL", "", "EMAILS_TO_FILES"),
    ] {
        let mut starter = production(&folder);
        starter.env("SMTP_URL", "smtps://mail.example.com");
        starter.env_remove("DANGEROUS_EMAILS_TO_FILES");
        starter.env(name, value);
        let text = failure(&starter.output().unwrap());
        assert!(text.contains("APP_ENV is production, but "), "{text}");
        assert!(text.contains(name), "{name}={value}: {text}");
        if danger.is_empty() {
            continue;
        }
        let danger = format!("DANGEROUS_{danger}");
        assert!(text.contains(&format!("set {danger}=true")), "{text}");
        starter.env(&danger, "true");
        let log = Running::start_in_production(starter).stop();
        let warned = format!("{danger} is true: {name}");
        assert!(log.contains("allowed in production"), "{log}");
        assert!(log.contains(&warned), "{warned}: {log}");
    }
}

/// Without a gateway nobody gets a code: it would be in a file.
#[test]
fn production_sends_no_sms_without_a_gateway() {
    let folder = Folder::new("no-sms");
    Running::start_in_production(production(&folder)).stop();
    assert!(!folder.path().join("starter-data/sms").exists());
    let mut starter = production(&folder);
    starter.env("DANGEROUS_SMS_TO_FILES", "true");
    let log = Running::start_in_production(starter).stop();
    assert!(log.contains("DANGEROUS_SMS_TO_FILES is true"), "{log}");
}

#[test]
fn a_proxy_that_is_not_known_is_logged_once() {
    let folder = Folder::new("proxy");
    let running = Running::start_in_production(production(&folder));
    let script = r#"
        curl -sS $HOST/healthz >/dev/null
        for n in 1 2 3; do curl -sS $HOST/healthz -H "X-Forwarded-For: 192.0.2.$n" >/dev/null; done
        curl -sS $HOST/healthz -H 'Forwarded: for=192.0.2.1' >/dev/null
    "#;
    let asked = clean("sh", folder.path())
        .args(["-ec", script])
        .env("HOST", &running.address)
        .status()
        .unwrap();
    assert!(asked.success());
    let log = running.stop();
    assert_eq!(log.matches("unknown_proxy").count(), 1, "{log}");
    assert!(log.contains("not in TRUSTED_PROXIES"), "{log}");
}

/// Everything that is sent to another machine goes over TLS.
#[test]
fn production_refuses_connections_that_others_can_read() {
    let folder = Folder::new("in-clear");
    let host = "unencrypted to host.example.com";
    for (name, value, said) in [
        (
            "SMTP_URL",
            "smtp://user:hunter2@host.example.com?tls=opportunistic",
            "its password unencrypted to host.example.com: let SMTP_URL begin with smtps://",
        ),
        (
            "SMTP_URL",
            "smtp://host.example.com?tls=opportunistic",
            host,
        ),
        (
            "DATABASE_URL",
            "postgres://user:hunter2@host.example.com/db",
            "add ?sslmode=verify-full",
        ),
        (
            "DATABASE_URL",
            "postgres://user:hunter2@host.example.com/db?sslmode=require",
            "takes any certificate for that of host.example.com",
        ),
        ("REDIS_URL", "redis://:hunter2@host.example.com/", host),
        (
            "REDIS_URL",
            "rediss://:hunter2@host.example.com/#insecure",
            "takes any certificate",
        ),
        ("SMS_URL", "http://AC7:hunter2@host.example.com", host),
        ("BREACHED_PASSWORDS_URL", "http://host.example.com", host),
        ("AWS_ENDPOINT_URL", "http://host.example.com", host),
        (
            "AWS_ALLOW_INVALID_CERTIFICATES",
            "true",
            "AWS_ALLOW_INVALID_CERTIFICATES must not be true",
        ),
        (
            "DANGEROUS_WITHOUT_TLS",
            "PUBLIC_URL",
            r#""PUBLIC_URL" is none of"#,
        ),
    ] {
        let mut starter = production(&folder);
        starter.envs([
            ("SMS_FROM", "+15550006789"),
            ("STORAGE_URL", "s3://bucket"),
            (name, value),
        ]);
        let text = failure(&starter.output().unwrap());
        assert!(text.contains(said), "{name}={value}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    // A password of the mail server does not even go where the network is said to be safe.
    let mut starter = production(&folder);
    starter.env("SMTP_URL", "smtp://user:hunter2@host.example.com");
    starter.env("DANGEROUS_WITHOUT_TLS", "SMTP_URL");
    let text = failure(&starter.output().unwrap());
    assert!(text.contains("out of DANGEROUS_WITHOUT_TLS"), "{text}");
}

#[test]
fn production_refuses_what_is_only_good_for_trying_things_out() {
    let folder = Folder::new("refused");
    for (name, value, said) in [
        ("PUBLIC_URL", "", "PUBLIC_URL is not set"),
        (
            "PUBLIC_URL",
            "http://auth.example.com",
            "PUBLIC_URL must begin with https://",
        ),
        (
            "PUBLIC_URL",
            "https://a.example.com/path",
            "PUBLIC_URL must hold",
        ),
        (
            "JWT_ISSUER",
            "http://localhost",
            "JWT_ISSUER must begin with https://",
        ),
        (
            "CORS_ORIGINS",
            "https://a.example.com,http://b.example.com",
            "CORS_ORIGINS must all",
        ),
        ("CORS_ORIGINS", "*", "CORS_ORIGINS must hold"),
        ("DANGEROUS_EMAILS_TO_FILES", "", "SMTP_URL is not set"),
        ("DANGEROUS_EMAIL_TO_FILES", "true", "is not a variable"),
        ("MAIL_FROM", "", "MAIL_FROM is not set"),
        ("MAIL_FROM", "no-reply@localhost", "localhost is none"),
        ("MAIL_FROM", "no-reply@mail.local", "mail.local is none"),
        ("MAIL_FROM", "no-reply@[192.0.2.1]", "MAIL_FROM must be"),
        ("METRICS_ADDR", "main", "METRICS_ADDR must be an address"),
        ("METRICS_ADDR", "nonsense", "METRICS_ADDR: cannot listen"),
        (
            "APP_ENV",
            "prod",
            "APP_ENV must be development or production",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be text or json"),
        ("RUST_LOG", "a=b=c", "RUST_LOG cannot be understood"),
    ] {
        let text = failure(&production(&folder).env(name, value).output().unwrap());
        assert!(
            text.lines().last().unwrap().contains(said),
            "{name}={value}: {text}"
        );
    }
    // The development key, and whatever else is wrong, at once; and no key is made.
    let mut starter = program::starter(folder.path());
    let text = failure(&starter.env("APP_ENV", "production").output().unwrap());
    for said in ["only the development key", "PUBLIC_URL is not set"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!folder.path().join("starter-data/keys.json").exists());
}

/// A whole flow, with everything logged that can be, and what is secret in it.
#[test]
fn the_log_of_a_whole_flow_is_json_and_holds_no_secret() {
    let folder = Folder::new("log");
    let mut starter = production(&folder);
    starter.envs([
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "trace"),
        ("REQUIRE_VERIFIED_EMAIL", "false"),
        ("DANGEROUS_UNCONFIRMED_LOGINS", "true"),
    ]);
    let running = Running::start_in_production(starter);
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
    let letter = letter.expect("a letter with a link");
    let (_, link) = letter.split_once("#confirm-email=").unwrap();
    let link = link.split_whitespace().next().unwrap();
    assert_eq!(link.len(), 43);
    let fixed = ["correct horse", "hunter2", "$argon2id$", private, link];
    for secret in tokens.iter().chain(&fixed) {
        // Of a token, the signature alone is secret. Users and sessions are logged as digests.
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

/// Every name in quotes after one of the functions that read a variable.
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
                && name.contains('_')
                && !name.ends_with('_')
                && !name.starts_with("CARGO_") // read while it is built
                && name.chars().all(is_name)
            {
                read.insert(name.to_owned());
            }
        }
    }
    read
}

#[test]
fn every_variable_is_documented_and_every_documented_variable_is_read() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let (example, readme) = (
        fs::read_to_string(example).unwrap(),
        fs::read_to_string(readme).unwrap(),
    );
    let documented: BTreeSet<_> = example
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0.to_owned()))
        .filter(|name| !name.contains(' '))
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
        // The crate reads its own: it complains of each that is no text.
        let odd = AuthConfig::from_vars([(name.as_str(), "\u{fffd}")]).unwrap_err();
        let of_the_crate = odd.to_string().contains(name.as_str());
        assert!(read.contains(name) || of_the_crate, "nothing reads {name}");
        assert!(readme.contains(name.as_str()), "{name} is not in README.md");
    }
}
