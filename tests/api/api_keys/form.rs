//! The format of a key: a malformed one is refused before any store is asked.

use proptest::prelude::{any, proptest};
use proptest::test_runner::{Config, TestRunner};
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::credential::CredentialVerifier;
use tower_jwt_auth::credential::api_keys::ApiKeys;

use super::{Setting, setting, verdict, with_checksum};

const OTHERS: &str = "0Zz9aA_-. =é\0";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(work)
}

async fn is_malformed(setting: &Setting, key: &str) {
    let error = setting.keys.verify(key).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::MalformedToken, "{key:?}");
    assert_eq!(error.reason(), "api_key_malformed", "{key:?}");
    assert!(key.len() < 5 || !error.to_string().contains(key));
    assert!(setting.keys.peek(key).is_some(), "{key:?} was looked up");
}

#[tokio::test]
async fn each_changed_character_is_found_without_a_look_up() {
    let setting = setting();
    let (_, key) = setting.key().await;
    let calls = setting.store.all_calls();
    for place in 0..key.len() {
        for other in OTHERS
            .chars()
            .filter(|other| !key[place..].starts_with(*other))
        {
            let mangled = format!("{}{other}{}", &key[..place], &key[place + 1..]);
            is_malformed(&setting, &mangled).await;
        }
    }
    assert_eq!(setting.store.all_calls(), calls);
}

#[tokio::test]
async fn missing_doubled_and_swapped_characters_are_found() {
    let setting = setting();
    let (_, key) = setting.key().await;
    let calls = setting.store.all_calls();
    for place in 0..key.len() {
        let (before, after) = key.split_at(place);
        is_malformed(&setting, &format!("{before}{}", &after[1..])).await;
        is_malformed(&setting, &format!("{before}{}{after}", &after[..1])).await;
        is_malformed(&setting, before).await;
        is_malformed(&setting, &after[1..]).await;
        if place > 0 && before[place - 1..] != after[..1] {
            let (head, one) = before.split_at(place - 1);
            let (two, tail) = after.split_at(1);
            is_malformed(&setting, &format!("{head}{two}{one}{tail}")).await;
        }
    }
    for around in [" ", "\n", "\"", "\u{feff}"] {
        is_malformed(&setting, &format!("{around}{key}")).await;
        is_malformed(&setting, &format!("{key}{around}")).await;
    }
    is_malformed(&setting, &key.to_uppercase()).await;
    is_malformed(&setting, &format!("{key}{key}")).await;
    assert_eq!(setting.store.all_calls(), calls);
}

#[test]
fn text_that_is_not_a_key_is_refused_without_a_look_up() {
    let setting = setting();
    let mut runner = TestRunner::new(Config::with_cases(2_000));
    let texts = (any::<bool>(), ".{0,100}", "[0-9A-Za-z]{60,70}");
    let ran = runner.run(&texts, |(is_close, any, close)| {
        let text = if is_close { close } else { any };
        run(async {
            is_malformed(&setting, &text).await;
            is_malformed(&setting, &format!("acme_{text}")).await;
        });
        Ok(())
    });
    ran.unwrap();
    assert_eq!(setting.store.all_calls(), 0);
}

proptest! {
    #![proptest_config(Config::with_cases(50))]

    #[test]
    fn a_mangled_key_never_reaches_the_store(
        places in proptest::collection::vec((0_usize..70, "[0-9A-Za-z]"), 1..8)
    ) {
        let setting = setting();
        run(async {
            let (_, key) = setting.key().await;
            let calls = setting.store.all_calls();
            let mut mangled = key.clone();
            for (place, other) in &places {
                mangled.replace_range(*place..=*place, other);
            }
            if mangled != key {
                is_malformed(&setting, &mangled).await;
                assert_eq!(setting.store.all_calls(), calls);
            }
        });
    }
}

#[tokio::test]
async fn a_key_has_the_form_that_the_guide_describes() {
    let setting = setting();
    let (id, key) = setting.key().await;
    assert_eq!(key.len(), 70);
    assert_eq!((&key[..5], &key[5..21]), ("acme_", &*id));
    assert!(key[5..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(super::forged(&id, &key[21..64]), key);
    assert!(setting.keys.handles(&key));
    assert!(!setting.keys.handles("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
    assert!(!setting.keys.handles("acme") && !setting.keys.handles("acmeX"));
}

#[tokio::test]
async fn a_key_of_another_prefix_is_not_accepted_on_one_store() {
    let setting = setting();
    let (id, key) = setting.key().await;
    let test = ApiKeys::builder("test", setting.store.clone());
    let test = test.clock(setting.clock.clone()).build().unwrap();
    assert_eq!(
        verdict(&test, &key).await,
        Err(AuthErrorKind::MalformedToken)
    );
    // The same id and the same secret, with the checksum for the other prefix.
    let moved = with_checksum(format!("test_{id}{}", &key[21..64]));
    assert_eq!(
        verdict(&test, &moved).await,
        Err(AuthErrorKind::InvalidCredential)
    );
    assert_eq!(setting.verdict(&key).await, Ok(()));
}

#[test]
fn the_key_in_the_guide_has_the_form_that_it_describes() {
    const PAGE: &str = include_str!("../../../src/guide/api_keys.md");
    let line = PAGE.lines().find(|line| line.starts_with("`acme_"));
    let key = line.unwrap().trim_matches('`');
    assert_eq!(super::forged(&key[5..21], &key[21..64]), key);
}
