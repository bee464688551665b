//! Rotation under load: keys are added, sign, retire and are removed, and no valid token is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::keys::KeyState;
use tower_jwt_auth::sessions::{MemorySessions, SessionErrorKind};
use tower_jwt_auth::{Algorithm, KeyRing, Sessions, TokenIssuer, TokenVerifier};

use crate::key_ring_support::Folder;
use crate::support::NOW;

const SECOND: Duration = Duration::from_secs(1);
const STEPS: usize = 200;

/// Three nodes with their own rings on one file: two issue and rotate, one only verifies.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn valid_tokens_are_accepted_while_keys_rotate_on_all_nodes() {
    let folder = Folder::new();
    let clock = ManualClock::at_unix_seconds(NOW);
    let open = || {
        let ring = KeyRing::builder()
            .file(folder.file())
            .auto_rotate(Algorithm::HS256) // the fastest, because this test is about the keys
            .rotate_every(SECOND * 60)
            .publish_for(SECOND * 20)
            .check_every(SECOND * 10)
            .retire_for(SECOND * 130)
            .clock(clock.clone());
        ring.build().unwrap()
    };
    let rings = [open(), open(), open()];
    let sessions = MemorySessions::new();
    let issuers: Vec<_> = rings[..2]
        .iter()
        .map(|ring| {
            let tokens = TokenIssuer::builder(ring.clone())
                .issuer("me")
                .audience("api")
                .access_ttl(SECOND * 60)
                .refresh_ttl(SECOND * 100)
                .leeway(SECOND * 30)
                .clock(clock.clone())
                .build()
                .unwrap();
            Sessions::builder(&tokens, sessions.clone())
                .build()
                .unwrap()
        })
        .collect();
    let third = TokenVerifier::builder()
        .key_source(rings[2].clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();

    let rounds = Arc::new(Barrier::new(5));
    let mut workers = Vec::new();
    for number in 0..4 {
        let (rounds, third) = (Arc::clone(&rounds), third.clone());
        let (own, other) = (
            issuers[number % 2].clone(),
            issuers[(number + 1) % 2].clone(),
        );
        workers.push(tokio::spawn(async move {
            let subject = format!("user-{number}");
            let mut pair = own.open(&subject).issue().await.unwrap();
            for _ in 0..STEPS {
                for verifier in [&own.tokens().verifier(), &other.tokens().verifier(), &third] {
                    // Without I/O: every node must already have the key.
                    verifier.verify_local(&pair.access_token).unwrap();
                }
                other
                    .tokens()
                    .refresh_verifier()
                    .verify_local(&pair.refresh_token)
                    .unwrap();
                let rotated = if number % 3 == 0 { &own } else { &other };
                // The clock may advance between the two calls, so either may find the session expired.
                let refreshed = async { rotated.refresh(&pair.refresh_token).await?.issue().await };
                pair = match refreshed.await {
                    Ok(refreshed) => refreshed.tokens,
                    Err(error) => {
                        // The key is not the reason: a session ends after the lifetime of a refresh token.
                        assert_eq!(*error.kind(), SessionErrorKind::Expired);
                        own.open(&subject).issue().await.unwrap()
                    }
                };
                rounds.wait().await;
            }
        }));
    }
    let mut signed = HashSet::new();
    for step in 0..STEPS {
        // Each node checks the file every 18 seconds, within the 20 seconds for which a key is published.
        if step % 2 == 0 {
            let ring = rings[step / 2 % 3].clone();
            tokio::task::spawn_blocking(move || ring.maintain().unwrap())
                .await
                .unwrap();
        }
        signed.insert(rings[0].signing_key().unwrap().key_id().to_owned());
        // Each worker takes part in each step, so that none falls behind by more than the lifetime of a
        // token.
        let all = tokio::time::timeout(SECOND * 60, rounds.wait()).await;
        assert!(all.is_ok(), "a worker has ended: see its panic");
        clock.advance(SECOND * 3);
    }
    for worker in workers {
        worker.await.unwrap();
    }
    // Ten keys in ten minutes, of which the first ones were removed again.
    assert_eq!(signed.len(), 10);
    for ring in &rings {
        let keys = ring.keys().into_iter();
        let removed = keys.filter(|key| key.state == KeyState::Removed).count();
        assert!(removed >= 6, "{removed}");
        assert!(ring.key_set().len() <= 4);
    }
}
