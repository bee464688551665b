//! The rules one by one, with exact counts and times, on a virtual clock.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, advance, sleep};
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::keys::KeySourceState;

use crate::provider::{
    ISSUER, KEYRING, KEYS, Mode, Provider, bogus, bogus_of, nameless, verdict, verifier,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn verdicts(verifier: &TokenVerifier, tokens: &[String]) -> Vec<String> {
    join_all(tokens.iter().map(|token| verdict(verifier, token))).await
}

#[tokio::test(start_paused = true)]
async fn fifty_first_requests_cause_one_fetch() {
    let provider = Provider::new(&[0]);
    provider.state().delay = seconds(1);
    let verifier = verifier(&provider.discovered());
    let tokens = vec![KEYRING[0].token.clone(); 50];
    assert_eq!(verdicts(&verifier, &tokens).await, ["ok"; 50]);
    assert_eq!(
        (provider.fetches(), provider.state().metadata_fetches),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_key_ids_cause_one_fetch() {
    let provider = Provider::new(&[0]);
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    sleep(seconds(31)).await;

    provider.state().delay = seconds(1);
    let bogus: Vec<String> = (0..1000)
        .map(|number| bogus(&format!("no-{number}")))
        .collect();
    let start = Instant::now();
    assert_eq!(verdicts(&verifier, &bogus).await, ["401"; 1000]);
    assert_eq!(start.elapsed(), seconds(1), "all wait for the same fetch");
    assert_eq!(provider.fetches(), 2);

    // From then on they are refused at once, and cause no fetch.
    for token in &bogus {
        assert_eq!(verdict(&verifier, token).await, "401");
    }
    assert_eq!((start.elapsed(), provider.fetches()), (seconds(1), 2));
    sleep(seconds(28)).await;
    assert_eq!(
        verdict(&verifier, &super::provider::bogus("another")).await,
        "401"
    );
    assert_eq!(provider.fetches(), 2, "29 seconds after the last attempt");
    sleep(seconds(1)).await;
    assert_eq!(
        verdict(&verifier, &super::provider::bogus("another")).await,
        "401"
    );
    assert_eq!(provider.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen_within_one_request() {
    let provider = Provider::new(&[0]);
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    sleep(seconds(30)).await;
    provider.publish(&[0, 1]);
    assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_known_key_never_waits() {
    let provider = Provider::new(&[0]);
    provider.state().cache_control = Some("max-age=60".into());
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    provider.state().mode = Mode::Hang;
    let _waiting = tokio::spawn({
        let verifier = verifier.clone();
        async move { verdict(&verifier, &bogus("x")).await }
    });
    for _ in 0..3600 {
        let start = Instant::now();
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(seconds(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stale_keys_are_used_until_they_expire_then_all_is_a_503() {
    let provider = Provider::new(&[0]);
    provider.state().cache_control = Some("max-age=60".into());
    let keys = provider.keys();
    let verifier = verifier(&keys);
    let state = || verifier.health()[0].state;
    assert_eq!(state(), KeySourceState::Empty);
    keys.ready().await;
    let fetched = Instant::now();
    assert_eq!(state(), KeySourceState::Fresh);

    provider.state().mode = Mode::Status(500);
    sleep(seconds(60)).await;
    assert_eq!(state(), KeySourceState::Stale);
    let health = &verifier.health()[0];
    assert_eq!((health.keys, health.age), (1, Some(seconds(60))));
    assert!(health.failures > 0);
    let error = health.last_error.as_deref().unwrap();
    assert_eq!(error, "the response was 500 (idp.example/jwks)");

    tokio::time::sleep_until(fetched + seconds(60 + 3600) - Duration::from_millis(1)).await;
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(state(), KeySourceState::Expired);
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");

    provider.state().mode = Mode::Good;
    sleep(seconds(31)).await;
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    assert_eq!(verifier.health()[0].last_error, None);
}

#[tokio::test(start_paused = true)]
async fn no_failure_removes_a_key_or_causes_a_401() {
    for mode in [
        Mode::Refuse,
        Mode::Hang,
        Mode::Status(500),
        Mode::Status(404),
        Mode::Status(304),
        Mode::Redirect,
        Mode::Garbage,
        Mode::Huge,
        Mode::NoKeys,
        Mode::TooManyKeys,
    ] {
        let provider = Provider::new(&[0]);
        let keys = provider.keys();
        let verifier = verifier(&keys);
        keys.ready().await;
        sleep(seconds(30)).await;
        provider.state().mode = mode;
        provider.publish(&[1]);
        // The provider might have this key, but cannot be asked.
        let start = Instant::now();
        assert_eq!(
            verdict(&verifier, &KEYRING[1].token).await,
            "503",
            "{mode:?}"
        );
        assert!(start.elapsed() <= seconds(5), "{mode:?}");
        assert_eq!(
            verdict(&verifier, &KEYRING[1].token).await,
            "503",
            "{mode:?}"
        );
        assert_eq!(
            verdict(&verifier, &KEYRING[0].token).await,
            "ok",
            "{mode:?}"
        );
        // Once it can be asked, all its keys are found.
        provider.state().mode = Mode::Good;
        sleep(seconds(31)).await;
        assert_eq!(
            verdict(&verifier, &KEYRING[1].token).await,
            "ok",
            "{mode:?}"
        );
        assert_eq!(
            verdict(&verifier, &KEYRING[0].token).await,
            "401",
            "{mode:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_at_the_start_is_waited_for() {
    let provider = Provider::new(&[0]);
    provider.state().mode = Mode::Refuse;
    let keys = provider.discovered();
    let verifier = verifier(&keys);
    for _ in 0..100 {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
        assert_eq!(verdict(&verifier, &bogus("x")).await, "503");
        sleep(seconds(1)).await;
    }
    // Not a hundred times, because of the back-off.
    let asked = provider.state().metadata_fetches;
    assert!((3..40).contains(&asked), "{asked} times");
    provider.state().mode = Mode::Good;
    let start = Instant::now();
    keys.ready().await;
    assert!(start.elapsed() <= seconds(300));
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_is_refused_after_the_next_fetch() {
    let provider = Provider::new(&[0, 1]);
    provider.state().cache_control = Some("max-age=300".into());
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    for _ in 0..5 {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok"); // its signature is cached
    }
    provider.publish(&[1]);
    sleep(seconds(300)).await; // at 80 %, 240 seconds, the keys were fetched again
    assert_eq!(provider.fetches(), 2);
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "401");
    assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn the_cache_control_of_a_provider_is_kept_within_bounds() {
    for (cache_control, from, to) in [
        (None, 450, 510),
        (Some("max-age=600"), 450, 510),
        (Some("max-age=0"), 45, 51),
        (Some("no-store"), 45, 51),
        (Some("max-age=100"), 75, 85),
        (Some("max-age=99999999999999999999"), 64_800, 73_440),
        (Some("max-age=nonsense"), 450, 510),
    ] {
        let provider = Provider::new(&[0]);
        provider.state().cache_control = cache_control.map(str::to_owned);
        let keys = provider.keys();
        keys.ready().await;
        while provider.fetches() < 2 {
            advance(seconds(1)).await;
            tokio::task::yield_now().await;
        }
        let fetches = provider.state().fetches.clone();
        let gap = fetches[1].began - fetches[0].began;
        let range = seconds(from)..=seconds(to + 1);
        assert!(range.contains(&gap), "{cache_control:?}: {gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_document_is_not_sent_again() {
    let provider = Provider::new(&[0]);
    provider.state().tagged = true;
    provider.state().cache_control = Some("max-age=60".into());
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    for _ in 0..600 {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
        sleep(seconds(10)).await;
    }
    let fetches = provider.state().fetches.clone();
    assert!(fetches.len() > 100);
    assert!(fetches[1..].iter().all(|fetch| fetch.not_modified));
    provider.publish(&[0, 1]);
    sleep(seconds(60)).await;
    assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_or_origin_is_refused() {
    for (mode, said) in [
        (
            Mode::OtherIssuer,
            "the metadata is of another issuer: expected `https://idp.example`, but it says `",
        ),
        (Mode::KeysElsewhere, "another origin than the issuer"),
    ] {
        let provider = Provider::new(&[0]);
        provider.state().mode = mode;
        let verifier = verifier(&provider.discovered());
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
        assert_eq!(provider.fetches(), 0, "its keys are not even asked for");
        let error = verifier.health()[0].last_error.clone().unwrap();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_wait_are_answered_at_once() {
    let provider = Provider::new(&[0]);
    provider.state().mode = Mode::Hang;
    let verifier = verifier(&provider.keys());
    let start = Instant::now();
    let tokens = vec![KEYRING[0].token.clone(); 1500];
    let times = join_all(tokens.iter().map(async |token| {
        assert_eq!(verdict(&verifier, token).await, "503");
        start.elapsed()
    }));
    let at_once = times.await.iter().filter(|time| time.is_zero()).count();
    assert_eq!(at_once, 1500 - 1024);
    assert_eq!(start.elapsed(), seconds(5));
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_key_id_needs_a_set_in_which_one_key_fits() {
    let (jwk, token) = nameless(7);
    let provider = Provider::new(&[]);
    provider.state().published = vec![jwk.clone()];
    let verifier = verifier(&provider.keys());
    assert_eq!(verdict(&verifier, &token).await, "ok");
    sleep(seconds(31)).await;
    provider.state().published.push(KEYRING[1].jwk());
    assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
    let fetches = provider.fetches();
    sleep(seconds(31)).await;
    assert_eq!(verdict(&verifier, &token).await, "401"); // two fit
    assert_eq!(provider.fetches(), fetches, "no fetch can change that");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_verifier() {
    let provider = Provider::new(&[0]);
    let keys = provider.keys();
    let verifier = verifier(&keys);
    keys.ready().await;
    drop(keys);
    sleep(seconds(1000)).await;
    let fetches = provider.fetches();
    assert!(fetches >= 2, "the verifier holds the keys");
    drop(verifier);
    sleep(seconds(100_000)).await;
    assert_eq!(provider.fetches(), fetches);
}

/// The test's own runtime, with a paused clock.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn a_source_outlives_the_runtime_that_it_was_first_used_in() {
    let provider = Provider::new(&[0]);
    let verifier = verifier(&provider.keys()); // outside any runtime
    runtime().block_on(async {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    });
    provider.publish(&[1]);
    runtime().block_on(async {
        sleep(seconds(31)).await;
        assert_eq!(verdict(&verifier, &KEYRING[1].token).await, "ok");
    });
    // Without any runtime, tokens of known keys are verified, and nothing hangs.
    assert!(verifier.verify_local(&KEYRING[1].token).is_ok());
    let error = futures_util::FutureExt::now_or_never(verifier.verify(&bogus("x")));
    assert_eq!(error.unwrap().unwrap_err().status(), 503);
}

#[test]
fn a_source_survives_a_runtime_that_ended_before_its_task_ran() {
    let provider = Provider::new(&[0]);
    let verifier = runtime().block_on(async { verifier(&provider.keys()) });
    runtime().block_on(async {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_is_a_failure_like_any_other() {
    let provider = Provider::new(&[0]);
    provider.state().mode = Mode::Panic;
    let verifier = verifier(&provider.keys());
    for _ in 0..100 {
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
        sleep(seconds(1)).await;
    }
    assert!(
        provider.fetches() < 60,
        "backed off: {}",
        provider.fetches()
    );
    provider.state().mode = Mode::Good;
    sleep(seconds(31)).await;
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn an_html_page_does_not_hide_the_second_metadata_address() {
    let provider = Provider::new(&[0]);
    provider.state().mode = Mode::PageFirst;
    let verifier = verifier(&provider.discovered());
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "ok");
}

#[test]
fn impossible_settings_do_not_build() {
    let refused =
        |built: Result<RemoteJwks, tower_jwt_auth::ConfigError>| built.unwrap_err().to_string();
    for (url, said) in [
        ("http://idp.example", "must be https"),
        ("http://127.0.0.1:9", "allow_loopback()"),
        ("https://10.0.0.1", "allow_private_network()"),
        ("idp.example", "absolute https URL"),
    ] {
        for builder in [RemoteJwks::builder_at(url), RemoteJwks::builder(url)] {
            let error = refused(builder.build());
            assert!(error.contains(said) && error.contains(url), "{error}");
        }
        let error = TokenVerifier::builder()
            .discover(url)
            .audience("api")
            .build()
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(refused(RemoteJwks::builder("https://idp.example?x").build()).contains("query"));
    use tower_jwt_auth::Algorithm::{ES256, HS256};
    assert!(
        refused(
            RemoteJwks::builder_at(KEYS)
                .algorithms([ES256, HS256])
                .build()
        )
        .contains("asymmetric")
    );
    assert!(refused(RemoteJwks::builder_at(KEYS).algorithms([]).build()).contains("no algorithm"));
    assert!(
        refused(
            RemoteJwks::builder_at(KEYS)
                .stale_for(seconds(604_801))
                .build()
        )
        .contains("7 days")
    );
    // The issuer of the keys is known, but the audience is not.
    let error = TokenVerifier::builder()
        .discover(ISSUER)
        .build()
        .unwrap_err();
    assert_eq!(error, tower_jwt_auth::ConfigError::MissingAudience);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_issuer_causes_no_fetch() {
    let provider = Provider::new(&[0]);
    provider.state().mode = Mode::Status(503);
    let verifier = verifier(&provider.discovered());
    sleep(seconds(31)).await;
    let fetches = provider.state().metadata_fetches;
    for _ in 0..3 {
        let stranger = bogus_of("https://evil.example", "no-such-key");
        assert_eq!(verdict(&verifier, &stranger).await, "401");
    }
    assert_eq!(provider.state().metadata_fetches, fetches);
    assert_eq!(verdict(&verifier, &bogus("no-such-key")).await, "503");
}
