//! A provider that replaces a key and keeps its id: the new key counts on the first request that needs it,
//! and forged tokens cannot exploit that.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower_jwt_auth::{Algorithm, SigningKey};

use crate::provider::{KEYRING, Mode, Provider, bogus, nameless, token_of, verdict, verifier};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Another key with the id of the first one, as a provider publishes it, and a token signed with it.
fn successor(algorithm: Algorithm) -> (Value, String) {
    let key = SigningKey::generate(algorithm).unwrap();
    let key = key.with_key_id("key-0").unwrap();
    (key.verifying_key().to_jwk().unwrap(), token_of(key))
}

#[tokio::test(start_paused = true)]
async fn a_replaced_key_counts_on_the_first_request_that_needs_it() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256] {
        let provider = Provider::new(&[0]);
        provider.state().cache_control = Some("max-age=86400".into());
        let verifier = verifier(&provider.keys());
        let old = &KEYRING[0].token;
        for _ in 0..5 {
            assert_eq!(verdict(&verifier, old).await, "ok"); // a cache remembers it
        }
        sleep(seconds(3600)).await;
        let (jwk, token) = successor(algorithm);
        provider.state().published = vec![jwk];
        assert_eq!(verdict(&verifier, &token).await, "ok", "{algorithm}");
        assert_eq!(provider.fetches(), 2);
        assert_eq!(verdict(&verifier, old).await, "401", "{algorithm}");
        let health = &verifier.health()[0];
        assert_eq!(health.changed.len(), 1, "{algorithm}");
        assert_eq!(health.changed[0].key_id, "key-0");
        assert_eq!(health.changed[0].age, Duration::ZERO);
        sleep(seconds(7)).await;
        assert_eq!(verifier.health()[0].changed[0].age, seconds(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_replaced_key_without_an_id_counts_as_well() {
    let (_, token) = nameless(7);
    let (other, _) = nameless(8);
    let provider = Provider::new(&[]);
    provider.state().published = vec![other];
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    sleep(seconds(100)).await;
    provider.state().published = vec![nameless(7).0];
    assert_eq!(verdict(&verifier, &token).await, "ok");
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn forged_tokens_cause_one_fetch_in_each_window() {
    let provider = Provider::new(&[0]);
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    sleep(seconds(31)).await;
    provider.state().delay = seconds(1);
    let forged: Vec<String> = (0..500).map(|_| bogus("key-0")).collect();
    let start = Instant::now();
    let verdicts = join_all(forged.iter().map(|token| verdict(&verifier, token))).await;
    assert_eq!(verdicts, ["401"; 500]);
    assert_eq!((start.elapsed(), provider.fetches()), (seconds(1), 2));
    for token in &forged {
        assert_eq!(verdict(&verifier, token).await, "401");
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    }
    assert_eq!((start.elapsed(), provider.fetches()), (seconds(1), 2));
    sleep(seconds(28)).await;
    assert_eq!(verdict(&verifier, &forged[0]).await, "401");
    assert_eq!(provider.fetches(), 2, "29 seconds after the attempt began");
    sleep(seconds(1)).await;
    // An unknown id, a forged signature and another algorithm share one window.
    let es256 = successor(Algorithm::ES256).1;
    for token in [&forged[0], &bogus("nobody"), &es256] {
        assert_eq!(verdict(&verifier, token).await, "401");
    }
    assert_eq!(provider.fetches(), 3);
    assert!(verifier.health()[0].changed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_a_bad_signature_is_a_503_and_good_ones_pass() {
    for mode in [Mode::Refuse, Mode::Hang, Mode::Status(500), Mode::Garbage] {
        let provider = Provider::new(&[0]);
        provider.state().cache_control = Some("max-age=86400".into());
        let keys = provider.keys();
        let verifier = verifier(&keys);
        keys.ready().await;
        sleep(seconds(100)).await;
        provider.state().mode = mode;
        let (jwk, token) = successor(Algorithm::EdDSA);
        // The key may have been replaced, and the provider cannot be asked.
        assert_eq!(verdict(&verifier, &token).await, "503", "{mode:?}");
        assert_eq!(verdict(&verifier, &bogus("key-0")).await, "503", "{mode:?}");
        assert_eq!(
            verdict(&verifier, &KEYRING[0].token).await,
            "ok",
            "{mode:?}"
        );
        provider.state().mode = Mode::Good;
        provider.state().published = vec![jwk];
        sleep(seconds(31)).await;
        assert_eq!(verdict(&verifier, &token).await, "ok", "{mode:?}");
        assert_eq!(verdict(&verifier, &bogus("key-0")).await, "401", "{mode:?}");
        assert_eq!(
            verdict(&verifier, &KEYRING[0].token).await,
            "401",
            "{mode:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_is_not_allowed_causes_no_fetch() {
    let provider = Provider::new(&[0]);
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    sleep(seconds(100)).await;
    for kid in ["key-0", "key-9"] {
        let hs256 = SigningKey::generate(Algorithm::HS256).unwrap();
        let hs256 = token_of(hs256.with_key_id(kid).unwrap());
        assert_eq!(verdict(&verifier, &hs256).await, "401");
    }
    assert_eq!(provider.fetches(), 1);
    // Nor does a look-up that must not wait.
    assert!(verifier.verify_local(&bogus("key-0")).is_err());
    assert_eq!(provider.fetches(), 1);
}
