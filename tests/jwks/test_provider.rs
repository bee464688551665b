//! The test provider behaves as documented, and verifiers use it like any other provider.

use std::time::Duration;

use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::{TestAnswer, TestProvider};

use crate::provider::verdict;

#[tokio::test]
async fn tokens_of_every_asymmetric_algorithm_are_accepted() {
    for algorithm in Algorithm::ALL {
        let provider = TestProvider::start_with(algorithm);
        if algorithm.is_symmetric() {
            let error = provider.unwrap_err().to_string();
            assert!(error.contains("has only a secret"), "{error}");
            continue;
        }
        let provider = provider.unwrap();
        let verifier = provider.verifier_builder().unwrap().build().unwrap();
        let token = provider.access("alice").issue().unwrap();
        assert_eq!(verdict(&verifier, &token).await, "ok", "{algorithm}");
        let requests = (provider.metadata_requests(), provider.key_requests());
        assert_eq!(requests, (1, 1));
    }
}

#[tokio::test]
async fn keys_rotate_and_are_withdrawn() {
    let provider = TestProvider::start().unwrap();
    let old = provider.access("alice").issue().unwrap();
    provider.rotate_key().unwrap();
    let new = provider.access("alice").issue().unwrap();
    let verifier = provider.verifier_builder().unwrap().build().unwrap();
    assert_eq!(verdict(&verifier, &old).await, "ok");
    assert_eq!(verdict(&verifier, &new).await, "ok");
    provider.withdraw_old_keys().unwrap();
    let fresh = provider.verifier_builder().unwrap().build().unwrap();
    assert_eq!(verdict(&fresh, &new).await, "ok");
    assert_eq!(verdict(&fresh, &old).await, "401");
}

#[tokio::test]
async fn each_bad_answer_is_an_outage_and_a_good_one_ends_it() {
    for answer in [
        TestAnswer::Status(500),
        TestAnswer::Status(404),
        TestAnswer::Html,
        TestAnswer::Redirect("https://elsewhere.example/".into()),
        TestAnswer::CutOff,
        TestAnswer::TooLong,
        TestAnswer::Closed,
    ] {
        let provider = TestProvider::start().unwrap();
        provider.answer(answer.clone());
        let token = provider.access("alice").issue().unwrap();
        let keys = provider.keys().build().unwrap();
        let verifier = tower_jwt_auth::TokenVerifier::builder().remote_jwks(&keys);
        let verifier = verifier.audience("test-audience").build().unwrap();
        assert_eq!(verdict(&verifier, &token).await, "503", "{answer:?}");
        provider.answer(TestAnswer::Good);
        tokio::time::timeout(Duration::from_secs(60), keys.ready())
            .await
            .unwrap();
        assert_eq!(verdict(&verifier, &token).await, "ok", "{answer:?}");
    }
}

#[tokio::test]
async fn a_silent_provider_is_an_outage_and_a_slow_one_is_waited_for() {
    let provider = TestProvider::start().unwrap();
    let token = provider.access("alice").issue().unwrap();
    provider.answer(TestAnswer::Silence);
    let keys = provider.keys().build().unwrap();
    let builder = tower_jwt_auth::TokenVerifier::builder().remote_jwks(&keys);
    let verifier = builder.audience("test-audience").build().unwrap();
    assert_eq!(verdict(&verifier, &token).await, "503");
    provider.answer(TestAnswer::Slow(Duration::from_millis(50)));
    tokio::time::timeout(Duration::from_secs(60), keys.ready())
        .await
        .unwrap();
    assert_eq!(verdict(&verifier, &token).await, "ok");
}
