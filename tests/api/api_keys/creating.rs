//! Creating keys: what is allowed, and what is stored.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::JoinSet;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::api_keys::{
    ApiKeyErrorKind, ApiKeyStore, ApiKeys, CreateApiKey, MemoryApiKeys,
};

use super::{setting, setting_with};
use crate::support::NOW;

#[tokio::test]
async fn a_key_is_shown_once_and_stored_nowhere() {
    let setting = setting();
    let new = setting.keys.create("alice").label("backup").issue().await;
    let new = new.unwrap();
    let record = setting.store.inner.find(new.id()).await.unwrap().unwrap();
    let secret = &new.text()[21..64];
    for text in [
        format!("{new:?}"),
        format!("{record:?}"),
        format!("{:?}", new.description()),
        format!("{:?}", setting.keys),
        record.secret_digest.clone(),
        record.payload.clone(),
    ] {
        assert!(!text.contains(secret) && !text.contains("alice"), "{text}");
    }
    assert!(format!("{new:?}").contains("[redacted]"));
    assert!(!format!("{new:?}").contains(new.id()), "ids are digests");

    let listed = setting.keys.list("alice").await.unwrap();
    assert_eq!(listed, [new.description().clone()]);
    let json = serde_json::to_value(&listed[0]).unwrap();
    let expected = serde_json::json!({
        "id": new.id(), "label": "backup", "scopes": [], "roles": [], "created_at": NOW,
        "expires_at": null, "last_used_at": null,
    });
    assert_eq!(json, expected);
    assert_eq!(setting.events(), ["api_key_created of alice"]);
}

#[tokio::test]
async fn the_list_shows_the_keys_of_one_owner_newest_first() {
    let setting = setting();
    for (owner, label) in [("alice", "old"), ("bob", "other"), ("alice", "new")] {
        let key = setting.keys.create(owner).label(label).scope("a b");
        let key = key.role("robot").claim("tenant", 7);
        drop(key.issue().await.unwrap());
        setting.pass(Duration::from_secs(1));
    }
    let listed = setting.keys.list("alice").await.unwrap();
    let labels: Vec<_> = listed.iter().map(|key| key.label.as_deref()).collect();
    assert_eq!(labels, [Some("new"), Some("old")]);
    assert_eq!(listed[0].owner, "alice");
    assert_eq!(listed[0].scopes, ["a", "b"]);
    assert_eq!(listed[0].roles, ["robot"]);
    assert_eq!(listed[0].claim::<u32>("tenant"), Some(7));
    assert_eq!(listed[0].claim::<String>("tenant"), None);
    assert_eq!(setting.keys.list("nobody").await.unwrap(), []);
    assert_eq!(setting.keys.list("nul\0").await.unwrap(), []);
}

#[tokio::test]
async fn a_request_for_a_key_that_is_not_allowed_is_a_400() {
    let setting = setting();
    let names = |count: usize| {
        (0..count)
            .map(|number| format!("n{number}"))
            .collect::<Vec<_>>()
    };
    let past = UNIX_EPOCH + Duration::from_secs(NOW);
    let deep = (0..60).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let create = || setting.keys.create("alice");
    let many = (0..33).fold(create(), |key, number| key.claim(format!("c{number}"), 1));
    let bad: Vec<(&str, CreateApiKey<'_>)> = vec![
        ("the owner must have", setting.keys.create("")),
        ("the owner must have", setting.keys.create("a\0")),
        ("the owner must have", setting.keys.create("a".repeat(1025))),
        ("the label must have", create().label("é".repeat(201))),
        ("the label must have", create().label("two\nlines")),
        ("RFC 6749", create().scope("quo\"te")),
        ("RFC 6749", create().scope("ünicode")),
        ("100 scopes", create().scopes(names(101))),
        ("100 roles", create().roles(names(101))),
        ("256 bytes", create().scope("s".repeat(257))),
        ("256 bytes", create().role("r".repeat(257))),
        ("`sub` is reserved", create().claim("sub", "bob")),
        ("`exp` is reserved", create().claim("exp", 1)),
        ("`roles` is reserved", create().claim("roles", ["admin"])),
        ("cannot be written as JSON", create().claim("nan", NotJson)),
        ("32 claims", many),
        ("names of 256 bytes", create().claim("c".repeat(257), 1)),
        ("4096", create().claim("big", "x".repeat(5000))),
        ("nested", create().claim("deep", deep)),
        ("in the future", create().expires_in(Duration::ZERO)),
        ("in the future", create().expires_at(past)),
        ("100 years", create().expires_in(Duration::MAX)),
    ];
    for (says, key) in bad {
        let error = key.issue().await.unwrap_err();
        assert_eq!(error.kind(), ApiKeyErrorKind::Invalid, "{error}");
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (400, "invalid_request")
        );
        assert!(error.to_string().contains(says), "{says}: {error}");
        let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
        assert_eq!(body["error_description"], error.to_string());
    }
    assert_eq!(setting.store.all_calls(), 0);
    assert_eq!(setting.events(), Vec::<String>::new());
    // Exactly at the limit.
    let key = create()
        .label("é".repeat(200))
        .scopes(names(100))
        .roles(names(100));
    let key = (0..32).fold(key, |key, number| key.claim(format!("c{number}"), 1));
    let key = key
        .expires_in(Duration::from_micros(1))
        .issue()
        .await
        .unwrap();
    assert_eq!(setting.verdict(key.text()).await, Ok(()));
}

/// A value that cannot be serialized.
struct NotJson;

impl serde::Serialize for NotJson {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not JSON"))
    }
}

#[tokio::test]
async fn an_owner_has_no_more_keys_than_allowed() {
    let setting = setting_with(|builder| builder.max_keys_per_owner(2));
    let short = Duration::from_secs(60);
    let expiring = setting.keys.create("alice").expires_in(short);
    drop(expiring.issue().await.unwrap());
    let (id, _) = setting.key().await;
    let error = setting.keys.create("alice").issue().await.unwrap_err();
    assert_eq!(error.kind(), ApiKeyErrorKind::LimitReached);
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (409, "limit_reached")
    );
    assert_eq!(error.retry_after(), None);
    assert!(setting.keys.create("bob").issue().await.is_ok());

    // An expired key makes room, and so does a revoked one.
    setting.pass(short);
    assert_eq!(setting.keys.list("alice").await.unwrap().len(), 2);
    assert!(setting.keys.create("alice").issue().await.is_ok());
    assert!(setting.keys.create("alice").issue().await.is_err());
    assert!(setting.keys.revoke_owned_by("alice", &id).await.unwrap());
    assert!(setting.keys.create("alice").issue().await.is_ok());
    assert_eq!(setting.keys.list("alice").await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_creations_at_once_no_more_than_allowed_succeed() {
    let setting = setting_with(|builder| builder.max_keys_per_owner(5));
    let mut running = JoinSet::new();
    for number in 0..64 {
        let keys = if number % 2 == 0 {
            setting.keys.clone()
        } else {
            setting.node_with(|builder| builder.max_keys_per_owner(5))
        };
        running.spawn(async move {
            let new = keys.create("alice").issue().await;
            new.map(|new| new.text().to_owned())
                .map_err(|error| error.kind())
        });
    }
    let mut texts = HashSet::new();
    while let Some(created) = running.join_next().await {
        match created.unwrap() {
            Ok(text) => assert!(texts.insert(text)),
            Err(kind) => assert_eq!(kind, ApiKeyErrorKind::LimitReached),
        }
    }
    assert_eq!(texts.len(), 5);
    for text in &texts {
        assert_eq!(setting.verdict(text).await, Ok(()));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let build = |prefix: &str, set: fn(_) -> _| {
        let clock = ManualClock::at_unix_seconds(NOW);
        let builder = ApiKeys::builder(prefix, MemoryApiKeys::new()).clock(clock);
        let builder: tower_jwt_auth::credential::api_keys::ApiKeysBuilder = set(builder);
        builder.build().map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(build("acme", |it| it), Ok(()));
    for (says, built) in [
        ("`Acme`", build("Acme", |it| it)),
        ("`acme_`", build("acme_", |it| it)),
        ("`a`", build("a", |it| it)),
        (
            "`cache_for`",
            build("acme", |it| it.cache_for(Duration::from_secs(301))),
        ),
        (
            "`store_timeout`",
            build("acme", |it| it.store_timeout(Duration::ZERO)),
        ),
        (
            "`store_timeout`",
            build("acme", |it| it.store_timeout(Duration::MAX)),
        ),
        (
            "`max_keys_per_owner`",
            build("acme", |it| it.max_keys_per_owner(0)),
        ),
    ] {
        let error = built.unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
    }
}
