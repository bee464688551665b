//! The rules of a [`SessionStore`], as checks that run on any store.

mod cleaning;
mod ending;
mod keeping;
mod parallel;
mod rotating;

pub(super) use keeping::ODD_TEXTS;
pub(super) use parallel::gather;

use std::fmt::Debug;

use super::random::name_of_run;
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::session::{
    CreateOutcome, EndReason, EndSessions, EndedSession, Rotation, RotationOutcome, SessionLimit,
    SessionRecord, SessionStore, SessionTarget,
};
use crate::store::StoreError;

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// Checks that a store of your own keeps every rule of [`SessionStore`].
///
/// It opens, rotates, lists, ends and cleans up more than a thousand sessions, compares each result
/// with [`Rotation::apply`], and sends 64 rotations of one token at once. Run it on an empty test
/// database, preferably in a runtime with several threads. **It also removes sessions of others**,
/// if they are over within the next two hours.
///
/// ```
/// use tower_jwt_auth::sessions::MemorySessions;
/// use tower_jwt_auth::testing::check_session_store;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// check_session_store(&MemorySessions::new()).await;
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics if the store breaks a rule, or if it is unavailable. The message names the rule.
pub async fn check_session_store<S: SessionStore + Clone>(store: &S) {
    let check = Check::new(store);
    check.everything_but_clean_up().await;
    cleaning::clean_up(&check).await;
}

/// Checks a store of your own that removes sessions by itself once they are over, so that
/// [`clean_up`](SessionStore::clean_up) need not remove any. All other checks are those of
/// [`check_session_store`].
///
/// # Panics
///
/// Panics if the store breaks a rule, or if it is unavailable. The message names the rule.
pub async fn check_expiring_session_store<S: SessionStore + Clone>(store: &S) {
    let check = Check::new(store);
    check.everything_but_clean_up().await;
    cleaning::clean_up_spares_what_lives(&check).await;
}

/// A store under test, and what the checks have in common.
#[derive(Debug)]
struct Check<S> {
    store: S,
    run: String,
    /// The time at which the checks begin: the present, because a store may drop sessions by itself.
    now: u64,
}

// === impl Check ===

impl<S: SessionStore + Clone> Check<S> {
    fn new(store: &S) -> Self {
        Self {
            store: store.clone(),
            run: name_of_run(),
            now: unix_micros(SystemClock.now()),
        }
    }

    async fn everything_but_clean_up(&self) {
        keeping::columns(self).await;
        keeping::lists(self).await;
        ending::ends(self).await;
        ending::parts(self).await;
        ending::limits(self).await;
        rotating::each_rule(self).await;
        rotating::whole_lives(self).await;
        rotating::acknowledgements(self).await;
        rotating::random_lives(self).await;
        parallel::one_token(self).await;
        parallel::a_stolen_token(self).await;
        parallel::limited_logins(self).await;
    }

    /// Returns a name that no other run uses.
    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.run)
    }

    /// Creates a record that expires in an hour and has an idle timeout of half an hour.
    fn record(&self, name: &str, subject: &str) -> SessionRecord {
        SessionRecord {
            token_id: self.name(&format!("{name}.t0")),
            idle_ttl: HOUR / 2,
            expires_at: self.now + HOUR,
            ..SessionRecord::new(self.name(name), self.name(subject), self.now)
        }
    }

    async fn open(&self, record: &SessionRecord) {
        let created = answered("create", self.store.create(record, None).await);
        let expected = CreateOutcome::Opened { ended: Vec::new() };
        same(
            "a session is stored if there is no limit",
            &expected,
            &created,
        );
    }

    async fn create(&self, record: &SessionRecord, limit: SessionLimit) -> CreateOutcome {
        let created = self.store.create(record, Some(limit)).await;
        match answered("create", created) {
            CreateOutcome::Opened { mut ended } => {
                ended.sort_by(|a, b| a.id.cmp(&b.id));
                CreateOutcome::Opened { ended }
            }
            created @ CreateOutcome::Full => created,
        }
    }

    async fn rotate(&self, rotation: &Rotation) -> Option<SessionRecord> {
        answered("rotate", self.store.rotate(rotation).await)
    }

    /// Rotates in the store and in the model, and compares the results.
    async fn step(
        &self,
        rule: &str,
        model: &mut SessionRecord,
        rotation: &Rotation,
    ) -> RotationOutcome {
        rotation.apply(model);
        let after = self.rotate(rotation).await;
        same(rule, &Some(&*model), &after.as_ref());
        rotation.outcome(after.as_ref())
    }

    /// Reads the record without changing it: a token that is far ahead changes nothing.
    async fn look(&self, session: &str) -> Option<SessionRecord> {
        self.rotate(&Rotation::new(session, 1 << 62, "looks on", self.now))
            .await
    }

    async fn acknowledge(&self, session: &str, generation: u64) {
        let told = self.store.acknowledge(session, generation).await;
        answered("acknowledge", told);
    }

    async fn listed(&self, subject: &str, now: u64) -> Vec<String> {
        let listed = answered("list", self.store.list(subject, now).await);
        listed.into_iter().map(|record| record.id).collect()
    }

    /// Ends sessions, and compares the ids that are returned with those expected, in any order.
    async fn ends(&self, rule: &str, target: SessionTarget<'_>, now: u64, expected: &[&String]) {
        let end = EndSessions::new(target, EndReason::Revoked, now);
        let ended = self.end(end).await;
        let mut expected: Vec<_> = expected.iter().map(|id| (*id).clone()).collect();
        expected.sort();
        let ids: Vec<_> = ended.iter().map(|session| session.id.clone()).collect();
        same(rule, &expected, &ids);
        let rule = format!("{rule} (they are returned with the time of their end)");
        same(
            &rule,
            &true,
            &ended.iter().all(|session| session.ended_at == now),
        );
    }

    /// Ends sessions, and returns what the store returns, sorted by id.
    async fn end(&self, end: EndSessions<'_>) -> Vec<EndedSession> {
        let mut ended = answered("end", self.store.end(end).await);
        ended.sort_by(|a, b| a.id.cmp(&b.id));
        ended
    }
}

/// Panics with the rule that was broken.
#[track_caller]
fn same<T: PartialEq + Debug>(rule: &str, expected: &T, found: &T) {
    assert!(
        expected == found,
        "the session store breaks a rule: {rule}\n expected: {expected:?}\n    found: {found:?}"
    );
}

/// Returns the result of a call to the store, or panics if the store failed.
#[track_caller]
fn answered<T>(method: &str, answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        panic!("the session store failed in `{method}`: {error}: {cause}")
    })
}
