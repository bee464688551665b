//! [`KeyCache`]: caches keys and look-ups for a short time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::known::Known;
use crate::slots::Slots;
use crate::store::StoreError;
use crate::sync::timeout;

/// The number of look-ups and unknown ids that are kept.
const ASKED: u64 = 10_000;

/// Keys that were found, and look-ups, each for no longer than the cache period.
///
/// They are kept apart, so that a flood of unknown ids cannot evict keys.
pub(super) struct KeyCache {
    known: Slots<Box<str>, Kept>,
    asked: Slots<Box<str>, Asked>,
    cache_for: Duration,
}

struct Kept {
    key: Arc<Known>,
    /// The time just before the store was asked, in microseconds.
    asked_at: u64,
}

/// A look-up, which the first request for an id makes.
#[derive(Default)]
struct Asked {
    answer: OnceCell<Answer>,
}

struct Answer {
    found: Result<Option<Arc<Known>>, Arc<StoreError>>,
    /// The time just before the store was asked, in microseconds.
    asked_at: u64,
}

// === impl KeyCache ===

impl KeyCache {
    pub(super) fn new(keys: u64, cache_for: Duration) -> Self {
        Self {
            known: Slots::new(keys),
            asked: Slots::new(ASKED),
            cache_for,
        }
    }

    /// Returns the key with this id if it is known without asking. `Some(None)` means that there is no such key.
    pub(super) fn peek(&self, id: &str, now: u64) -> Option<Option<Arc<Known>>> {
        if let Some(kept) = self.known.find(id)
            && self.holds(kept.asked_at, now)
        {
            return Some(Some(Arc::clone(&kept.key)));
        }
        let asked = self.asked.find(id)?;
        let answer = asked.answer.get()?;
        match &answer.found {
            Ok(found) if self.holds(answer.asked_at, now) => Some(found.clone()),
            _ => None,
        }
    }

    /// Returns whether a key with this id was found before, however long ago.
    pub(super) fn was_known(&self, id: &str) -> bool {
        self.known.find(id).is_some()
    }

    /// Returns the ids of the keys of this owner that were found before.
    pub(super) fn known_of(&self, owner: &str) -> Vec<String> {
        let known = self.known.all().into_iter();
        let of_owner = known.filter(|(_, kept)| kept.key.is_of(owner));
        of_owner.map(|(id, _)| id.to_string()).collect()
    }

    /// Asks for a key, unless another request does so already. Nobody waits for longer than `limit`,
    /// because the task that asks may not be polled by its caller.
    pub(super) async fn look_up<F>(
        &self,
        id: &str,
        limit: Duration,
        now: impl Fn() -> u64,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Known>>, StoreError>
    where
        F: Future<Output = Result<Option<Known>, StoreError>>,
    {
        let before = now();
        let is_spent = |asked: &Asked| match asked.answer.get() {
            Some(answer) => answer.found.is_err() || !self.holds(answer.asked_at, before),
            None => false,
        };
        let asked = self
            .asked
            .take(id, || id.into(), is_spent, |_| Asked::default());
        let first = asked.answer.get_or_init(async || {
            let asked_at = now();
            let found = ask().await.map(|found| found.map(Arc::new));
            if let Ok(Some(key)) = &found {
                let kept = |_: Option<&Kept>| Kept {
                    key: Arc::clone(key),
                    asked_at,
                };
                self.known.take(id, || id.into(), |_| true, kept);
                self.asked.forget(id);
            }
            Answer {
                found: found.map_err(Arc::new),
                asked_at,
            }
        });
        let Ok(answer) = timeout(limit, first).await else {
            return Err(late());
        };
        // The task that asked was not polled for a while.
        let believed = self.cache_for.saturating_add(limit);
        match &answer.found {
            Ok(_) if age(answer.asked_at, now()).is_some_and(|age| age > believed) => Err(late()),
            Ok(found) => Ok(found.clone()),
            Err(error) => Err(StoreError::new(Arc::clone(error))),
        }
    }

    /// Returns whether an answer may still be used.
    fn holds(&self, asked_at: u64, now: u64) -> bool {
        age(asked_at, now).is_some_and(|age| age < self.cache_for)
    }
}

/// Returns the age, or `None` if the clock was set back, so that no answer is used for too long.
fn age(since: u64, now: u64) -> Option<Duration> {
    now.checked_sub(since).map(Duration::from_micros)
}

fn late() -> StoreError {
    StoreError::new("the store of API keys did not respond within the timeout")
}
