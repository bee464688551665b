//! The server with the keys of a provider.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer, TokenVerifier};

use crate::log;
use crate::remote::{Fault, OVER_HTTP, Remote};
use crate::seen::Seen;
use crate::table::Table;

const ISSUER: &str = "https://idp.example";
/// The lifetime of keys if the provider does not name one.
const TTL: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);
/// The shortest time between two fetches that an unknown key causes.
const WINDOW: Duration = Duration::from_secs(31);
/// More than the longest pause after failed fetches.
const PAUSE: Duration = Duration::from_secs(301);

static FIRST: LazyLock<SigningKey> = LazyLock::new(|| key("first"));
static SECOND: LazyLock<SigningKey> = LazyLock::new(|| key("second"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Known,
    Expired,
    TooOld,
    NeverFetched,
    New,
    Unknown,
    Forged,
    Malformed,
}

// === impl Token ===

impl Token {
    const ALL: [Self; 8] = [
        Self::Known,
        Self::Expired,
        Self::TooOld,
        Self::NeverFetched,
        Self::New,
        Self::Unknown,
        Self::Forged,
        Self::Malformed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Known => "its key was fetched",
            Self::Expired => "its key was fetched, and has expired",
            Self::TooOld => "its key was fetched, and expired one hour ago",
            Self::NeverFetched => "no keys were fetched since the start",
            Self::New => "its key is new, and was not fetched yet",
            Self::Unknown => "its key does not exist",
            Self::Forged => "forged, with the id of a key that was fetched",
            Self::Malformed => "malformed",
        }
    }

    fn text(self) -> String {
        match self {
            Self::New => signed(&SECOND),
            Self::Unknown => signed(&key("third")),
            Self::Forged => signed(&key("first")),
            Self::Malformed => "malformed".to_owned(),
            _ => signed(&FIRST),
        }
    }

    /// Returns how long the outage has lasted when the token comes.
    fn waits(self) -> Duration {
        match self {
            Self::Expired => TTL + HOUR / 2,
            Self::TooOld => TTL + HOUR,
            _ => WINDOW,
        }
    }

    fn usual(self) -> u16 {
        match self {
            Self::Unknown | Self::Forged | Self::Malformed => 401,
            _ => 200,
        }
    }
}

fn key(id: &str) -> SigningKey {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    key.with_key_id(id).unwrap()
}

fn signed(key: &SigningKey) -> String {
    let tokens = TokenIssuer::builder(key.clone())
        .issuer(ISSUER)
        .audience("api");
    tokens.build().unwrap().access("alice").issue().unwrap()
}

fn published(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| key.verifying_key().to_jwk().unwrap())
        .collect();
    json!({ "keys": keys }).to_string()
}

/// Asks once during the outage and once after it.
async fn ask(token: Token, stale_for: Duration, fault: Fault) -> Seen {
    let remote = Remote::new(|_| published(&[&FIRST]));
    if token == Token::NeverFetched {
        remote.set(Some(fault));
    }
    let keys = RemoteJwks::builder_at("https://idp.example/jwks");
    let keys = keys
        .client(remote.clone())
        .stale_for(stale_for)
        .build()
        .unwrap();
    let verifier = TokenVerifier::builder()
        .remote_jwks(&keys)
        .issuer(ISSUER)
        .audience("api");
    let layer = JwtAuthLayer::new(verifier.build().unwrap());
    if token != Token::NeverFetched {
        keys.ready().await;
    }
    remote.answers(|_| published(&[&FIRST, &SECOND]));
    remote.set(Some(fault));
    sleep(token.waits()).await;
    let text = token.text();
    let is_told = log::take().iter().any(|line| line == "keys not fetched");
    let fails = token == Token::NeverFetched && fault != Fault::Slow;
    assert!(is_told || !fails, "{fault:?}");
    let seen = Seen::with_token(&layer, &text).await;
    remote.set(None);
    sleep(PAUSE).await;
    let after = Seen::with_token(&layer, &text).await;
    assert_eq!(after.status, token.usual(), "{token:?} {fault:?}");
    seen
}

#[tokio::test(start_paused = true)]
async fn outages_of_a_key_server_look_as_the_guide_says() {
    log::record();
    let mut table = Table::default();
    for token in Token::ALL {
        for (policy, stale_for) in [
            ("`stale_for` 1 hour", HOUR),
            ("`stale_for` 0", Duration::ZERO),
        ] {
            for fault in OVER_HTTP {
                let seen = ask(token, stale_for, fault).await;
                table.add((token.name(), policy, fault), seen, token.usual(), false);
            }
        }
    }
    table.compare();
}
