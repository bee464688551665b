//! Measurements in the memory of this process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tower_jwt_auth::Sessions;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::{
    EndReason, EndSessions, MemorySessions, SessionStore, SessionTarget,
};

use crate::{ISSUER, REVOCATIONS, SESSIONS, row, subject, token_id};

const LOOK_UPS: usize = 200_000;

/// The memory of the process, in bytes, or zero if the system does not report it.
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

/// A far expiry, so that nothing expires during the measurement.
pub(crate) fn far() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1 << 36)
}

/// The time of one of `count`.
fn timed(count: usize, mut one: impl FnMut(usize)) -> Duration {
    let start = Instant::now();
    (0..count).for_each(&mut one);
    start.elapsed() / u32::try_from(count).unwrap()
}

pub(crate) fn run() {
    println!("\nmemory of one process");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let until = far();

    let ids: Vec<String> = (0..REVOCATIONS).map(token_id).collect();
    let record = MemoryRevocations::new();
    let before = resident();
    let each = timed(REVOCATIONS, |number| {
        let revocation = Revocation::token(Some(ISSUER), ids[number].as_str(), until);
        runtime.block_on(record.revoke(&[revocation])).unwrap();
    });
    let bytes = (resident() - before) / REVOCATIONS;
    row("revoke a token, up to 100,000", each, Some(bytes as u64));
    let each = timed(LOOK_UPS, |number| {
        let query = RevocationQuery::new("alice", &ids[number % REVOCATIONS], 1);
        let revoked = record.peek(&query.with_issuer(ISSUER));
        assert_eq!(revoked, Some(true));
    });
    row("find a token among 100,000 revoked", each, None);
    let each = timed(LOOK_UPS, |_| {
        let query = RevocationQuery::new("alice", "none of them", 1);
        assert_eq!(record.peek(&query.with_issuer(ISSUER)), Some(false));
    });
    row("find that a token is not among them", each, None);

    let store = MemorySessions::new();
    let tokens = crate::tokens().build().unwrap();
    let sessions = Sessions::builder(&tokens, store.clone()).build().unwrap();
    let before = resident();
    let each = timed(SESSIONS, |number| {
        let opened = sessions
            .open(subject(number))
            .scope("read")
            .label("laptop")
            .issue();
        runtime.block_on(opened).unwrap();
    });
    let bytes = (resident() - before) / SESSIONS;
    row("open a session, up to 1,000,000", each, Some(bytes as u64));
    let login = runtime.block_on(sessions.open("alice").issue()).unwrap();
    let mut current = login.refresh_token;
    let each = timed(LOOK_UPS, |_| {
        let refreshed = runtime.block_on(async {
            let refresh = sessions.refresh(&current).await.unwrap();
            refresh.issue().await.unwrap()
        });
        current = refreshed.tokens.refresh_token;
    });
    row("refresh among 1,000,000 sessions", each, None);
    let each = timed(LOOK_UPS, |number| {
        let subject = subject(4 * number % SESSIONS);
        assert_eq!(runtime.block_on(sessions.list(&subject)).unwrap().len(), 4);
    });
    row("list the 4 sessions of one subject", each, None);
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let each = timed(1000, |number| {
        let subject = subject(4 * number);
        let target = SessionTarget::Subject(&subject);
        let end = EndSessions::new(target, EndReason::Revoked, now);
        let ended = runtime.block_on(store.end(end)).unwrap();
        assert_eq!(ended.len(), 4);
    });
    row("end the 4 sessions of one subject", each, None);
}
