//! Checks of rotation: each step is compared with [`Rotation::apply`].

use super::{Check, HOUR, SECOND, same};
use crate::session::{
    Converged, EndReason, EndSessions, Rotation, RotationOutcome as Outcome, SessionRecord,
    SessionStore, SessionTarget,
};
use crate::testing::random::Dice;

/// The last microsecond of the year 9999.
const END_OF_9999: u64 = 253_402_300_799_999_999;

const REUSED: Outcome = Outcome::ReuseDetected;
const ROTATED: Outcome = Outcome::Rotated { rewound: false };
const REWOUND: Outcome = Outcome::Rotated { rewound: true };
const CONCURRENT: Outcome = Outcome::Converged(Converged::Concurrent);
const LOST: Outcome = Outcome::Converged(Converged::LostResponse);

const GRACE: u64 = 10 * SECOND;
const LOST_RESPONSE: u64 = 60 * SECOND;

/// A rule with an example: a record of generation 5, and a token that is used on it.
struct Case {
    rule: &'static str,
    /// The generation of the token.
    token: u64,
    /// The age of the current generation.
    age: u64,
    /// Other changes to the record and the rotation.
    change: fn(&mut SessionRecord, &mut Rotation),
    outcome: Outcome,
}

const fn case(rule: &'static str, token: u64, age: u64, outcome: Outcome) -> Case {
    let change = |_: &mut SessionRecord, _: &mut Rotation| {};
    Case {
        rule,
        token,
        age,
        change,
        outcome,
    }
}

const fn with(mut case: Case, change: fn(&mut SessionRecord, &mut Rotation)) -> Case {
    case.change = change;
    case
}

#[rustfmt::skip] // a table
const CASES: &[Case] = &[
    case("the current token moves the session on", 5, SECOND, ROTATED),
    case("the current token moves the session on, also in the same microsecond", 5, 0, ROTATED),
    with(case("the current token moves an acknowledged session on", 5, SECOND, ROTATED), |record, _| {
        record.acknowledged = Some(5);
    }),
    case("the previous token converges at the moment of the rotation", 4, 0, CONCURRENT),
    case("the previous token converges up to the very end of the grace", 4, GRACE, CONCURRENT),
    with(case("the previous token of an acknowledged generation converges within the grace", 4, GRACE, CONCURRENT), |record, _| {
        record.acknowledged = Some(5);
    }),
    case("just after the grace, the previous token of an unacknowledged generation converges as a lost response", 4, GRACE + 1, LOST),
    case("without any acknowledgement, the previous token converges up to the end of the time for a lost response", 4, LOST_RESPONSE, LOST),
    case("just after the time for a lost response, the previous token is reuse", 4, LOST_RESPONSE + 1, REUSED),
    with(case("once an earlier generation was acknowledged, a lost response has no time limit", 4, HOUR / 2 - 1, LOST), |record, _| {
        record.acknowledged = Some(4);
    }),
    with(case("an acknowledgement of generation 0 counts as one of an earlier generation", 4, HOUR / 2 - 1, LOST), |record, _| {
        record.acknowledged = Some(0);
    }),
    with(case("just after the grace, the previous token of an acknowledged generation is reuse", 4, GRACE + 1, REUSED), |record, _| {
        record.acknowledged = Some(5);
    }),
    with(case("a client whose response was lost may retry in two tabs, within a second grace", 4, HOUR / 4 + GRACE, CONCURRENT), |record, _| {
        record.acknowledged = Some(5);
        record.last_used_at += HOUR / 4;
    }),
    with(case("just after the second grace, the previous token is reuse", 4, HOUR / 4 + GRACE + 1, REUSED), |record, _| {
        record.acknowledged = Some(5);
        record.last_used_at += HOUR / 4;
    }),
    with(case("a run of lost responses that is one short of the maximum converges", 4, GRACE + 1, LOST), |record, _| {
        record.lost_responses = 3;
        record.convergences = 3;
    }),
    with(case("a run of lost responses that reaches the maximum ends the session as reuse", 4, GRACE + 1, REUSED), |record, _| {
        record.lost_responses = 4;
        record.convergences = 4;
    }),
    with(case("a second lost response of one generation does not make the run longer", 4, GRACE + 1, LOST), |record, _| {
        record.lost_responses = 4;
        record.convergences = 4;
        record.converged = Some(Converged::LostResponse);
    }),
    with(case("a run of concurrent requests does not end a session, however long", 4, GRACE, CONCURRENT), |record, _| {
        record.convergences = u32::MAX;
    }),
    with(case("a lost response after a concurrent request of one generation counts as lost", 4, GRACE + 1, LOST), |record, _| {
        record.convergences = 1;
        record.converged = Some(Converged::Concurrent);
    }),
    with(case("a generation that did not converge ends both runs", 5, SECOND, ROTATED), |record, _| {
        record.convergences = 4;
        record.lost_responses = 2;
    }),
    with(case("a generation with concurrent requests ends a run of lost responses only", 5, SECOND, ROTATED), |record, _| {
        record.convergences = 4;
        record.lost_responses = 2;
        record.converged = Some(Converged::Concurrent);
    }),
    with(case("a generation with a lost response ends neither run", 5, SECOND, ROTATED), |record, _| {
        record.convergences = 4;
        record.lost_responses = 2;
        record.converged = Some(Converged::LostResponse);
    }),
    with(case("the previous token converges for the client that made the rotation", 4, SECOND, CONCURRENT), |record, rotation| {
        record.client = Some("a".into());
        rotation.client = Some("a".into());
    }),
    with(case("the previous token from another client is reuse, within the grace too", 4, SECOND, REUSED), |record, rotation| {
        record.client = Some("a".into());
        rotation.client = Some("b".into());
    }),
    with(case("the previous token without a mark is reuse, if the rotation had a mark", 4, SECOND, REUSED), |record, _| {
        record.client = Some("a".into());
    }),
    with(case("the previous token converges for any client, if the rotation had no mark", 4, SECOND, CONCURRENT), |_, rotation| {
        rotation.client = Some("b".into());
    }),
    with(case("the previous token from another client is reuse, after the grace too", 4, GRACE + 1, REUSED), |record, rotation| {
        record.client = Some("a".into());
        rotation.client = Some("b".into());
    }),
    with(case("the current token from another client moves the session on, and the new mark is stored", 5, SECOND, ROTATED), |record, rotation| {
        record.client = Some("a".into());
        rotation.client = Some("b".into());
    }),
    with(case("the current token without a mark moves the session on, and the mark is removed", 5, SECOND, ROTATED), |record, _| {
        record.client = Some("a".into());
    }),
    with(case("a grace of zero still covers the same microsecond", 4, 0, CONCURRENT), |_, rotation| {
        rotation.grace = 0;
        rotation.lost_response_grace = 0;
    }),
    with(case("without a grace and a time for a lost response, the previous token is reuse after one microsecond", 4, 1, REUSED), |_, rotation| {
        rotation.grace = 0;
        rotation.lost_response_grace = 0;
    }),
    with(case("a grace may be longer than the time for a lost response", 4, LOST_RESPONSE + 1, CONCURRENT), |_, rotation| {
        rotation.grace = LOST_RESPONSE + 1;
    }),
    with(case("the previous token converges if the clock is behind the last rotation", 4, 0, CONCURRENT), |record, rotation| {
        record.rotated_at += 5 * SECOND;
        rotation.grace = 0;
        rotation.lost_response_grace = 0;
    }),
    with(case("the current token moves the session on if the clock is behind the last use", 5, 0, ROTATED), |record, _| {
        record.last_used_at += 5 * SECOND;
    }),
    case("a token two generations old is reuse, within the grace too", 3, 0, REUSED),
    case("the very first token is reuse", 0, SECOND, REUSED),
    with(case("an old token of a request from before the last rotation changes nothing", 3, SECOND, Outcome::Delayed), |record, _| {
        record.rotated_at += 5 * SECOND;
        record.last_used_at += 5 * SECOND;
    }),
    with(case("a late convergence does not set back the time of the last use", 4, SECOND, CONCURRENT), |record, _| {
        record.rotated_at += 5 * SECOND;
        record.last_used_at += 5 * SECOND;
    }),
    case("a token one generation ahead moves the session past it", 6, SECOND, REWOUND),
    case("a token two generations ahead changes nothing", 7, SECOND, Outcome::StoreRewound),
    case("a token far ahead changes nothing", 1 << 50, SECOND, Outcome::StoreRewound),
    with(case("a session is expired at the microsecond of its expiry", 5, SECOND, Outcome::Expired), |record, rotation| {
        record.expires_at = rotation.now;
    }),
    with(case("a session is live until the microsecond before its expiry", 5, SECOND, ROTATED), |record, rotation| {
        record.expires_at = rotation.now + 1;
    }),
    with(case("a session is idle at the microsecond of its idle timeout", 5, SECOND, Outcome::Idle), |record, _| {
        record.idle_ttl = SECOND;
    }),
    with(case("a session is not idle in the microsecond before its idle timeout", 5, SECOND, ROTATED), |record, _| {
        record.idle_ttl = SECOND + 1;
    }),
    with(case("an old token does not end an expired session", 1, SECOND, Outcome::Expired), |record, rotation| {
        record.expires_at = rotation.now;
    }),
    with(case("an old token does not end an idle session", 1, SECOND, Outcome::Idle), |record, _| {
        record.idle_ttl = SECOND;
    }),
    with(case("the previous token does not converge in an expired session", 4, SECOND, Outcome::Expired), |record, rotation| {
        record.expires_at = rotation.now;
    }),
    with(case("a token one generation ahead does not move an expired session on", 6, SECOND, Outcome::Expired), |record, rotation| {
        record.expires_at = rotation.now;
    }),
    with(case("times up to the end of the year 9999 are stored exactly", 5, SECOND, ROTATED), |record, rotation| {
        far_future(record, rotation);
    }),
    with(case("the grace is exact at the end of the year 9999", 4, GRACE, CONCURRENT), far_future),
    with(case("reuse is detected at the end of the year 9999", 3, GRACE, REUSED), far_future),
    with(case("generations over 2^53 are stored exactly", (1 << 53) + 1, SECOND, ROTATED), |record, _| {
        record.generation = (1 << 53) + 1;
        record.previous_generation = 1 << 53;
    }),
    with(case("generations over 2^53 are compared exactly", (1 << 53) - 1, GRACE, REUSED), |record, _| {
        record.generation = (1 << 53) + 1;
        record.previous_generation = 1 << 53;
    }),
];

/// Shifts all times to the end of the year 9999.
fn far_future(record: &mut SessionRecord, rotation: &mut Rotation) {
    let shift = END_OF_9999 - record.expires_at;
    for time in [
        &mut record.created_at,
        &mut record.rotated_at,
        &mut record.last_used_at,
        &mut record.expires_at,
        &mut rotation.now,
    ] {
        *time += shift;
    }
}

pub(super) async fn each_rule<S: SessionStore + Clone>(check: &Check<S>) {
    let rule = "the rotation of a session that does not exist returns `None`";
    let unknown = Rotation::new(check.name("nobody"), 0, "t", check.now);
    same(rule, &None, &check.rotate(&unknown).await);

    for (number, case) in CASES.iter().enumerate() {
        let name = format!("case{number}");
        let mut record = SessionRecord {
            generation: 5,
            previous_generation: 4,
            ..check.record(&name, "cases")
        };
        let next = check.name(&format!("{name}.next"));
        let mut rotation = Rotation::new(&record.id, case.token, next, check.now + case.age);
        rotation.grace = GRACE;
        rotation.lost_response_grace = LOST_RESPONSE;
        (case.change)(&mut record, &mut rotation);
        record.client = record.client.map(|client| check.name(&client));
        rotation.client = rotation.client.map(|client| check.name(&client));

        check.open(&record).await;
        let outcome = check.step(case.rule, &mut record, &rotation).await;
        same(case.rule, &case.outcome, &outcome);
        let rule = format!("{} (and the result is stored)", case.rule);
        same(
            &rule,
            &Some(&record),
            &check.look(&record.id).await.as_ref(),
        );
    }
}

/// Checks the rules about several steps.
pub(super) async fn whole_lives<S: SessionStore + Clone>(check: &Check<S>) {
    let mut record = check.record("moves", "lives");
    let (start, end) = (check.now, record.expires_at);
    check.open(&record).await;
    let rotation = |generation: u64, after: u64| {
        let token = format!("moves.{generation}.{after}");
        Rotation::new(check.name("moves"), generation, token, start + after)
    };

    let rule = "a rotation postpones the idle timeout, but not the expiry of the session";
    for generation in 0..3 {
        let at = (generation + 1) * 19 * 60 * SECOND; // each within half an hour of the last
        let next = rotation(generation, at);
        same(rule, &ROTATED, &check.step(rule, &mut record, &next).await);
        same(rule, &end, &record.expires_at);
    }
    let next = rotation(3, HOUR);
    let outcome = check.step(rule, &mut record, &next).await;
    same(rule, &Outcome::Expired, &outcome);

    let rule = "every rotation that converges returns the same token";
    let mut record = check.record("same", "lives");
    check.open(&record).await;
    let first = Rotation::new(&record.id, 0, check.name("same.first"), start);
    same(rule, &ROTATED, &check.step(rule, &mut record, &first).await);
    for late in 0..3 {
        let again = Rotation::new(&record.id, 0, format!("same.{late}"), start + late);
        let outcome = check.step(rule, &mut record, &again).await;
        same(rule, &CONCURRENT, &outcome);
        same(rule, &first.token_id, &record.token_id);
    }

    let rule = "a convergence within the grace does not prolong the grace";
    let mut record = check.record("grace", "lives");
    record.acknowledged = Some(0);
    check.open(&record).await;
    let at = |generation, after| {
        let token = format!("grace.{generation}.{after}");
        Rotation::new(check.name("grace"), generation, token, start + after)
    };
    check.step(rule, &mut record, &at(0, 0)).await;
    check.acknowledge(&record.id, 1).await;
    record.acknowledged = Some(1);
    let outcome = check.step(rule, &mut record, &at(0, GRACE)).await;
    same(rule, &CONCURRENT, &outcome);
    let outcome = check.step(rule, &mut record, &at(0, GRACE + 1)).await;
    same(rule, &REUSED, &outcome);

    let rule = "an ended session stays as it is, whichever token is used";
    for (reason, name) in [
        (EndReason::ReuseDetected, "ended by reuse"),
        (EndReason::Revoked, "ended by its owner"),
        (EndReason::Replaced, "ended by another"),
    ] {
        let mut record = SessionRecord {
            generation: 3,
            previous_generation: 2,
            ..check.record(name, "lives")
        };
        check.open(&record).await;
        let target = SessionTarget::Session(&record.id);
        let ended = check.end(EndSessions::new(target, reason, start + 1)).await;
        let ids: Vec<_> = ended.into_iter().map(|session| session.id).collect();
        same(rule, &vec![record.id.clone()], &ids);
        record.ended_at = Some(start + 1);
        record.end_reason = Some(reason);
        for generation in [3, 2, 0, 4, 9] {
            let token = format!("{name}.{generation}");
            let rotation = Rotation::new(&record.id, generation, token, start + 2);
            let outcome = check.step(rule, &mut record, &rotation).await;
            same(rule, &Outcome::Ended(reason), &outcome);
        }
    }
}

pub(super) async fn acknowledgements<S: SessionStore + Clone>(check: &Check<S>) {
    let mut record = SessionRecord {
        generation: 5,
        previous_generation: 4,
        ..check.record("seen", "acknowledged")
    };
    check.open(&record).await;
    let id = record.id.clone();

    let rule = "acknowledging a session that does not exist changes nothing";
    check.acknowledge(&check.name("nobody"), 5).await;
    same(rule, &None, &check.look(&check.name("nobody")).await);

    let rule = "only the current generation is acknowledged";
    for other in [4, 6, 0] {
        check.acknowledge(&id, other).await;
        same(rule, &Some(&record), &check.look(&id).await.as_ref());
    }

    let rule = "an acknowledgement changes `acknowledged` and nothing else, and may be repeated";
    record.acknowledged = Some(5);
    for _ in 0..2 {
        check.acknowledge(&id, 5).await;
        same(rule, &Some(&record), &check.look(&id).await.as_ref());
    }

    let rule = "a rotation keeps `acknowledged`, so the new generation is not acknowledged";
    let next = Rotation::new(&id, 5, check.name("seen.next"), check.now + 1);
    check.step(rule, &mut record, &next).await;
    same(rule, &Some(5), &record.acknowledged);
    check.acknowledge(&id, 5).await;
    same(rule, &Some(&record), &check.look(&id).await.as_ref());
}

/// Runs random histories of sessions: the clock advances by steps and jumps, tokens of all ages are
/// used, and sessions end.
pub(super) async fn random_lives<S: SessionStore + Clone>(check: &Check<S>) {
    const STEPS: &[u64] = &[
        0,
        0,
        1,
        SECOND,
        GRACE - 1,
        GRACE,
        GRACE + 1,
        LOST_RESPONSE,
        HOUR / 2,
    ];
    // Most tokens are current, so that sessions live long enough to meet the others.
    const TOKENS: &[i64] = &[0, 0, 0, 0, 0, 0, -1, -1, -1, 1, 2, -2];

    for life in 0..24 {
        let mut dice = Dice::new(life);
        let mut model = check.record(&format!("life{life}"), "lives");
        model.expires_at = check.now + 3 * HOUR;
        let mut now = check.now;
        check.open(&model).await;
        for step in 0..30 {
            let rule =
                format!("the store does what `Rotation::apply` does (history {life}, step {step})");
            now += dice.pick(STEPS);
            match dice.pick(&[0_u8, 0, 0, 0, 0, 0, 0, 1, 1, 2]) {
                0 => {
                    let generation = model.generation.saturating_add_signed(dice.pick(TOKENS));
                    let token = check.name(&format!("life{life}.{step}"));
                    let mut rotation = Rotation::new(&model.id, generation, token, now);
                    rotation.grace = dice.pick(&[0, GRACE, GRACE, 60 * SECOND]);
                    rotation.lost_response_grace = dice.pick(&[0, LOST_RESPONSE, LOST_RESPONSE]);
                    rotation.max_lost_responses = dice.pick(&[1, 2, 5]);
                    rotation.client = dice
                        .pick(&[None, None, Some("a"), Some("b")])
                        .map(Into::into);
                    check.step(&rule, &mut model, &rotation).await;
                }
                1 => {
                    let generation = model.generation.saturating_sub(dice.pick(&[0, 0, 1]));
                    check.acknowledge(&model.id, generation).await;
                    if generation == model.generation {
                        model.acknowledged = Some(generation);
                    }
                }
                _ if dice.pick(&[0_u8, 0, 0, 1]) == 1 && model.is_live(now) => {
                    let target = SessionTarget::Session(&model.id);
                    check.ends(&rule, target, now, &[&model.id]).await;
                    model.ended_at = Some(now);
                    model.end_reason = Some(EndReason::Revoked);
                }
                _ => {}
            }
            same(&rule, &Some(&model), &check.look(&model.id).await.as_ref());
        }
    }
}
