//! What the program refuses in production, what allows it, and what is logged about it.

use crate::support::Folder;
use crate::support::program::{Running, clean, failure, production, service};

#[test]
fn production_starts_without_a_warning_with_what_it_needs() {
    let folder = Folder::new("production");
    let mut command = production(folder.path());
    command.env_remove("DANGEROUS_EMAILS_TO_FILES");
    command.envs([
        ("METRICS_ADDR", "127.0.0.1:0"), // chapter: metrics
        ("SMTP_URL", "smtp://user:hunter2@mail.example.com"),
        ("STORAGE_URL", "s3://bucket/prefix"),
    ]);
    let log = Running::start_in_production(command).stop();
    assert!(!log.contains("WARN"), "{log}");
    assert!(log.contains("metrics"), "{log}"); // chapter: metrics
}

/// What may be intended is allowed by a variable, and logged at each start.
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
        let mut command = production(folder.path());
        command.envs(variables.iter().copied());
        let log = Running::start_in_production(command).stop();
        assert!(log.contains("allowed in production"), "{log}");
        assert!(log.contains(said), "{said}: {log}");
    }
}

/// Each row is refused, unless its variable allows it, which is then logged at each start.
#[test]
fn production_refuses_settings_without_protection() {
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
        let mut command = production(folder.path());
        command.env("SMTP_URL", "smtps://mail.example.com");
        command.env_remove("DANGEROUS_EMAILS_TO_FILES");
        command.env(name, value);
        let text = failure(&command.output().unwrap());
        assert!(text.contains("APP_ENV is production, but "), "{text}");
        assert!(text.contains(name), "{name}={value}: {text}");
        if danger.is_empty() {
            continue;
        }
        let danger = format!("DANGEROUS_{danger}");
        assert!(text.contains(&format!("set {danger}=true")), "{text}");
        command.env(&danger, "true");
        let log = Running::start_in_production(command).stop();
        let warned = format!("{danger} is true: {name}");
        assert!(log.contains("allowed in production"), "{log}");
        assert!(log.contains(&warned), "{warned}: {log}");
    }
}

// chapter: sms {
/// Without a gateway, a code would be in a file and reach nobody.
#[test]
fn production_sends_no_sms_without_a_gateway() {
    let folder = Folder::new("no-sms");
    Running::start_in_production(production(folder.path())).stop();
    assert!(!folder.path().join("data/sms").exists());
    let mut command = production(folder.path());
    command.env("DANGEROUS_SMS_TO_FILES", "true");
    let log = Running::start_in_production(command).stop();
    assert!(log.contains("DANGEROUS_SMS_TO_FILES is true"), "{log}");
}
// chapter: sms }

#[test]
fn an_unknown_proxy_is_logged_once() {
    let folder = Folder::new("proxy");
    let running = Running::start_in_production(production(folder.path()));
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

/// Everything that is sent to another machine uses TLS.
#[test]
fn production_refuses_connections_that_others_can_read() {
    let folder = Folder::new("in-clear");
    let host = "unencrypted to host.example.com";
    for (name, value, said) in [
        (
            "SMTP_URL",
            "smtp://user:hunter2@host.example.com?tls=opportunistic",
            "its password unencrypted to host.example.com: start SMTP_URL with smtps://",
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
            "accepts any certificate for host.example.com",
        ),
        ("REDIS_URL", "redis://:hunter2@host.example.com/", host),
        (
            "REDIS_URL",
            "rediss://:hunter2@host.example.com/#insecure",
            "accepts any certificate",
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
            r#""PUBLIC_URL" is not one of"#,
        ),
    ] {
        let mut command = production(folder.path());
        command.envs([
            ("SMS_FROM", "+15550006789"),
            ("STORAGE_URL", "s3://bucket"),
            (name, value),
        ]);
        let text = failure(&command.output().unwrap());
        assert!(text.contains(said), "{name}={value}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    // The password of a mail server is not even sent where the network is said to be safe.
    let mut command = production(folder.path());
    command.env("SMTP_URL", "smtp://user:hunter2@host.example.com");
    command.env("DANGEROUS_WITHOUT_TLS", "SMTP_URL");
    let text = failure(&command.output().unwrap());
    assert!(text.contains("from DANGEROUS_WITHOUT_TLS"), "{text}");
}

#[test]
fn production_refuses_settings_for_development() {
    let folder = Folder::new("refused");
    for (name, value, said) in [
        ("PUBLIC_URL", "", "PUBLIC_URL is not set"),
        (
            "PUBLIC_URL",
            "http://auth.example.com",
            "PUBLIC_URL must start with https://",
        ),
        (
            "PUBLIC_URL",
            "https://a.example.com/path",
            "PUBLIC_URL must be http",
        ),
        (
            "JWT_ISSUER",
            "http://localhost",
            "JWT_ISSUER must start with https://",
        ),
        (
            "CORS_ORIGINS",
            "https://a.example.com,http://b.example.com",
            "every origin in CORS_ORIGINS must",
        ),
        ("CORS_ORIGINS", "*", "CORS_ORIGINS must be http"),
        ("DANGEROUS_EMAILS_TO_FILES", "", "SMTP_URL is not set"),
        ("DANGEROUS_EMAIL_TO_FILES", "true", "is not a variable"),
        ("MAIL_FROM", "", "MAIL_FROM is not set"),
        ("MAIL_FROM", "no-reply@localhost", "localhost is not public"),
        (
            "MAIL_FROM",
            "no-reply@mail.local",
            "mail.local is not public",
        ),
        ("MAIL_FROM", "no-reply@[192.0.2.1]", "MAIL_FROM must be"),
        ("SEALING_KEYS", "", "SEALING_KEYS_FILE is set"), // chapter: second-factor
        ("SEALING_KEYS", "1:short", "does not have the form ID:KEY"), // chapter: second-factor
        ("METRICS_ADDR", "main", "METRICS_ADDR must be an address"), // chapter: metrics
        ("METRICS_ADDR", "nonsense", "METRICS_ADDR: cannot listen"), // chapter: metrics
        (
            "APP_ENV",
            "prod",
            "APP_ENV must be development or production",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be text or json"),
        ("RUST_LOG", "a=b=c", "RUST_LOG is malformed"),
    ] {
        let text = failure(&production(folder.path()).env(name, value).output().unwrap());
        assert!(
            text.lines().last().unwrap().contains(said),
            "{name}={value}: {text}"
        );
    }
    // The development key and everything else that is wrong is reported at once, and no key is made.
    let mut command = service(folder.path());
    let text = failure(&command.env("APP_ENV", "production").output().unwrap());
    for said in ["only the development key", "PUBLIC_URL is not set"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!folder.path().join("data/keys.json").exists());
}
