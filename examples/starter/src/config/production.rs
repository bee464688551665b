//! The checks with `APP_ENV=production`: they refuse what is fine only for development.

use std::time::Duration;

use lettre::message::Mailbox;
use tower_jwt_auth::config::AuthConfig;

use super::dangerous;
use super::dangerous::WithoutTls;
use super::in_clear;
use super::operations::MetricsPlace; // chapter: metrics
use super::operations::Operations;
use super::variables::{flag, parsed, seconds, variable};
use crate::error::Error;
use crate::limits::TrustedProxies;

/// Domains that receive no public email (RFC 6761, RFC 6762, and names that ICANN reserves).
const NOT_PUBLIC: [&str; 6] = [
    "example",
    "internal",
    "invalid",
    "local",
    "localhost",
    "test",
];
/// Variables that replace the addresses of cloud providers.
const STORAGE_ENDPOINTS: [&str; 7] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
];
const ANY_CERTIFICATE: [&str; 3] = [
    "AWS_ALLOW_INVALID_CERTIFICATES",
    "AZURE_ALLOW_INVALID_CERTIFICATES",
    "GOOGLE_ALLOW_INVALID_CERTIFICATES",
];

/// More requests than this are not a limit: a hundred per second, from one client to one route.
const MAX_PER_MINUTE: u32 = 6000;
const DAY: u64 = 24 * 60 * 60;

/// What is wrong, and what is wrong but allowed.
struct Findings {
    wrong: Vec<String>,
    allowed: Vec<String>,
    without_tls: WithoutTls,
}

/// Returns whether this is production.
pub(crate) fn is_on() -> Result<bool, Error> {
    match variable("APP_ENV")?.as_deref() {
        None | Some("development") => Ok(false),
        Some("production") => Ok(true),
        Some(_) => Err("APP_ENV must be development or production".into()),
    }
}

/// Checks the environment if this is production. What a variable `DANGEROUS_...` allows is logged as a
/// warning.
///
/// # Errors
///
/// Fails with everything that is wrong, at once.
pub(crate) fn check(operations: &Operations) -> Result<(), Error> {
    if !is_on()? {
        return Ok(());
    }
    let mut findings = Findings {
        wrong: Vec::new(),
        allowed: Vec::new(),
        without_tls: dangerous::without_tls()?,
    };
    if let Some(name) = dangerous::unknown() {
        findings.refuse(format!("{name} is not a variable of this service"));
    }
    keys(&mut findings)?;
    addresses(operations, &mut findings);
    mail(&mut findings)?;
    connections(&mut findings)?;
    clients(&mut findings)?;
    lifetimes(&mut findings)?;
    findings.judge()
}

fn keys(findings: &mut Findings) -> Result<(), Error> {
    if AuthConfig::env_is_empty() {
        findings.refuse(
            "there is only the development key: set JWT_KEY_RING_FILE and JWT_ROTATE_KEYS (or \
             JWT_SECRET), JWT_ISSUER and JWT_AUDIENCE",
        );
    }
    // chapter: second-factor {
    if variable("SEALING_KEYS")?.is_none() && variable("SEALING_KEYS_FILE")?.is_none() {
        findings.refuse(
            "neither SEALING_KEYS nor SEALING_KEYS_FILE is set: make a key with \
             `echo \"1:$(openssl rand -base64 32)\"`",
        );
    }
    // chapter: second-factor }
    if variable("JWT_ISSUER")?.is_some_and(|issuer| !issuer.starts_with("https://")) {
        findings.refuse(
            "JWT_ISSUER must start with https://: set it to PUBLIC_URL, which no other issuer of tokens has",
        );
    }
    Ok(())
}

fn addresses(operations: &Operations, findings: &mut Findings) {
    match &operations.public_url {
        None => {
            findings.refuse("PUBLIC_URL is not set: set it to what browsers see, https://...");
        }
        Some(url) if !url.is_https() => findings.refuse("PUBLIC_URL must start with https://"),
        Some(_) => {}
    }
    if operations
        .cors_origins
        .iter()
        .any(|origin| !origin.is_https())
    {
        findings.refuse("every origin in CORS_ORIGINS must start with https://");
    }
    // chapter: metrics {
    if operations.metrics == MetricsPlace::Main {
        findings.refuse("METRICS_ADDR must be an address that only your monitoring reaches");
    }
    // chapter: metrics }
}

fn mail(findings: &mut Findings) -> Result<(), Error> {
    if variable("SMTP_URL")?.is_none() {
        findings.refuse_unless(
            dangerous::EMAILS_TO_FILES,
            "SMTP_URL is not set: emails would be files that nobody reads",
        )?;
    }
    let wanted = "an address, such as: Example <no-reply@example.com>";
    match parsed::<Mailbox>("MAIL_FROM", wanted)? {
        None => findings.refuse(
            "MAIL_FROM is not set: set it to an address of your domain, which mail servers accept emails \
             from",
        ),
        Some(from) if !is_public_domain(from.email.domain()) => findings.refuse(format!(
            "MAIL_FROM must be an address of a public domain, and {} is not public",
            from.email.domain()
        )),
        Some(_) => {}
    }
    Ok(())
}

/// Checks the limits of clients, and who may log in.
fn clients(findings: &mut Findings) -> Result<(), Error> {
    match variable("TRUSTED_PROXIES")? {
        None => findings.refuse(
            "TRUSTED_PROXIES is not set, so all clients behind a proxy would count as one, and one could \
             lock all of them out: set it to the addresses of your proxies, or to none if there is none",
        ),
        Some(text) if TrustedProxies::parse(&text)?.has_almost_everybody() => {
            findings.refuse_unless(
                dangerous::TRUST_ANY_PROXY,
                "TRUSTED_PROXIES contains a network that is too large for proxies (/8, or /16 for IPv6), so \
                 clients could choose the address that limits them",
            )?;
        }
        Some(_) => {}
    }
    let per_minute: Option<u32> =
        parsed("RATE_LIMIT_PER_MINUTE", "a whole number, or 0 for no limit")?;
    if per_minute.is_some_and(|limit| limit == 0 || limit > MAX_PER_MINUTE) {
        findings.refuse_unless(
            dangerous::NO_RATE_LIMIT,
            "RATE_LIMIT_PER_MINUTE is 0 or more than 6000, which limits nobody",
        )?;
    }
    if flag("REQUIRE_VERIFIED_EMAIL")? == Some(false) {
        findings.refuse_unless(
            dangerous::UNCONFIRMED_LOGINS,
            "REQUIRE_VERIFIED_EMAIL is false, so anybody could log in as the owner of any address that is \
             not registered yet",
        )?;
    }
    // Without a gateway no SMS are sent: see `SmsSettings`.
    if variable("SMS_URL")?.is_none() && dangerous::allows(dangerous::SMS_TO_FILES)? {
        let name = dangerous::SMS_TO_FILES;
        findings.allow(format!(
            "{name} is true: codes by SMS are files, and whoever reads them can use them"
        ));
    }
    Ok(())
}

/// Checks the lifetimes. A stolen token can be used for as long as it lasts.
fn lifetimes(findings: &mut Findings) -> Result<(), Error> {
    for (name, max, said) in [
        ("JWT_ACCESS_TTL", DAY, "a day"),
        ("JWT_MAX_ACCESS_TTL", DAY, "a day"),
        ("JWT_REFRESH_TTL", 400 * DAY, "400 days"),
        ("SESSION_IDLE_TTL", 400 * DAY, "400 days"),
    ] {
        if seconds(name)?.is_some_and(|ttl| ttl > Duration::from_secs(max)) {
            findings.refuse_unless(
                dangerous::LONG_TOKENS,
                &format!("{name} is longer than {said}"),
            )?;
        }
    }
    Ok(())
}

/// Checks that everything that is sent to another machine uses TLS, with a certificate that is verified.
fn connections(findings: &mut Findings) -> Result<(), Error> {
    for (name, judge) in [
        (
            "DATABASE_URL",
            in_clear::database as fn(&str) -> Option<String>,
        ),
        ("REDIS_URL", in_clear::redis),
        ("SMS_URL", in_clear::http),
        ("BREACHED_PASSWORDS_URL", in_clear::http),
    ] {
        if let Some(problem) = variable(name)?.as_deref().and_then(judge) {
            findings.without_tls(name, format!("{name} {problem}"));
        }
    }
    // The code that connects decides whether it may go without TLS, in development as well: see `Smtp`.
    if let Some(url) = variable("SMTP_URL")?
        && findings.without_tls.contains("SMTP_URL")
        && url.starts_with("smtp://")
    {
        findings.allow("SMTP_URL may send emails, and the links in them, unencrypted");
    }
    if variable("STORAGE_URL")?.is_none() {
        return Ok(());
    }
    for name in STORAGE_ENDPOINTS {
        if let Some(problem) = variable(name)?.as_deref().and_then(in_clear::http) {
            findings.without_tls("STORAGE_URL", format!("{name} {problem}"));
        }
    }
    for name in ANY_CERTIFICATE {
        if flag(name)?.unwrap_or(false) {
            findings.without_tls("STORAGE_URL", format!("{name} must not be true"));
        }
    }
    Ok(())
}

fn is_public_domain(domain: &str) -> bool {
    let (_, last) = domain.rsplit_once('.').unwrap_or(("", domain));
    domain.contains('.')
        && last.contains(|letter: char| !letter.is_ascii_digit())
        && !last.ends_with(']')
        && !NOT_PUBLIC.contains(&last.to_ascii_lowercase().as_str())
}

// === impl Findings ===

impl Findings {
    fn refuse(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn allow(&mut self, what: impl Into<String>) {
        self.allowed.push(what.into());
    }

    /// Refuses the setting, unless the variable is true.
    fn refuse_unless(&mut self, variable: &str, what: &str) -> Result<(), Error> {
        if dangerous::allows(variable)? {
            self.allow(format!("{variable} is true: {what}"));
        } else {
            self.refuse(format!("{what} (if you mean it, set {variable}=true)"));
        }
        Ok(())
    }

    /// Refuses the setting, unless the connection of this variable may go without TLS.
    fn without_tls(&mut self, variable: &str, what: String) {
        let allow = dangerous::WITHOUT_TLS;
        if self.without_tls.contains(variable) {
            self.allow(format!("{allow} names {variable}: {what}"));
        } else {
            self.refuse(format!(
                "{what} (or, where the network is safe, set {allow}={variable})"
            ));
        }
    }

    fn judge(self) -> Result<(), Error> {
        if !self.wrong.is_empty() {
            let wrong = self.wrong.join("; ");
            return Err(format!("APP_ENV is production, but {wrong}").into());
        }
        for danger in self.allowed {
            tracing::warn!(danger, "allowed in production");
        }
        Ok(())
    }
}
