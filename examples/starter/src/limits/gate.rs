//! [`Gates`]: attempts that come at once take turns, so that the right ones among them do not count as
//! failures before they have been checked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many attempts at one account from one place run at once in each process. They count as failures
/// until they have succeeded, so this must be far below the number of free failures.
const AT_ONCE: usize = 4;
/// How long an attempt waits for its turn, within the time limit of a request.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many gates are kept before unused ones are removed.
const SWEEP: usize = 64;

/// One gate for each account and place with running attempts. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates(Arc<Mutex<HashMap<String, Weak<Semaphore>>>>);

// === impl Gates ===

impl Gates {
    /// Waits for a turn, which ends when the permit is dropped. Returns `None` if the wait is too long.
    pub(crate) async fn enter(&self, account: &str, place: &str) -> Option<OwnedSemaphorePermit> {
        let gate = self.gate(format!("{account} {place}"));
        let turn = timeout(PATIENCE, gate.acquire_owned()).await;
        turn.ok().and_then(Result::ok)
    }

    fn gate(&self, key: String) -> Arc<Semaphore> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= SWEEP && gates.len() == gates.capacity() {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        if let Some(gate) = gates.get(&key).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        gates.insert(key, Arc::downgrade(&gate));
        gate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_admits_four_and_is_removed_when_unused() {
        let gates = Gates::default();
        let mut inside = Vec::new();
        for _ in 0..AT_ONCE {
            inside.push(gates.enter("account", "place").await.unwrap());
        }
        let late = timeout(Duration::from_millis(20), gates.enter("account", "place"));
        assert!(late.await.is_err());
        assert!(gates.enter("account", "elsewhere").await.is_some());
        inside.pop();
        inside.push(gates.enter("account", "place").await.unwrap());
        for number in 0..100_000 {
            assert!(gates.enter("account", &number.to_string()).await.is_some());
        }
        assert!(gates.0.lock().unwrap().len() < 10_000);
        let late = timeout(Duration::from_millis(20), gates.enter("account", "place"));
        assert!(late.await.is_err(), "the gate is still the same");
    }
}
