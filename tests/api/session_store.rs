//! The rules for stores, checked on the in-memory stores, and that the checks detect each broken rule.

use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::sessions::{
    Converged, CreateOutcome, EndSessions, EndedSession, MemorySessions, Rotation, SessionLimit,
    SessionRecord, SessionStore, SessionTarget,
};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_sessions_keep_every_rule() {
    check_session_store(&MemorySessions::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_may_be_checked_twice() {
    let store = MemorySessions::new();
    check_session_store(&store).await;
    check_session_store(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_revocations_keep_every_rule() {
    check_revocation_store(&MemoryRevocations::new()).await;
}

#[test]
fn the_reason_of_a_second_use_has_a_name_and_a_number() {
    let all = [
        (None, 0, None),
        (Some(Converged::Concurrent), 1, Some("concurrent")),
        (Some(Converged::LostResponse), 2, Some("lost_response")),
    ];
    for (reason, number, name) in all {
        assert_eq!(Converged::number(reason), number);
        assert_eq!(Converged::from_number(number), reason);
        assert_eq!(reason.map(Converged::as_str), name);
    }
    let of_a_later_version = Converged::from_number(3);
    assert_eq!(of_a_later_version, Some(Converged::LostResponse));
}

#[test]
fn the_debug_output_of_a_rotation_has_no_id_that_grants_anything() {
    let shown = format!("{:?}", Rotation::new("s3ssion", 7, "t0ken", 1));
    assert!(shown.contains("generation: 7"), "{shown}");
    assert!(!shown.contains("s3ssion"), "{shown}");
    assert!(!shown.contains("t0ken"), "{shown}");
}

/// What a faulty store does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    ReadsThenWrites,
    WriteOfTheGraceIsOffByOne,
    ForgetsTheLabel,
    RevivesWhatEnded,
    IgnoresTheOwner,
    SparesTheIdle,
    ForgetsWhatItEnded,
    ForgetsTheClient,
    ForgetsTheKey,
    CountsNoRun,
    IgnoresTheLimit,
    AcknowledgesAnyGeneration,
    RemovesTooMuch,
}

#[derive(Debug, Clone)]
struct Careless {
    store: MemorySessions,
    fault: Fault,
}

impl SessionStore for Careless {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<CreateOutcome, StoreError> {
        let mut session = session.clone();
        if self.fault == Fault::ForgetsTheLabel {
            session.label = session.label.filter(|label| !label.is_empty());
        }
        if self.fault == Fault::ForgetsTheKey {
            session.key_thumbprint = None;
        }
        let limit = limit.filter(|_| self.fault != Fault::IgnoresTheLimit);
        self.store.create(&session, limit).await
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        let mut rotation = rotation.clone();
        if self.fault == Fault::ForgetsTheClient {
            rotation.client = None;
        }
        if self.fault == Fault::CountsNoRun {
            rotation.max_lost_responses = u32::MAX;
        }
        if self.fault == Fault::WriteOfTheGraceIsOffByOne {
            rotation.grace = rotation.grace.saturating_sub(1);
            rotation.lost_response_grace = rotation.lost_response_grace.saturating_sub(1);
        }
        if self.fault == Fault::ReadsThenWrites {
            let mut look = rotation.clone();
            look.generation = 1 << 61;
            let Some(mut record) = self.store.rotate(&look).await? else {
                return Ok(None);
            };
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            rotation.apply(&mut record);
            self.store.create(&record, None).await?;
            return Ok(Some(record));
        }
        if self.fault == Fault::RevivesWhatEnded {
            let mut look = rotation.clone();
            look.generation = 1 << 61;
            let record = self.store.rotate(&look).await?;
            if let Some(mut record) = record.filter(|record| record.ended_at.is_some()) {
                record.ended_at = None;
                record.end_reason = None;
                self.store.create(&record, None).await?;
            }
        }
        self.store.rotate(&rotation).await
    }

    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        self.store.acknowledge(session, generation).await?;
        if self.fault == Fault::AcknowledgesAnyGeneration {
            self.store
                .acknowledge(session, generation.saturating_sub(1))
                .await?;
            self.store.acknowledge(session, generation + 1).await?;
        }
        Ok(())
    }

    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        self.store.list(subject, now).await
    }

    async fn end(&self, mut end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
        if let SessionTarget::SessionOf { session, .. } = end.target
            && self.fault == Fault::IgnoresTheOwner
        {
            end.target = SessionTarget::Session(session);
        }
        if self.fault == Fault::ForgetsWhatItEnded {
            end.ended_since = u64::MAX;
        }
        if let SessionTarget::Subject(subject) = end.target
            && self.fault == Fault::SparesTheIdle
        {
            let mut ended = Vec::new();
            for live in self.store.list(subject, end.now).await? {
                let mut one = end;
                one.target = SessionTarget::Session(&live.id);
                ended.extend(self.store.end(one).await?);
            }
            return Ok(ended);
        }
        self.store.end(end).await
    }

    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        let later = u64::from(self.fault == Fault::RemovesTooMuch);
        self.store.clean_up(before + later, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_checks_name_the_rule_that_a_store_breaks() {
    for (fault, rule) in [
        (Fault::ReadsThenWrites, "64 rotations of one token at once"),
        (
            Fault::WriteOfTheGraceIsOffByOne,
            "up to the very end of the grace",
        ),
        (Fault::ForgetsTheLabel, "a missing label and an empty label"),
        (Fault::ForgetsTheKey, "stored unchanged"),
        (Fault::RevivesWhatEnded, "is ended like a live one"),
        (
            Fault::IgnoresTheOwner,
            "not ended for a subject that it does not belong to",
        ),
        (Fault::ForgetsWhatItEnded, "is returned again"),
        (Fault::SparesTheIdle, "returned again, for a subject"),
        (
            Fault::ForgetsTheClient,
            "converges for the client that made the rotation",
        ),
        (Fault::CountsNoRun, "reaches the maximum ends the session"),
        (Fault::IgnoresTheLimit, "one more is refused"),
        (
            Fault::AcknowledgesAnyGeneration,
            "only the current generation is acknowledged",
        ),
        (Fault::RemovesTooMuch, "removes what ended before"),
    ] {
        let store = Careless {
            store: MemorySessions::new(),
            fault,
        };
        let checked = tokio::spawn(async move { check_session_store(&store).await }).await;
        let panic = checked.expect_err("the fault is found").into_panic();
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains(rule), "{fault:?}: {text}");
    }
}
