//! [`Slots`]: a bounded cache with one slot for each key, which is filled once however many requests ask for
//! it.

use std::hash::Hash;
use std::sync::Arc;

use moka::Equivalent;
#[cfg(not(all(test, loom)))]
use moka::policy::EvictionPolicy;
#[cfg(not(all(test, loom)))]
use moka::sync::Cache;

/// A cache of slots. All requests that ask for a key at the same time get the same slot.
#[cfg(not(all(test, loom)))]
pub(crate) struct Slots<K, S> {
    slots: Cache<K, Arc<S>>,
}

// === impl Slots ===

#[cfg(not(all(test, loom)))]
impl<K, S> Slots<K, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    /// Creates a cache for this number of slots. The least recently used slot is dropped first: moka's
    /// default policy would refuse new keys while old ones are used often.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            slots: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    pub(crate) fn find<Q>(&self, question: &Q) -> Option<Arc<S>>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.slots.get(question)
    }

    /// Returns the slot to take the answer from: the existing one, or a new one if there is none or it is
    /// spent. A new slot is made from the spent one.
    pub(crate) fn take<Q>(
        &self,
        question: &Q,
        key: impl FnOnce() -> K,
        is_spent: impl Fn(&S) -> bool,
        make: impl FnOnce(Option<&S>) -> S,
    ) -> Arc<S>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        let Some(slot) = self.find(question) else {
            return self.slots.get_with(key(), || Arc::new(make(None)));
        };
        if !is_spent(&slot) {
            return slot;
        }
        let replaced = self
            .slots
            .entry(key())
            .or_insert_with_if(|| Arc::new(make(Some(&slot))), |current| is_spent(current));
        replaced.into_value()
    }

    /// Returns all slots. It is slow, so it is only for rare operations.
    pub(crate) fn all(&self) -> Vec<(Arc<K>, Arc<S>)> {
        self.slots.iter().collect()
    }

    pub(crate) fn forget<Q>(&self, question: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.slots.invalidate(question);
    }
}

/// A replacement with the same guarantees for the tests named `models`. The real cache blocks a thread while
/// another one makes a slot, and loom cannot follow that.
#[cfg(all(test, loom))]
pub(crate) struct Slots<K, S> {
    slots: loom::sync::Mutex<Vec<(Arc<K>, Arc<S>)>>,
}

#[cfg(all(test, loom))]
impl<K: Hash + Eq, S> Slots<K, S> {
    pub(crate) fn new(_: u64) -> Self {
        Self {
            slots: loom::sync::Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn find<Q: Equivalent<K> + ?Sized>(&self, question: &Q) -> Option<Arc<S>> {
        let slots = self.slots.lock().unwrap();
        let mut slots = slots.iter();
        slots.find_map(|(key, slot)| question.equivalent(key).then(|| Arc::clone(slot)))
    }

    pub(crate) fn take<Q: Equivalent<K> + ?Sized>(
        &self,
        question: &Q,
        key: impl FnOnce() -> K,
        is_spent: impl Fn(&S) -> bool,
        make: impl FnOnce(Option<&S>) -> S,
    ) -> Arc<S> {
        // As the real one: looks first, then makes a slot under the lock of its key.
        let found = self.find(question);
        if let Some(slot) = &found
            && !is_spent(slot)
        {
            return Arc::clone(slot);
        }
        let mut slots = self.slots.lock().unwrap();
        let at = slots.iter().position(|(key, _)| question.equivalent(key));
        if let Some(at) = at
            && (found.is_none() || !is_spent(&slots[at].1))
        {
            return Arc::clone(&slots[at].1);
        }
        let made = Arc::new(make(found.as_deref()));
        slots.retain(|(key, _)| !question.equivalent(key));
        slots.push((Arc::new(key()), Arc::clone(&made)));
        made
    }

    pub(crate) fn all(&self) -> Vec<(Arc<K>, Arc<S>)> {
        self.slots.lock().unwrap().clone()
    }

    pub(crate) fn forget<Q: Equivalent<K> + ?Sized>(&self, question: &Q) {
        let mut slots = self.slots.lock().unwrap();
        slots.retain(|(key, _)| !question.equivalent(key));
    }
}
