//! Checks of ending sessions: on request, or to make room for a newer session under a limit.

use super::{Check, HOUR, SECOND, same};
use crate::session::{
    CreateOutcome, EndReason, EndSessions, EndedSession, Rotation, SessionLimit, SessionRecord,
    SessionStore, SessionTarget, WhenFull,
};

pub(super) async fn ends<S: SessionStore + Clone>(check: &Check<S>) {
    let now = check.now + SECOND;
    let mut sessions = Vec::new();
    for (name, owner) in [
        ("a1", "a"),
        ("a2", "a"),
        ("a3", "a"),
        ("a4", "a"),
        ("b1", "b"),
    ] {
        let record = check.record(&format!("end.{name}"), &format!("end.{owner}"));
        check.open(&record).await;
        sessions.push(record.id);
    }
    let [a1, a2, a3, a4, b1] = sessions.as_slice() else {
        unreachable!("five were opened")
    };
    let (a, b) = (&check.name("end.a"), &check.name("end.b"));
    let over = SessionRecord {
        expires_at: now,
        ..check.record("end.over", "end.a")
    };
    let idle = SessionRecord {
        idle_ttl: SECOND,
        ..check.record("end.idle", "end.a")
    };
    check.open(&over).await;
    check.open(&idle).await;

    let rule = "no session is ended if none matches the request";
    let nobody = &check.name("end.nobody");
    for target in [
        SessionTarget::Session(nobody),
        SessionTarget::SessionOf {
            session: nobody,
            subject: a,
        },
        SessionTarget::OthersOf {
            session: a1,
            subject: nobody,
        },
        SessionTarget::Subject(nobody),
    ] {
        check.ends(rule, target, now, &[]).await;
    }
    let rule = "a session is not ended for a subject that it does not belong to";
    let target = SessionTarget::SessionOf {
        session: a1,
        subject: b,
    };
    check.ends(rule, target, now, &[]).await;
    let rule = "a session that is idle or expired is ended like a live one, because a node whose \
                clock is behind may still consider it live";
    for record in [&over, &idle] {
        let target = SessionTarget::SessionOf {
            session: &record.id,
            subject: a,
        };
        check.ends(rule, target, now, &[&record.id]).await;
        let found = check
            .look(&record.id)
            .await
            .and_then(|record| record.ended_at);
        same(rule, &Some(now), &found);
    }

    let rule = "the end of one session of a subject ends only that session";
    let target = SessionTarget::SessionOf {
        session: a1,
        subject: a,
    };
    check.ends(rule, target, now, &[a1]).await;
    let mut left = check.listed(a, now).await;
    left.sort();
    same(rule, &vec![a2.clone(), a3.clone(), a4.clone()], &left);

    let rule = "a session is ended only once: the first time and reason stay";
    let mut again = EndSessions::new(SessionTarget::Session(a1), EndReason::Replaced, now + 1);
    same(rule, &Vec::new(), &check.end(again).await);
    let rule = "a session that was ended at or after `ended_since` is returned again, with the \
                first time of its end";
    let expected = vec![EndedSession::new(a1, a, now)];
    for (ended_since, expected) in [(now + 1, &Vec::new()), (now, &expected), (0, &expected)] {
        again.ended_since = ended_since;
        for target in [
            SessionTarget::Session(a1),
            SessionTarget::SessionOf {
                session: a1,
                subject: a,
            },
        ] {
            let again = EndSessions { target, ..again };
            same(rule, expected, &check.end(again).await);
        }
    }
    let rule = "an ended session is not returned for a subject that it did not belong to";
    let target = SessionTarget::SessionOf {
        session: a1,
        subject: b,
    };
    let theirs = EndSessions { target, ..again };
    same(rule, &Vec::new(), &check.end(theirs).await);
    let rule = "a session is ended only once: the first time and reason stay";
    let found = check
        .look(a1)
        .await
        .map(|record| (record.ended_at, record.end_reason));
    same(rule, &Some((Some(now), Some(EndReason::Revoked))), &found);

    let rule = "all sessions of a subject except the given one are ended";
    let target = SessionTarget::OthersOf {
        session: a2,
        subject: a,
    };
    check.ends(rule, target, now, &[a3, a4]).await;
    same(rule, &vec![a2.clone()], &check.listed(a, now).await);
    let rule = "all sessions of a subject are ended if the exception belongs to another subject";
    let target = SessionTarget::OthersOf {
        session: b1,
        subject: a,
    };
    check.ends(rule, target, now, &[a2]).await;

    let rule = "all sessions of a subject are ended, and none of another subject";
    same(rule, &vec![b1.clone()], &check.listed(b, now).await);
    check
        .ends(rule, SessionTarget::Subject(b), now, &[b1])
        .await;
    same(rule, &Vec::new(), &check.listed(b, now).await);
    let rule = "all sessions that were ended at or after `ended_since` are returned again, for a \
                subject and for all of its sessions except one";
    let again = |target| EndSessions {
        ended_since: now,
        ..EndSessions::new(target, EndReason::Revoked, now + SECOND)
    };
    let mut expected = vec![a1, a2, a3, a4, &over.id, &idle.id];
    expected.sort();
    let ids = |ended: Vec<EndedSession>| ended.into_iter().map(|one| one.id).collect::<Vec<_>>();
    let ended = ids(check.end(again(SessionTarget::Subject(a))).await);
    same(rule, &expected, &ended.iter().collect());
    expected.retain(|id| *id != a2);
    let others = SessionTarget::OthersOf {
        session: a2,
        subject: a,
    };
    let ended = ids(check.end(again(others)).await);
    same(rule, &expected, &ended.iter().collect());

    let rule = "a session is ended by its id alone";
    let record = check.record("end.last", "end.a");
    check.open(&record).await;
    check
        .ends(rule, SessionTarget::Session(&record.id), now, &[&record.id])
        .await;
}

/// A subject may have more sessions than one call ends.
pub(super) async fn parts<S: SessionStore + Clone>(check: &Check<S>) {
    let subject = check.name("parts");
    for number in 0..25 {
        check
            .open(&check.record(&format!("parts.{number}"), "parts"))
            .await;
    }
    let rule = "a call ends and returns at most `limit` sessions";
    let target = SessionTarget::Subject(&subject);
    let mut end = EndSessions::new(target, EndReason::Revoked, check.now + SECOND);
    end.limit = 10;
    for (number, left) in [15, 5, 0].into_iter().enumerate() {
        end.now += number as u64;
        // Sessions that were ended in an earlier part count less than those that are still open.
        end.ended_since = check.now;
        let ended = check.end(end).await;
        same(rule, &10, &ended.len());
        let fresh = ended
            .iter()
            .filter(|session| session.ended_at == end.now)
            .count();
        let rule = "sessions that have not been ended come first";
        same(rule, &[10, 10, 5][number], &fresh);
        same(rule, &left, &check.listed(&subject, end.now).await.len());
    }
}

pub(super) async fn limits<S: SessionStore + Clone>(check: &Check<S>) {
    let limit = SessionLimit::new;
    let opened_at = |after: u64, ended: &[&str]| {
        let subject = check.name("replaced");
        let ended = ended
            .iter()
            .map(|name| EndedSession::new(check.name(name), &subject, check.now + after));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_by(|a, b| a.id.cmp(&b.id));
        CreateOutcome::Opened { ended }
    };
    let opened = || opened_at(0, &[]);
    let login = async |name: &str, subject: &str, after: u64, limit: SessionLimit| {
        let mut record = check.record(name, subject);
        record.created_at += after;
        record.rotated_at += after;
        record.last_used_at += after;
        check.create(&record, limit).await
    };

    let rule = "as many sessions as the limit allows are opened, and one more is refused";
    let refuse = limit(2, WhenFull::Refuse);
    same(rule, &opened(), &login("r1", "refused", 1, refuse).await);
    same(rule, &opened(), &login("r2", "refused", 2, refuse).await);
    same(
        rule,
        &CreateOutcome::Full,
        &login("r3", "refused", 3, refuse).await,
    );
    same(rule, &None, &check.look(&check.name("r3")).await);
    let rule = "a limit counts the sessions of one subject only";
    same(
        rule,
        &opened(),
        &login("o1", "somebody else", 3, refuse).await,
    );
    let rule = "a limit of zero refuses every session";
    let none = limit(0, WhenFull::Refuse);
    same(
        rule,
        &CreateOutcome::Full,
        &login("z1", "refused by none", 1, none).await,
    );

    let rule = "sessions that have ended or expired or are idle do not count towards the limit";
    let target = SessionTarget::Session(&check.name("r1"));
    check
        .ends(rule, target, check.now + 4, &[&check.name("r1")])
        .await;
    same(rule, &opened(), &login("r4", "refused", 4, refuse).await);
    same(
        rule,
        &CreateOutcome::Full,
        &login("r5", "refused", HOUR / 2 + 1, refuse).await,
    );
    let idle = HOUR / 2 + 2; // r2's half hour is over, r4's is not
    same(rule, &opened(), &login("r6", "refused", idle, refuse).await);

    let rule = "with `EndOldest`, the least recently used session ends";
    let replace = limit(2, WhenFull::EndOldest);
    same(rule, &opened(), &login("e1", "replaced", 1, replace).await);
    same(rule, &opened(), &login("e2", "replaced", 2, replace).await);
    let used = Rotation::new(check.name("e1"), 0, check.name("e1.next"), check.now + 3);
    check.rotate(&used).await;
    same(
        rule,
        &opened_at(4, &["e2"]),
        &login("e3", "replaced", 4, replace).await,
    );
    let found = check.look(&check.name("e2")).await;
    let found = found.map(|record| (record.ended_at, record.end_reason));
    let expected = (Some(check.now + 4), Some(EndReason::Replaced));
    same(rule, &Some(expected), &found);
    let listed = check.listed(&check.name("replaced"), check.now + 4).await;
    same(rule, &vec![check.name("e3"), check.name("e1")], &listed);

    let rule = "with `EndOldest`, a lowered limit ends all sessions that exceed it";
    let one = limit(1, WhenFull::EndOldest);
    let created = login("e4", "replaced", 5, one).await;
    same(rule, &opened_at(5, &["e1", "e3"]), &created);
    let rule = "with `EndOldest`, a limit of zero leaves only the new session";
    let none = limit(0, WhenFull::EndOldest);
    same(
        rule,
        &opened_at(6, &["e4"]),
        &login("e5", "replaced", 6, none).await,
    );
    let listed = check.listed(&check.name("replaced"), check.now + 6).await;
    same(rule, &vec![check.name("e5")], &listed);
}
