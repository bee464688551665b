//! Checks of what a store deletes, and of what must stay.

use super::{Check, HOUR, answered, as_revoked, same};
use crate::api_key::{ApiKeyRecord, ApiKeyStore, ApiKeyTarget};

pub(super) async fn one_key<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let [mine, also_mine, theirs] = [("m", "me"), ("n", "me"), ("t", "them")]
        .map(|(name, owner)| check.record(&format!("one.{name}"), owner));
    for record in [&mine, &also_mine, &theirs] {
        check.keep(record).await;
    }
    let rule = "a key is not deleted for an owner that it does not belong to";
    let target = ApiKeyTarget::KeyOf {
        id: &theirs.id,
        owner: &mine.owner,
    };
    same(rule, &Vec::new(), &check.revoke(target, 10).await);
    same(rule, &Some(&theirs), &check.find(&theirs.id).await.as_ref());

    let rule = "with a limit of zero, nothing is deleted";
    let target = ApiKeyTarget::Key(&mine.id);
    same(rule, &Vec::new(), &check.revoke(target, 0).await);
    same(rule, &Some(&mine), &check.find(&mine.id).await.as_ref());

    let rule = "a deleted key is returned with its owner, and is gone";
    let expected = as_revoked(std::slice::from_ref(&mine));
    same(rule, &expected, &check.revoke(target, 10).await);
    same(rule, &None, &check.find(&mine.id).await);
    same(
        rule,
        &vec![also_mine.id.clone()],
        &check.listed(&mine.owner).await,
    );
    let rule = "a key is returned by one call alone";
    same(rule, &Vec::new(), &check.revoke(target, 10).await);

    let rule = "a key is deleted for the owner that it belongs to";
    let target = ApiKeyTarget::KeyOf {
        id: &also_mine.id,
        owner: &mine.owner,
    };
    let expected = as_revoked(std::slice::from_ref(&also_mine));
    same(rule, &expected, &check.revoke(target, 10).await);
    same(rule, &None, &check.find(&also_mine.id).await);
    let rule = "the keys of others stay";
    same(rule, &Some(&theirs), &check.find(&theirs.id).await.as_ref());
}

pub(super) async fn all_of_an_owner<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let keys: Vec<_> = (0..7)
        .map(|number| ApiKeyRecord {
            expires_at: (number % 2 == 0).then_some(check.now - HOUR),
            ..check.record(&format!("all.{number}"), "all")
        })
        .collect();
    // A name that is a part of another, or that differs in its case, is another name.
    let others = ["al", "all.", "ALL"].map(|owner| check.record(&format!("not {owner}"), owner));
    for record in keys.iter().chain(&others) {
        check.keep(record).await;
    }
    let rule = "no more keys are deleted than the limit says";
    let target = ApiKeyTarget::Owner(&keys[0].owner);
    let mut revoked = check.revoke(target, 3).await;
    same(rule, &3, &revoked.len());
    same(rule, &4, &check.listed(&keys[0].owner).await.len());
    let rule = "all keys of an owner are deleted, expired ones included, each once";
    revoked.extend(check.revoke(target, 10).await);
    revoked.sort();
    same(rule, &as_revoked(&keys), &revoked);
    same(rule, &Vec::new(), &check.revoke(target, 10).await);
    same(rule, &Vec::new(), &check.listed(&keys[0].owner).await);
    for record in &keys {
        same(rule, &None, &check.find(&record.id).await);
    }
    let rule = "the keys of other owners stay";
    for record in &others {
        same(rule, &Some(record), &check.find(&record.id).await.as_ref());
    }
    let rule = "an owner whose keys were all deleted has room again";
    same(rule, &true, &check.insert(&keys[1], 1).await);
}

/// `before` lies two hours ahead, so the expired keys of the other checks are removed, too.
pub(super) async fn clean_up<S: ApiKeyStore + Clone>(check: &Check<S>) {
    let before = check.now + 2 * HOUR;
    let drain = async || {
        let mut removed = 0;
        loop {
            match answered("clean_up", check.store.clean_up(before, 2).await) {
                0 => break removed,
                some => {
                    let rule = "a clean-up removes no more keys than its limit";
                    same(rule, &true, &(some <= 2));
                    removed += some;
                }
            }
        }
    };
    drain().await;
    let key = |name: &str, expires_at| ApiKeyRecord {
        expires_at,
        ..check.record(&format!("clean.{name}"), "clean")
    };
    let stay = [
        key("never", None),
        key("later", Some(before + 1)),
        key("much later", Some(before + HOUR)),
    ];
    let go: Vec<_> = (0..5)
        .map(|number| key(&format!("over {number}"), Some(before - number)))
        .collect();
    for record in stay.iter().chain(&go) {
        check.keep(record).await;
    }
    let rule = "a clean-up with a limit of zero removes nothing";
    let removed = answered("clean_up", check.store.clean_up(before, 0).await);
    same(rule, &0, &removed);
    let rule = "a clean-up removes the keys that have expired by the given time";
    same(rule, &(go.len() as u64), &drain().await);
    for record in &go {
        same(rule, &None, &check.find(&record.id).await);
    }
    let rule = "a clean-up leaves keys that have not expired by the given time, or never expire";
    for record in &stay {
        same(rule, &Some(record), &check.find(&record.id).await.as_ref());
    }
    let rule = "a removed key is not listed, and does not count";
    let mut listed = check.listed(&stay[0].owner).await;
    listed.sort();
    let mut expected: Vec<_> = stay.iter().map(|record| record.id.clone()).collect();
    expected.sort();
    same(rule, &expected, &listed);
    same(rule, &true, &check.insert(&key("new", None), 4).await);
    same(rule, &false, &check.insert(&key("newer", None), 4).await);
}
