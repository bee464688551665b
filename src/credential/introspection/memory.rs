//! [`Memory`]: the recent answers of the server, and the requests in progress.

#[cfg(feature = "cache")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "cache")]
use std::time::Duration;

#[cfg(feature = "cache")]
use moka::sync::Cache;
use tokio::sync::SetOnce;

use crate::error::AuthError;
#[cfg(feature = "cache")]
use crate::slots::Slots;
use crate::verifier::VerifiedToken;

/// The result of asking about a token.
#[derive(Clone)]
#[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is kept"))]
pub(super) struct Answer {
    pub(super) verdict: Result<VerifiedToken, AuthError>,
    /// The time just before the server was asked, in microseconds.
    pub(super) asked_at: u64,
    /// The time from which the answer must no longer be used, in microseconds.
    pub(super) until: u64,
}

/// The place for the answer about one token while the server is asked. The first request that uses it asks
/// the server.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) answer: SetOnce<Answer>,
    is_begun: AtomicBool,
}

/// The answers, by the SHA-256 of the token. Those about active tokens are kept apart from everything else,
/// so that invented tokens cannot evict them.
#[cfg(feature = "cache")]
pub(super) struct Memory {
    good: Cache<Box<str>, Answer>,
    others: Slots<Box<str>, Slot>,
}

/// The variant without the feature `cache`, which keeps nothing.
#[cfg(not(feature = "cache"))]
pub(super) struct Memory;

/// The most refusals and requests in progress that are kept.
#[cfg(feature = "cache")]
const OTHERS: u64 = 8192;
/// The average size of an answer, in bytes, up to which the configured number of tokens fits.
#[cfg(feature = "cache")]
const BYTES_EACH: u32 = 2048;
/// The most time for which an answer stays in memory after it can no longer be used.
#[cfg(feature = "cache")]
const KEPT_LONGER: Duration = Duration::from_secs(600);
/// The size of an entry besides the text of the claims, in bytes.
#[cfg(feature = "cache")]
const OVERHEAD: usize = 896;

// === impl Answer ===

impl Answer {
    #[cfg(feature = "cache")]
    fn holds(&self, now: u64) -> bool {
        self.asked_at <= now && now < self.until
    }
}

// === impl Slot ===

impl Slot {
    /// Whether the caller is the first one, and must begin the look-up.
    pub(super) fn begins(&self) -> bool {
        !self.is_begun.swap(true, Ordering::AcqRel)
    }

    /// Sets the answer, if none was set before.
    pub(super) fn fill(&self, answer: Answer) {
        let _ = self.answer.set(answer);
    }
}

// === impl Memory ===

#[cfg(feature = "cache")]
impl Memory {
    /// Makes room for answers about this many active tokens.
    pub(super) fn new(tokens: usize, cache_for: Duration) -> Self {
        Self {
            good: Cache::builder()
                .max_capacity((tokens as u64).saturating_mul(BYTES_EACH.into()))
                .weigher(|_, answer: &Answer| {
                    let token = answer.verdict.as_ref();
                    let claims = token.map_or(0, |token| token.payload().len());
                    let bytes = u32::try_from(claims.saturating_mul(2).saturating_add(OVERHEAD));
                    bytes.unwrap_or(u32::MAX).max(BYTES_EACH)
                })
                // The clock decides which answers are used. This only frees memory.
                .time_to_live(cache_for.saturating_add(KEPT_LONGER))
                .build(),
            others: Slots::new(OTHERS),
        }
    }

    /// Returns the answer about an active token, if it may still be used.
    pub(super) fn good(&self, key: &str, now: u64) -> Option<Answer> {
        self.good.get(key).filter(|answer| answer.holds(now))
    }

    /// Returns the verdict if the server need not be asked.
    pub(super) fn known(&self, key: &str, now: u64) -> Option<Result<VerifiedToken, AuthError>> {
        if let Some(answer) = self.good(key, now) {
            return Some(answer.verdict.map(|token| token.marked_cached(true)));
        }
        let slot = self.others.find(key)?;
        let answer = slot.answer.get().filter(|answer| answer.holds(now))?;
        Some(answer.verdict.clone())
    }

    /// Returns the slot with the answer, which may still be to come.
    pub(super) fn slot(&self, key: &str, now: u64) -> Arc<Slot> {
        let is_spent = |slot: &Slot| slot.answer.get().is_some_and(|answer| !answer.holds(now));
        let new = |_: Option<&Slot>| Slot::default();
        self.others.take(key, || key.into(), is_spent, new)
    }

    /// Keeps an answer, and gives it to the requests that wait. A failure is not kept.
    pub(super) fn keep(&self, key: &str, slot: &Slot, answer: Answer) {
        let is_kept = answer.asked_at < answer.until;
        if is_kept && answer.verdict.is_ok() {
            // This order ensures that the answer is always in at least one of the two.
            self.good.insert(key.into(), answer.clone());
            slot.fill(answer);
            self.others.forget(key);
        } else {
            if is_kept {
                self.good.invalidate(key);
            }
            slot.fill(answer);
        }
    }
}

#[cfg(not(feature = "cache"))]
impl Memory {
    pub(super) fn good(&self, _: &str, _: u64) -> Option<Answer> {
        None
    }

    pub(super) fn known(&self, _: &str, _: u64) -> Option<Result<VerifiedToken, AuthError>> {
        None
    }

    pub(super) fn slot(&self, _: &str, _: u64) -> std::sync::Arc<Slot> {
        std::sync::Arc::default()
    }

    pub(super) fn keep(&self, _: &str, slot: &Slot, answer: Answer) {
        slot.fill(answer);
    }
}
