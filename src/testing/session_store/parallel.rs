//! Checks with requests at the same time.

use std::future::Future;

use tokio::task::JoinSet;

use super::{Check, SECOND, answered, same};
use crate::session::{
    Converged, CreateOutcome, EndReason, Rotation, RotationOutcome as Outcome, SessionLimit,
    SessionRecord, SessionStore, WhenFull,
};

/// The number of requests at the same time.
const AT_ONCE: u64 = 64;

/// Sends 64 rotations of one token, for three generations. One must move the session on, and all
/// must get the same token.
pub(super) async fn one_token<S: SessionStore + Clone>(check: &Check<S>) {
    let record = check.record("crowd", "crowd");
    check.open(&record).await;
    for generation in 0..3 {
        let rotations = (0..AT_ONCE).map(|number| {
            let token = check.name(&format!("crowd.{generation}.{number}"));
            Rotation::new(&record.id, generation, token, check.now + generation)
        });
        let answers = all_at_once(check, rotations).await;

        let rule = "of 64 rotations of one token at once, one rotates and 63 converge";
        let count = |outcome| {
            answers
                .iter()
                .filter(|(found, _)| *found == outcome)
                .count()
        };
        let rotated = count(Outcome::Rotated { rewound: false });
        let converged = count(Outcome::Converged(Converged::Concurrent));
        same(rule, &(1, 63), &(rotated, converged));

        let rule = "all rotations of one token at once return the same next token";
        let mut told: Vec<_> = answers
            .iter()
            .flat_map(|(_, after)| after)
            .map(|after| (after.generation, &after.token_id))
            .collect();
        told.sort();
        told.dedup();
        same(rule, &1, &told.len());
        same(
            rule,
            &Some(generation + 1),
            &told.first().map(|told| told.0),
        );
    }
}

/// Sends an old token among many current ones. The session must end once, and must stay ended.
pub(super) async fn a_stolen_token<S: SessionStore + Clone>(check: &Check<S>) {
    let rule = "an old token among 64 at once ends the session, and it stays ended";
    let record = SessionRecord {
        generation: 5,
        previous_generation: 4,
        ..check.record("theft", "crowd")
    };
    check.open(&record).await;
    let now = check.now + SECOND;
    let rotations = (0..AT_ONCE).map(|number| {
        let generation = if number == 7 { 2 } else { 5 };
        Rotation::new(
            &record.id,
            generation,
            check.name(&format!("theft.{number}")),
            now,
        )
    });
    let answers = all_at_once(check, rotations).await;
    let moves = answers
        .iter()
        .filter(|(outcome, _)| *outcome == Outcome::Rotated { rewound: false });
    same(rule, &true, &(moves.count() <= 1));
    let after = check.look(&record.id).await;
    let after = after.map(|after| (after.ended_at, after.end_reason));
    same(
        rule,
        &Some((Some(now), Some(EndReason::ReuseDetected))),
        &after,
    );
}

/// Opens many sessions of one subject at once, under a limit.
pub(super) async fn limited_logins<S: SessionStore + Clone>(check: &Check<S>) {
    const LOGINS: usize = 24;
    const MAX: u32 = 3;
    for (when_full, subject) in [
        (WhenFull::Refuse, "crowd, refused"),
        (WhenFull::EndOldest, "crowd, replaced"),
    ] {
        let limit = SessionLimit::new(MAX, when_full);
        let logins = (0..LOGINS).map(|number| {
            let store = check.store.clone();
            let record = check.record(&format!("{subject}.{number}"), subject);
            async move { answered("create", store.create(&record, Some(limit)).await) }
        });
        let created = gather(logins).await;
        let opened: Vec<_> = created
            .iter()
            .filter_map(|created| match created {
                CreateOutcome::Opened { ended } => Some(ended.len()),
                CreateOutcome::Full => None,
            })
            .collect();

        let rule = "logins of one subject at once do not exceed the limit";
        let listed = check.listed(&check.name(subject), check.now).await;
        same(rule, &(MAX as usize), &listed.len());
        let rule = "of logins at once, exactly those that exceed the limit are refused or replaced";
        let expected = match when_full {
            WhenFull::Refuse => (MAX as usize, 0),
            WhenFull::EndOldest => (LOGINS, LOGINS - MAX as usize),
        };
        same(rule, &expected, &(opened.len(), opened.iter().sum()));
    }
}

async fn all_at_once<S: SessionStore + Clone>(
    check: &Check<S>,
    rotations: impl Iterator<Item = Rotation>,
) -> Vec<(Outcome, Option<SessionRecord>)> {
    let tasks = rotations.map(|rotation| {
        let store = check.store.clone();
        async move {
            let after = answered("rotate", store.rotate(&rotation).await);
            (rotation.outcome(after.as_ref()), after)
        }
    });
    gather(tasks).await
}

/// Runs all futures as tasks. A panic in one of them is passed on.
pub(in crate::testing) async fn gather<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut running: JoinSet<T> = tasks.collect();
    let mut done = Vec::new();
    while let Some(answer) = running.join_next().await {
        match answer {
            Ok(answer) => done.push(answer),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => panic!("the runtime stopped during a check"),
        }
    }
    done
}
