//! Servers and files that are removed when the test ends.

#[cfg(feature = "postgres")]
pub mod pgbouncer;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "postgres")]
mod program;
#[cfg(feature = "postgres")]
pub mod slow_network;
#[cfg(feature = "postgres")]
pub mod transaction_pooler;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::SessionRecord;
use tower_jwt_auth::store::StoreError;

pub const SECOND: u64 = 1_000_000;

/// A new directory, removed when it is dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tja-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A server that is shutting down may still write a file.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the current time in microseconds.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// A session that begins now and lasts for an hour.
pub fn session(id: &str, subject: &str) -> SessionRecord {
    let mut record = SessionRecord::new(id, subject, now());
    record.token_id = format!("{id}.0");
    record.idle_ttl = 1800 * SECOND;
    record.expires_at += 3600 * SECOND;
    record
}

/// Records 20,000 revocations in one call, some of them twice, and looks for them.
pub async fn thousands_at_once(store: &impl RevocationStore) {
    let until = UNIX_EPOCH + Duration::from_secs(1 << 36);
    let cutoff = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let names: Vec<_> = (0..10_000).map(|number| format!("many{number}")).collect();
    let mut all = Vec::new();
    for name in &names {
        all.push(Revocation::session(Some("us"), name, until));
        all.push(Revocation::subject(Some("us"), name, cutoff(200), until));
        // Of two entries for one id, the later cut-off counts, whichever comes first.
        all.push(Revocation::subject(Some("us"), name, cutoff(100), until));
        all.push(Revocation::session(Some("us"), name, cutoff(5)));
    }
    store.revoke(&all).await.unwrap();
    store.revoke(&[]).await.unwrap();
    for name in names.iter().step_by(333).chain(names.last()) {
        for (subject, session, issued_at, hit) in [
            ("nobody", name.as_str(), 200 * SECOND, true),
            (name, "nobody", 200 * SECOND, true),
            (name, "nobody", 200 * SECOND + 1, false),
            ("nobody", "nobody", 1, false),
        ] {
            let query = RevocationQuery::new(subject, name, issued_at);
            let query = query.with_issuer("us").with_session(session);
            assert_eq!(store.is_revoked(&query).await.unwrap(), hit, "{query:?}");
        }
    }
}

/// The text of an error and of its cause.
pub fn text(error: &StoreError) -> String {
    let cause = error.source().map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

/// Drops the future once it has been polled this many times.
pub async fn give_up_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
