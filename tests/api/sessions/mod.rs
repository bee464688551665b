//! Sessions through the public API.

mod acknowledging;
mod dropped;
mod edge_cases;
mod ends;
mod nodes;
mod opening;
mod outages;
mod privacy;
mod rotation;
pub(crate) mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::dangerous::decode_unverified;
use tower_jwt_auth::issuer::{TokenIssuerBuilder, TokenPair};
use tower_jwt_auth::sessions::{Converged, RotationOutcome, SessionErrorKind, SessionsBuilder};
use tower_jwt_auth::{AuthErrorKind, Sessions, TokenIssuer};

use crate::support::builder;
use store::{TestRevocations, TestStore};

const ROTATED: RotationOutcome = RotationOutcome::Rotated { rewound: false };
const CONCURRENT: RotationOutcome = RotationOutcome::Converged(Converged::Concurrent);
const LOST: RotationOutcome = RotationOutcome::Converged(Converged::LostResponse);
const DAY: u64 = 86_400;

/// One node with sessions, a revocation store and a clock that stands still.
struct Setting {
    tokens: TokenIssuer,
    sessions: Sessions,
    clock: ManualClock,
    store: TestStore,
    revocations: TestRevocations,
    events: Arc<Mutex<Vec<String>>>,
}

fn setting() -> Setting {
    setting_with(|tokens| tokens, |sessions| sessions)
}

fn setting_with(
    tokens: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    sessions: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
) -> Setting {
    let (builder, clock) = builder();
    let store = TestStore::default();
    let revocations = TestRevocations::new(&clock);
    let issuer = tokens(builder.revocation(revocations.clone()));
    let tokens = issuer.build().unwrap();
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&events);
    let builder = Sessions::builder(&tokens, store.clone())
        .on_event(move |event| told.lock().unwrap().push(event.name().to_owned()));
    Setting {
        sessions: sessions(builder).build().unwrap(),
        tokens,
        clock,
        store,
        revocations,
        events,
    }
}

impl Setting {
    async fn login(&self) -> TokenPair {
        self.sessions.open("alice").issue().await.unwrap()
    }

    async fn refresh(&self, token: &str) -> Result<(RotationOutcome, TokenPair), SessionErrorKind> {
        refresh(&self.sessions, token).await
    }

    /// Sends a request with this access token, and waits for its effects.
    async fn request(&self, pair: &TokenPair) -> Result<(), AuthErrorKind> {
        request(&self.tokens, pair).await
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

async fn refresh(
    sessions: &Sessions,
    token: &str,
) -> Result<(RotationOutcome, TokenPair), SessionErrorKind> {
    let kind = |error: tower_jwt_auth::sessions::SessionError| error.kind().clone();
    let verified = sessions.refresh(token).await.map_err(kind)?;
    let refreshed = verified.issue().await.map_err(kind)?;
    Ok((refreshed.outcome, refreshed.tokens))
}

async fn request(tokens: &TokenIssuer, pair: &TokenPair) -> Result<(), AuthErrorKind> {
    let verdict = tokens.verifier().verify(&pair.access_token).await;
    settle().await;
    verdict.map(drop).map_err(|error| error.kind())
}

/// Lets the tasks that a request has started run. The test runtime has one thread.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn claims(token: &str) -> Value {
    decode_unverified::<Value>(token)
        .unwrap()
        .into_unverified_claims()
}

fn sid(pair: &TokenPair) -> String {
    claims(&pair.access_token)["sid"].as_str().unwrap().into()
}
