//! Checks of what a store keeps and lists.

use super::parallel::gather;
use super::{Check, SECOND, answered, same};
use crate::session::{Rotation, SessionRecord, SessionStore, SessionTarget};

/// Texts that break a carelessly written statement, script, key or comparison.
pub(in crate::testing) const ODD_TEXTS: &[&str] = &[
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
    "e\u{301}", // the same letter in another form is another name
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
            key_thumbprint: (number % 2 == 0).then(|| (*text).to_owned()),
            payload: format!("{{\"number\":{number}}}"),
            generation: number as u64,
            ..check.record(&format!("odd.{text}"), &format!("odd.{text}"))
        };
        check.open(&record).await;
        kept.push(record);
    }
    let rule =
        "ids, subjects, labels and keys are stored unchanged, whatever characters they contain";
    for record in &kept {
        same(rule, &Some(record), &check.look(&record.id).await.as_ref());
        let listed = answered("list", check.store.list(&record.subject, check.now).await);
        same(rule, &vec![record.clone()], &listed);
    }
    for (record, text) in kept.iter_mut().zip(ODD_TEXTS) {
        check.acknowledge(&record.id, record.generation).await;
        record.acknowledged = Some(record.generation);
        let next = check.name(&format!("next.{text}"));
        let rotation = Rotation::new(&record.id, record.generation, next, check.now + 1);
        check.step(rule, record, &rotation).await;
        let subject = record.subject.clone();
        let target = SessionTarget::Subject(&subject);
        check.ends(rule, target, check.now + 2, &[&record.id]).await;
    }

    let rule = "every column is returned as it was stored";
    let record = SessionRecord {
        generation: 7,
        previous_generation: 3,
        created_at: check.now,
        rotated_at: check.now + 1,
        acknowledged: Some(1),
        client: Some("a client".to_owned()),
        key_thumbprint: Some("a key".to_owned()),
        converged: Some(crate::session::Converged::LostResponse),
        convergences: 7,
        lost_responses: 3,
        last_used_at: check.now + 2,
        idle_ttl: 123_456_789_012,
        expires_at: check.now + 9_876_543_210_123,
        label: None,
        ..check.record("columns", "columns")
    };
    check.open(&record).await;
    same(rule, &Some(&record), &check.look(&record.id).await.as_ref());

    let rule = "a missing label and an empty label are different";
    for label in [None, Some(String::new())] {
        let name = format!("label {label:?}");
        let record = SessionRecord {
            label,
            ..check.record(&name, "labels")
        };
        check.open(&record).await;
        same(rule, &Some(&record), &check.look(&record.id).await.as_ref());
    }

    let rule = "a payload of 64 KiB is stored unchanged";
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

    let rule = "the live sessions of a subject are listed, most recently used first, and those \
                with the same time of use by descending id (compared as bytes)";
    let expected = vec![newest.clone(), b, c, old.clone(), last, awake];
    same(rule, &expected, &check.listed(&subject, now).await);

    let rule = "a rotated session moves to the top of the list";
    let next = Rotation::new(&old, 0, check.name("list.next"), now + 1);
    check.rotate(&next).await;
    let listed = check.listed(&subject, now).await;
    same(rule, &Some(&old), &listed.first());

    let rule = "at most 1000 sessions are listed: the most recently used ones";
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
