//! Servers and files that are gone when the test is over.

#[cfg(feature = "postgres")]
pub mod postgres;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use tower_jwt_auth::StoreError;
use tower_jwt_auth::sessions::SessionRecord;

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
        // A server that is going down may still write a file.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// The present time in microseconds.
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

/// The text of an error and of its cause.
pub fn text(error: &StoreError) -> String {
    let cause = error.source().map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

/// Drops the future once it has been polled so many times.
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
