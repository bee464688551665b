//! Checks of what a store keeps and lists, and of the limit for each owner.

use super::{Check, HOUR, NO_LIMIT, SECOND, answered, same};
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget};
use crate::testing::session_store::{ODD_TEXTS, gather};

pub(super) async fn columns<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let rule =
        "ids, owners, labels and payloads are stored unchanged, whatever characters they contain";
    let mut kept = Vec::new();
    for (number, text) in ODD_TEXTS.iter().enumerate() {
        let record = ApiKeyRecord {
            label: (!text.is_empty()).then(|| (*text).to_owned()),
            payload: format!("{{\"number\":{number}}}"),
            ..check.record(&format!("odd.{text}"), &format!("odd.{text}"))
        };
        check.keep(&record).await;
        kept.push(record);
    }
    for record in &kept {
        same(rule, &Some(record), &check.find(&record.id).await.as_ref());
        let listed = answered("list", check.store.list(&record.owner).await);
        same(rule, &vec![record.clone()], &listed);
    }
    for record in &kept {
        check.record_use(&record.id, check.now).await;
        let target = ApiKeyTarget::KeyOf {
            id: &record.id,
            owner: &record.owner,
        };
        same(rule, &1, &check.revoke(target, 1).await.len());
        same(rule, &None, &check.find(&record.id).await);
    }

    let rule = "every column is returned as it was stored";
    let record = ApiKeyRecord {
        label: Some("backup".to_owned()),
        payload: format!("{{\"big\": \"{}\"}}", "é\\u0000 ".repeat(2_000)),
        created_at: check.now - 1,
        expires_at: Some(check.now + 9_876_543_210_123),
        last_used_at: Some(check.now + 2),
        ..check.record("columns", "columns")
    };
    check.keep(&record).await;
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());

    let rule = "a missing label and an empty label are different";
    for label in [None, Some(String::new())] {
        let name = format!("label {label:?}");
        let record = ApiKeyRecord {
            label,
            ..check.record(&name, "labels")
        };
        check.keep(&record).await;
        same(rule, &Some(&record), &check.find(&record.id).await.as_ref());
    }

    let rule = "a key that does not exist is not found";
    same(rule, &None, &check.find(&check.name("nobody")).await);
    let rule = "a key is found when it has expired, because its owner must learn why it is refused";
    let record = ApiKeyRecord {
        expires_at: Some(check.now - HOUR),
        ..check.record("expired", "columns")
    };
    check.keep(&record).await;
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());

    let rule = "a key whose id exists is an error, and the key that exists stays as it is";
    let other = check.record("expired", "another owner");
    let again = check.store.insert(&other, NO_LIMIT).await;
    same(rule, &true, &again.is_err());
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());
}

pub(super) async fn lists<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let rule = "an owner without keys has an empty list";
    let listed = check.listed(&check.name("list of nobody")).await;
    same(rule, &Vec::new(), &listed);

    let keep = async |name: &str, created_at: u64, expires_at: Option<u64>| {
        let record = ApiKeyRecord {
            created_at,
            expires_at,
            ..check.record(&format!("list.{name}"), "lister")
        };
        check.keep(&record).await;
        record.id
    };
    let old = keep("old", check.now - SECOND, None).await;
    let newest = keep("newest", check.now + SECOND, None).await;
    let b = keep("b", check.now, None).await;
    let c = keep("C", check.now, None).await;
    let expired = keep("expired", check.now - 2 * SECOND, Some(check.now - SECOND)).await;
    check.record_use(&old, check.now + HOUR).await;
    let rule = "the keys of an owner are listed, expired ones included, the newest first, and those \
                that were created at the same time by descending id (compared as bytes)";
    let listed = check.listed(&check.name("lister")).await;
    same(rule, &vec![newest, b, c, old, expired], &listed);

    let rule = "at most 1000 keys are listed: the newest ones";
    let many: Vec<_> = (0..1001)
        .map(|number| ApiKeyRecord {
            created_at: check.now + number,
            ..check.record(&format!("many.{number}"), "many")
        })
        .collect();
    for part in many.chunks(100) {
        let insertions = part.iter().cloned().map(|record| {
            let store = check.store.clone();
            async move { answered("insert", store.insert(&record, NO_LIMIT).await) }
        });
        gather(insertions).await;
    }
    let expected = many.iter().rev().take(1000);
    let expected: Vec<_> = expected.map(|record| record.id.clone()).collect();
    same(rule, &expected, &check.listed(&check.name("many")).await);
}

pub(super) async fn uses<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let mut record = check.record("used", "user");
    check.keep(&record).await;
    let rule = "the time of the last use is recorded, and nothing else is changed";
    check.record_use(&record.id, check.now).await;
    record.last_used_at = Some(check.now);
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());
    let rule = "an earlier use does not replace a later one";
    check.record_use(&record.id, check.now - 1).await;
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());
    let rule = "a later use replaces an earlier one";
    check.record_use(&record.id, check.now + 1).await;
    record.last_used_at = Some(check.now + 1);
    same(rule, &Some(&record), &check.find(&record.id).await.as_ref());

    let rule = "the use of a key that does not exist is not an error, and does not bring it back";
    check.revoke(ApiKeyTarget::Key(&record.id), 1).await;
    check.record_use(&record.id, check.now + 2).await;
    same(rule, &None, &check.find(&record.id).await);
    let listed = check.listed(&record.owner).await;
    same(rule, &Vec::new(), &listed);
}

pub(super) async fn limits<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let key = |name: &str, expires_at| ApiKeyRecord {
        expires_at,
        ..check.record(&format!("limit.{name}"), "limited")
    };
    let rule = "an owner may have as many keys as the limit says";
    let now = check.now;
    for (name, expires_at) in [("a", None), ("b", Some(now + 1)), ("c", Some(now))] {
        let stored = check.insert(&key(name, expires_at), 3).await;
        same(rule, &true, &stored);
    }
    let rule = "the limit holds for each owner alone";
    let other = check.record("limit.other", "not limited");
    same(rule, &true, &check.insert(&other, 1).await);

    let rule = "where an owner has as many keys as the limit says, expired ones make room";
    same(rule, &true, &check.insert(&key("d", None), 3).await);
    let mut expected: Vec<_> = ["a", "b", "d"].map(|name| key(name, None).id).into();
    expected.sort();
    let mut listed = check.listed(&check.name("limited")).await;
    listed.sort();
    same(rule, &expected, &listed);

    let rule = "where the keys that have not expired are as many as the limit says, one more is \
                refused, and nothing is changed";
    same(rule, &false, &check.insert(&key("e", None), 3).await);
    same(rule, &None, &check.find(&key("e", None).id).await);
    let expired = key("f", Some(now));
    check.keep(&expired).await;
    same(rule, &false, &check.insert(&key("g", None), 3).await);
    same(rule, &false, &check.insert(&key("g", None), 2).await);
    same(
        rule,
        &Some(&expired),
        &check.find(&expired.id).await.as_ref(),
    );
    let rule = "a limit of zero refuses every key";
    let stored = check.insert(&check.record("limit.zero", "zero"), 0).await;
    same(rule, &false, &stored);
    let rule = "a revoked key makes room for another";
    check.revoke(ApiKeyTarget::Key(&key("a", None).id), 1).await;
    same(rule, &true, &check.insert(&key("g", None), 3).await);
}
