//! What many revocations and many sessions cost in memory, and what a look-up then takes. Prints a
//! table; `cargo bench --bench storm`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant, UNIX_EPOCH};

use tower_jwt_auth::keys::Algorithm;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::session::{EndReason, MemorySessions, SessionStore, SessionTarget};
use tower_jwt_auth::{SigningKey, TokenIssuer};

const REVOCATIONS: usize = 100_000;
const SESSIONS: usize = 1_000_000;
const LOOK_UPS: usize = 200_000;

/// The memory that the process holds, in bytes; zero where the system does not tell it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<usize>()
            .ok()
    });
    kib.unwrap_or_default() * 1024
}

fn row(what: &str, each: Duration, bytes: Option<usize>) {
    let bytes = bytes
        .map(|bytes| format!("{bytes} bytes each"))
        .unwrap_or_default();
    println!("{what:<44} {each:>12.0?}  {bytes}");
}

/// The time that one of `count` takes.
fn timed(count: usize, mut one: impl FnMut(usize)) -> Duration {
    let start = Instant::now();
    (0..count).for_each(&mut one);
    start.elapsed() / u32::try_from(count).unwrap()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let until = UNIX_EPOCH + Duration::from_secs(1 << 36);

    // The ids are as long as those of real tokens.
    let ids: Vec<String> = (0..REVOCATIONS)
        .map(|number| format!("{number:032}"))
        .collect();
    let record = MemoryRevocations::new();
    let before = resident();
    let each = timed(REVOCATIONS, |number| {
        let revocation = Revocation::token(Some("https://me.example"), ids[number].as_str(), until);
        runtime.block_on(record.revoke(&revocation)).unwrap();
    });
    let bytes = (resident() - before) / REVOCATIONS;
    row("revoke a token, up to 100,000", each, Some(bytes));
    let each = timed(LOOK_UPS, |number| {
        let query = RevocationQuery::new("alice", &ids[number % REVOCATIONS], 1);
        let revoked = record.peek(&query.with_issuer("https://me.example"));
        assert_eq!(revoked, Some(true));
    });
    row("find a token among 100,000 revoked", each, None);
    let each = timed(LOOK_UPS, |_| {
        let query = RevocationQuery::new("alice", "none of them", 1);
        assert_eq!(
            record.peek(&query.with_issuer("https://me.example")),
            Some(false)
        );
    });
    row("find that a token is not among them", each, None);

    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let sessions = MemorySessions::new();
    let tokens = TokenIssuer::builder(key)
        .issuer("https://me.example")
        .audience("api");
    let tokens = tokens.sessions(sessions.clone()).build().unwrap();
    let before = resident();
    let each = timed(SESSIONS, |number| {
        let subject = format!("user{:06}", number / 4);
        let opened = tokens
            .open_session(subject)
            .scope("read")
            .label("laptop")
            .issue();
        runtime.block_on(opened).unwrap();
    });
    let bytes = (resident() - before) / SESSIONS;
    row("open a session, up to 1,000,000", each, Some(bytes));
    let login = runtime
        .block_on(tokens.open_session("alice").issue())
        .unwrap();
    let mut current = login.refresh_token;
    let each = timed(LOOK_UPS, |_| {
        let rotated = runtime.block_on(tokens.rotate(&current)).unwrap();
        current = rotated.issue().unwrap().refresh_token;
    });
    row("refresh among 1,000,000 sessions", each, None);
    let each = timed(LOOK_UPS, |number| {
        let subject = format!("user{:06}", number % (SESSIONS / 4));
        assert_eq!(
            runtime.block_on(tokens.sessions(&subject)).unwrap().len(),
            4
        );
    });
    row("list the 4 sessions of one subject", each, None);
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let each = timed(1000, |number| {
        let subject = format!("user{number:06}");
        let target = SessionTarget::Subject(&subject);
        let reason = EndReason::Revoked;
        assert_eq!(
            runtime
                .block_on(sessions.end(target, reason, now))
                .unwrap()
                .len(),
            4
        );
    });
    row("end the 4 sessions of one subject", each, None);
}
