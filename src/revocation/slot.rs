//! [`Slot`]: the cached answer about one token, and its [`Key`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use moka::Equivalent;
use tokio::sync::OnceCell;

use super::RevocationQuery;
use crate::store::StoreError;

/// The place of the answer about one token. The first request for it fills it, once.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) answer: OnceCell<Answer>,
    /// The epoch before the store was asked.
    pub(super) epoch: u64,
    /// The time at which the store last said "not revoked" before this slot was made.
    pub(super) last_good: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) verdict: Result<bool, Arc<StoreError>>,
    /// The time before the store was asked, in microseconds.
    pub(super) asked_at: u64,
}

// === impl Slot ===

impl Slot {
    /// Returns the time at which the store last said "not revoked".
    pub(super) fn last_good(&self) -> Option<u64> {
        match self.answer.get() {
            Some(Answer {
                verdict: Ok(false),
                asked_at,
            }) => Some(*asked_at),
            _ => self.last_good,
        }
    }
}

/// Everything that the answer depends on, because an issuer may use an id twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    issuer: Option<Box<str>>,
    subject: Box<str>,
    session: Option<Box<str>>,
    token: Box<str>,
    issued_at: u64,
}

/// A query that finds its slot without allocating a [`Key`].
pub(super) struct Question<'q>(pub(super) &'q RevocationQuery<'q>);

// === impl Key ===

impl From<&RevocationQuery<'_>> for Key {
    fn from(query: &RevocationQuery<'_>) -> Self {
        Self {
            issuer: query.issuer().map(Into::into),
            subject: query.subject().into(),
            session: query.session().map(Into::into),
            token: query.token().into(),
            issued_at: query.issued_at(),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.token, self.issued_at, state);
    }
}

// === impl Question ===

impl Hash for Question<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(query) = self;
        hash(query.token(), query.issued_at(), state);
    }
}

impl Equivalent<Key> for Question<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let Self(query) = self;
        query.token() == &*key.token
            && query.session() == key.session.as_deref()
            && query.subject() == &*key.subject
            && query.issuer() == key.issuer.as_deref()
            && query.issued_at() == key.issued_at
    }
}

/// Hashes only what nearly always distinguishes two tokens.
fn hash(token: &str, issued_at: u64, state: &mut impl Hasher) {
    state.write(token.as_bytes());
    state.write_u64(issued_at);
}

pub(super) fn no_answer() -> StoreError {
    StoreError::new("the revocation store did not respond within the timeout")
}

/// Returns the age, or `None` if the clock was set back, so that no answer is used for too long.
pub(super) fn age(since: u64, now: u64) -> Option<Duration> {
    now.checked_sub(since).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::{Equivalent, Key, Question, RevocationQuery};

    #[test]
    fn a_query_finds_its_own_slot_and_no_other() {
        let base = RevocationQuery::new("alice", "t1", 5);
        let all = [
            base,
            base.with_issuer("me"),
            base.with_issuer(""),
            base.with_session("s1"),
            base.with_issuer("me").with_session("s1"),
            base.with_issuer("s1"),
            RevocationQuery::new("bob", "t1", 5),
            RevocationQuery::new("alice", "t2", 5),
            RevocationQuery::new("alice", "t1", 6),
            RevocationQuery::new("alicet", "1", 5),
        ];
        let hasher = RandomState::new();
        for (asked, question) in all.iter().enumerate() {
            for (kept, other) in all.iter().enumerate() {
                let key = Key::from(other);
                let found = Question(question).equivalent(&key);
                assert_eq!(found, asked == kept, "{question:?} {other:?}");
                if found {
                    assert_eq!(
                        hasher.hash_one(Question(question)),
                        hasher.hash_one(&key),
                        "{other:?}"
                    );
                }
            }
        }
    }
}
