//! What is kept, listed, ended and removed.

use super::parallel::gather;
use super::{Check, HOUR, SECOND, answered, same};
use crate::session::{
    Created, EndReason, Rotation, SessionLimit, SessionRecord, SessionStore, SessionTarget,
    WhenFull,
};

/// Texts that break a statement, a script, a key or a comparison that is put together carelessly.
const ODD_TEXTS: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE jwt_sessions; --",
    "$1 ?1 :id @id ${id} %s {0} {}",
    "\"quoted\" `ticks` [brackets] \\backslash\\ \\' \\0",
    "%_%",
    "]] return redis.call('FLUSHALL') --[[",
    "{tag}:a:b*?[^x]",
    "line\nbreak\r\n\ttab",
    " leading and trailing ",
    "case",
    "CASE",
    "\u{e9}",
    "e\u{301}", // one letter in two forms: two names
    "日本語 \u{1F980} \u{1F469}\u{200D}\u{1F4BB} \u{202E}rtl\u{202C} \u{FEFF}\u{200B}",
    "\u{10FFFF}\u{FFFD}\u{7F}\u{1}",
    "null",
    "NULL",
    "",
    "0",
];

pub(super) async fn columns<S: SessionStore + Clone>(check: &Check<S>) {
    let mut kept = Vec::new();
    for (number, text) in ODD_TEXTS.iter().enumerate() {
        let record = SessionRecord {
            token_id: check.name(text),
            label: (!text.is_empty()).then(|| (*text).to_owned()),
            payload: format!("{{\"number\":{number}}}"),
            generation: number as u64,
            ..check.record(&format!("odd.{text}"), &format!("odd.{text}"))
        };
        check.open(&record).await;
        kept.push(record);
    }
    let rule = "ids, subjects and labels are taken as they are, whatever is in them";
    for record in &kept {
        same(rule, &Some(record), &check.look(&record.id).await.as_ref());
        let listed = answered("list", check.store.list(&record.subject, check.now).await);
        same(rule, &vec![record.clone()], &listed);
    }
    for (record, text) in kept.iter_mut().zip(ODD_TEXTS) {
        check.acknowledge(&record.id, record.generation).await;
        record.acknowledged = true;
        let next = check.name(&format!("next.{text}"));
        let rotation = Rotation::new(&record.id, record.generation, next, check.now + 1);
        check.step(rule, record, &rotation).await;
        let subject = record.subject.clone();
        let target = SessionTarget::Subject(&subject);
        check.ends(rule, target, check.now + 2, &[&record.id]).await;
    }

    let rule = "every column comes back as it was given";
    let record = SessionRecord {
        generation: 7,
        previous_generation: 3,
        acknowledged: true,
        created_at: check.now,
        rotated_at: check.now + 1,
        last_used_at: check.now + 2,
        idle_ttl: 123_456_789_012,
        expires_at: check.now + 9_876_543_210_123,
        label: None,
        ..check.record("columns", "columns")
    };
    check.open(&record).await;
    same(rule, &Some(&record), &check.look(&record.id).await.as_ref());

    let rule = "no label is told from an empty one";
    for label in [None, Some(String::new())] {
        let name = format!("label {label:?}");
        let record = SessionRecord {
            label,
            ..check.record(&name, "labels")
        };
        check.open(&record).await;
        same(rule, &Some(&record), &check.look(&record.id).await.as_ref());
    }

    let rule = "a payload of 64 KiB is kept, byte for byte";
    let record = SessionRecord {
        payload: format!("{{\"big\": \"{}\"}}", "é\\u0000 ".repeat(7_000)),
        ..check.record("payload", "payloads")
    };
    check.open(&record).await;
    same(rule, &Some(&record), &check.look(&record.id).await.as_ref());
}

pub(super) async fn lists<S: SessionStore + Clone>(check: &Check<S>) {
    let rule = "a subject without sessions has an empty list";
    let nobody = check.name("list of nobody");
    same(rule, &Vec::new(), &check.listed(&nobody, check.now).await);

    let now = check.now + 10 * SECOND;
    let subject = check.name("lister");
    let keep = async |name: &str, change: fn(&mut SessionRecord, u64)| {
        let mut record = check.record(&format!("list.{name}"), "lister");
        change(&mut record, now);
        check.open(&record).await;
        record.id
    };
    let old = keep("old", |_, _| {}).await;
    let newest = keep("newest", |record, now| record.last_used_at = now).await;
    let b = keep("b", |record, now| record.last_used_at = now - 1).await;
    let c = keep("C", |record, now| record.last_used_at = now - 1).await;
    keep("idle", |record, _| record.idle_ttl = 10 * SECOND).await;
    let awake = keep("awake", |record, _| record.idle_ttl = 10 * SECOND + 1).await;
    keep("over", |record, now| record.expires_at = now).await;
    let last = keep("last", |record, now| record.expires_at = now + 1).await;
    let ended = keep("ended", |_, _| {}).await;
    let target = SessionTarget::Session(&ended);
    check
        .ends("a session is ended", target, now, &[&ended])
        .await;

    let rule = "the live sessions of a subject are listed, the one used last first, \
                and of those used at once the one with the greater id (by its bytes) first";
    let expected = vec![newest.clone(), b, c, old.clone(), last, awake];
    same(rule, &expected, &check.listed(&subject, now).await);

    let rule = "a rotation puts a session at the head of the list";
    let next = Rotation::new(&old, 0, check.name("list.next"), now + 1);
    check.rotate(&next).await;
    let listed = check.listed(&subject, now).await;
    same(rule, &Some(&old), &listed.first());

    let rule = "at most 1000 sessions are listed, those used last";
    let many: Vec<_> = (0..1001)
        .map(|number| {
            let mut record = check.record(&format!("many.{number}"), "many");
            record.last_used_at += number;
            record
        })
        .collect();
    for part in many.chunks(100) {
        let logins = part.iter().cloned().map(|record| {
            let store = check.store.clone();
            async move { answered("create", store.create(&record, None).await) }
        });
        gather(logins).await;
    }
    let expected: Vec<_> = many
        .iter()
        .rev()
        .take(1000)
        .map(|record| record.id.clone())
        .collect();
    same(
        rule,
        &expected,
        &check.listed(&check.name("many"), check.now).await,
    );
}

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

    let rule = "nothing is ended where nothing fits";
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
    let rule = "a session is not ended for somebody whose it is not";
    let target = SessionTarget::SessionOf {
        session: a1,
        subject: b,
    };
    check.ends(rule, target, now, &[]).await;
    let rule = "a session that is over or idle is not ended, and not told as ended";
    for record in [&over, &idle] {
        check
            .ends(rule, SessionTarget::Session(&record.id), now, &[])
            .await;
        let target = SessionTarget::SessionOf {
            session: &record.id,
            subject: a,
        };
        check.ends(rule, target, now, &[]).await;
        same(rule, &Some(record), &check.look(&record.id).await.as_ref());
    }

    let rule = "an owner ends one session, and only that one";
    let target = SessionTarget::SessionOf {
        session: a1,
        subject: a,
    };
    check.ends(rule, target, now, &[a1]).await;
    let mut left = check.listed(a, now).await;
    left.sort();
    same(rule, &vec![a2.clone(), a3.clone(), a4.clone()], &left);

    let rule = "a session is ended once: the first time and reason stay";
    let again = check
        .store
        .end(SessionTarget::Session(a1), EndReason::Replaced, now + 1)
        .await;
    same(rule, &Vec::new(), &answered("end", again));
    let found = check
        .look(a1)
        .await
        .map(|record| (record.ended_at, record.end_reason));
    same(rule, &Some((Some(now), Some(EndReason::Revoked))), &found);

    let rule = "all other sessions of a subject are ended, and this one stays";
    let target = SessionTarget::OthersOf {
        session: a2,
        subject: a,
    };
    check.ends(rule, target, now, &[a3, a4]).await;
    same(rule, &vec![a2.clone()], &check.listed(a, now).await);
    let rule = "a session that is not the subject's shields none of theirs";
    let target = SessionTarget::OthersOf {
        session: b1,
        subject: a,
    };
    check.ends(rule, target, now, &[a2]).await;

    let rule = "all sessions of a subject are ended, and nobody else's";
    same(rule, &vec![b1.clone()], &check.listed(b, now).await);
    check
        .ends(rule, SessionTarget::Subject(b), now, &[b1])
        .await;
    same(rule, &Vec::new(), &check.listed(b, now).await);
    let rule = "a session is ended by its id";
    let record = check.record("end.last", "end.a");
    check.open(&record).await;
    check
        .ends(rule, SessionTarget::Session(&record.id), now, &[&record.id])
        .await;
}

pub(super) async fn limits<S: SessionStore + Clone>(check: &Check<S>) {
    let limit = |max, when_full| SessionLimit { max, when_full };
    let opened = |ended: &[&str]| {
        let mut ended: Vec<_> = ended.iter().map(|name| check.name(name)).collect();
        ended.sort();
        Created::Opened { ended }
    };
    let login = async |name: &str, subject: &str, after: u64, limit: SessionLimit| {
        let mut record = check.record(name, subject);
        record.created_at += after;
        record.rotated_at += after;
        record.last_used_at += after;
        check.create(&record, limit).await
    };

    let rule = "as many sessions as allowed are opened, and one more is refused";
    let refuse = limit(2, WhenFull::Refuse);
    same(rule, &opened(&[]), &login("r1", "refused", 1, refuse).await);
    same(rule, &opened(&[]), &login("r2", "refused", 2, refuse).await);
    same(
        rule,
        &Created::Full,
        &login("r3", "refused", 3, refuse).await,
    );
    same(rule, &None, &check.look(&check.name("r3")).await);
    let rule = "a limit is one subject's";
    same(
        rule,
        &opened(&[]),
        &login("o1", "somebody else", 3, refuse).await,
    );
    let rule = "a limit of no session refuses all";
    let none = limit(0, WhenFull::Refuse);
    same(
        rule,
        &Created::Full,
        &login("z1", "refused by none", 1, none).await,
    );

    let rule = "sessions that have ended, are idle or over make room";
    let target = SessionTarget::Session(&check.name("r1"));
    check
        .ends(rule, target, check.now + 4, &[&check.name("r1")])
        .await;
    same(rule, &opened(&[]), &login("r4", "refused", 4, refuse).await);
    same(
        rule,
        &Created::Full,
        &login("r5", "refused", HOUR / 2 + 1, refuse).await,
    );
    let idle = HOUR / 2 + 2; // r2's half hour is over, r4's is not
    same(
        rule,
        &opened(&[]),
        &login("r6", "refused", idle, refuse).await,
    );

    let rule = "where the oldest ends, it is the one used least recently";
    let replace = limit(2, WhenFull::EndOldest);
    same(
        rule,
        &opened(&[]),
        &login("e1", "replaced", 1, replace).await,
    );
    same(
        rule,
        &opened(&[]),
        &login("e2", "replaced", 2, replace).await,
    );
    let used = Rotation::new(check.name("e1"), 0, check.name("e1.next"), check.now + 3);
    check.rotate(&used).await;
    same(
        rule,
        &opened(&["e2"]),
        &login("e3", "replaced", 4, replace).await,
    );
    let found = check.look(&check.name("e2")).await;
    let found = found.map(|record| (record.ended_at, record.end_reason));
    let expected = (Some(check.now + 4), Some(EndReason::Replaced));
    same(rule, &Some(expected), &found);
    let listed = check.listed(&check.name("replaced"), check.now + 4).await;
    same(rule, &vec![check.name("e3"), check.name("e1")], &listed);

    let rule = "a limit that was lowered ends as many as are too many";
    let one = limit(1, WhenFull::EndOldest);
    let created = login("e4", "replaced", 5, one).await;
    same(rule, &opened(&["e1", "e3"]), &created);
    let rule = "a limit of none that ends the oldest leaves the new session";
    let none = limit(0, WhenFull::EndOldest);
    same(
        rule,
        &opened(&["e4"]),
        &login("e5", "replaced", 6, none).await,
    );
    let listed = check.listed(&check.name("replaced"), check.now + 6).await;
    same(rule, &vec![check.name("e5")], &listed);
}

/// `before` lies a few hours ahead, so all that the other checks left behind goes too.
pub(super) async fn clean_up<S: SessionStore + Clone>(check: &Check<S>) {
    let before = check.now + 2 * HOUR;
    let drain = async || {
        let mut removed = 0;
        loop {
            match answered("clean_up", check.store.clean_up(before, 500).await) {
                0 => break removed,
                some => {
                    let rule = "a clean-up removes no more than it may";
                    same(rule, &true, &(some <= 500));
                    removed += some;
                }
            }
        }
    };
    let rule = "a clean-up removes, in steps, all sessions that are over";
    same(rule, &true, &(drain().await > 1000));
    let rule = "a clean-up that has nothing to remove removes nothing";
    same(rule, &0, &drain().await);

    let (live, over) = some_of_each(check, before).await;
    let rule = "a clean-up removes no more than it may, and none when it may remove none";
    same(
        rule,
        &0,
        &answered("clean_up", check.store.clean_up(before, 0).await),
    );
    let removed = answered("clean_up", check.store.clean_up(before, 2).await);
    same(rule, &2, &removed);
    let rule = "a clean-up removes what ended before, or could no longer be used";
    same(rule, &(over.len() as u64 - 2), &drain().await);
    for id in over {
        same(rule, &None, &check.look(&id).await);
    }
    still_there(check, &live).await;
    let rule = "a session that was removed is not listed";
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
        record("lives", far, far),
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
    let rule = "a clean-up leaves what still lives, or ended not before";
    for record in live {
        same(rule, &Some(record), &check.look(&record.id).await.as_ref());
    }
}
