//! [`Memory`]: what the server has said lately, and what it is being asked.

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

/// What came of asking about a token.
#[derive(Clone)]
#[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is kept"))]
pub(super) struct Answer {
    pub(super) verdict: Result<VerifiedToken, AuthError>,
    /// The time before the server was asked, in microseconds.
    pub(super) asked_at: u64,
    /// The time from which it must not be used any more.
    pub(super) until: u64,
}

/// The place of the answer about one token, while the server is asked. Whoever comes first has it asked.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) answer: SetOnce<Answer>,
    is_begun: AtomicBool,
}

/// Answers by the SHA-256 of the token. Good ones are kept apart from everything else, so that invented
/// tokens cannot push them out.
#[cfg(feature = "cache")]
pub(super) struct Memory {
    good: Cache<Box<str>, Answer>,
    others: Slots<Box<str>, Slot>,
}

/// Without the feature `cache`, nothing is remembered.
#[cfg(not(feature = "cache"))]
pub(super) struct Memory;

/// How many refusals and requests under way are remembered.
#[cfg(feature = "cache")]
const OTHERS: u64 = 8192;
/// What an answer may weigh on average, in bytes, before there is room for fewer.
#[cfg(feature = "cache")]
const BYTES_EACH: u32 = 2048;
/// For how much longer than it may be used an answer takes up memory, at most.
#[cfg(feature = "cache")]
const KEPT_LONGER: Duration = Duration::from_secs(600);
/// What an entry weighs besides the text of the claims.
#[cfg(feature = "cache")]
const OVERHEAD: usize = 768;

// === impl Answer ===

impl Answer {
    #[cfg(feature = "cache")]
    fn holds(&self, now: u64) -> bool {
        self.asked_at <= now && now < self.until
    }
}

// === impl Slot ===

impl Slot {
    /// Whether the caller is the first one, who has to begin.
    pub(super) fn begins(&self) -> bool {
        !self.is_begun.swap(true, Ordering::AcqRel)
    }

    /// Sets the answer; the first one counts.
    pub(super) fn fill(&self, answer: Answer) {
        let _ = self.answer.set(answer);
    }
}

// === impl Memory ===

#[cfg(feature = "cache")]
impl Memory {
    /// Room for the good answers about so many tokens.
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
                // The clock decides what is used; this only gives the memory back.
                .time_to_live(cache_for.saturating_add(KEPT_LONGER))
                .build(),
            others: Slots::new(OTHERS),
        }
    }

    /// The good answer, if it may still be used.
    pub(super) fn good(&self, key: &str, now: u64) -> Option<Answer> {
        self.good.get(key).filter(|answer| answer.holds(now))
    }

    /// The verdict, if the server need not be asked.
    pub(super) fn known(&self, key: &str, now: u64) -> Option<Result<VerifiedToken, AuthError>> {
        if let Some(answer) = self.good(key, now) {
            return Some(answer.verdict.map(|token| token.remembered(true)));
        }
        let slot = self.others.find(key)?;
        let answer = slot.answer.get().filter(|answer| answer.holds(now))?;
        Some(answer.verdict.clone())
    }

    /// The slot in which the answer is, or will be.
    pub(super) fn slot(&self, key: &str, now: u64) -> Arc<Slot> {
        let is_spent = |slot: &Slot| slot.answer.get().is_some_and(|answer| !answer.holds(now));
        let new = |_: Option<&Slot>| Slot::default();
        self.others.take(key, || key.into(), is_spent, new)
    }

    /// Keeps an answer, and sets it for whoever waits. A failure is not kept.
    pub(super) fn keep(&self, key: &str, slot: &Slot, answer: Answer) {
        let is_kept = answer.asked_at < answer.until;
        if is_kept && answer.verdict.is_ok() {
            // In this order: at each moment it is in one of the two.
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
