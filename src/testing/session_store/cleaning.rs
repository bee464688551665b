//! Checks of the clean-up: which sessions are removed, and which must stay.

use super::{Check, HOUR, answered, same};
use crate::session::{EndReason, SessionRecord, SessionStore, SessionTarget};

/// `before` lies two hours ahead, so the sessions of the other checks are removed, too.
pub(super) async fn clean_up<S: SessionStore + Clone>(check: &Check<S>) {
    let before = check.now + 2 * HOUR;
    let drain = async || {
        let mut removed = 0;
        loop {
            match answered("clean_up", check.store.clean_up(before, 500).await) {
                0 => break removed,
                some => {
                    let rule = "a clean-up removes no more sessions than its limit";
                    same(rule, &true, &(some <= 500));
                    removed += some;
                }
            }
        }
    };
    let rule = "repeated clean-ups remove all sessions that are over";
    same(rule, &true, &(drain().await > 1000));
    let rule = "a clean-up removes nothing if no session is over";
    same(rule, &0, &drain().await);

    let (live, over) = some_of_each(check, before).await;
    let rule = "a clean-up removes no more sessions than its limit, also if the limit is zero";
    same(
        rule,
        &0,
        &answered("clean_up", check.store.clean_up(before, 0).await),
    );
    let removed = answered("clean_up", check.store.clean_up(before, 2).await);
    same(rule, &2, &removed);
    let rule = "a clean-up removes what ended before the given time, or had expired or become idle \
                by then";
    same(rule, &(over.len() as u64 - 2), &drain().await);
    for id in over {
        same(rule, &None, &check.look(&id).await);
    }
    still_there(check, &live).await;
    let rule = "a removed session is not listed";
    let listed = check.listed(&check.name("clean"), check.now).await;
    let known = live.iter().filter(|record| listed.contains(&record.id));
    same(rule, &listed.len(), &known.count());
}

pub(super) async fn clean_up_spares_what_lives<S: SessionStore + Clone>(check: &Check<S>) {
    let before = check.now + 2 * HOUR;
    let (live, _) = some_of_each(check, before).await;
    for _ in 0..10 {
        answered("clean_up", check.store.clean_up(before, 500).await);
    }
    still_there(check, &live).await;
}

/// Sessions that a clean-up must leave, and the ids of those that it must remove.
async fn some_of_each<S: SessionStore + Clone>(
    check: &Check<S>,
    before: u64,
) -> (Vec<SessionRecord>, Vec<String>) {
    let record = |name: &str, expires_at, idle_end: u64| SessionRecord {
        expires_at,
        idle_ttl: idle_end - check.now,
        ..check.record(&format!("clean.{name}"), "clean")
    };
    let far = before + 24 * HOUR;
    let mut live = vec![
        record("live", far, far),
        record("over at once after", before + 1, far),
        record("idle at once after", far, before + 1),
        record("ended at that time", far, far),
        record("ended after its end", before + 1, before + 1),
    ];
    let over = [
        record("over", before, far),
        record("idle", far, before),
        record("long over", check.now + 1, check.now + 1),
        record("ended", far, far),
    ];
    for record in live.iter().chain(&over) {
        check.open(record).await;
    }
    for record in &mut live[3..] {
        let target = SessionTarget::Session(&record.id);
        check
            .ends("a session is ended", target, before, &[&record.id])
            .await;
        record.ended_at = Some(before);
        record.end_reason = Some(EndReason::Revoked);
    }
    let target = SessionTarget::Session(&over[3].id);
    check
        .ends("a session is ended", target, before - 1, &[&over[3].id])
        .await;
    (live, over.into_iter().map(|record| record.id).collect())
}

async fn still_there<S: SessionStore + Clone>(check: &Check<S>, live: &[SessionRecord]) {
    let rule =
        "a clean-up leaves sessions that are live at the given time, or ended at or after it";
    for record in live {
        same(rule, &Some(record), &check.look(&record.id).await.as_ref());
    }
}
