//! The authorization server that is asked about opaque tokens.

use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::Introspection;

use crate::log;
use crate::remote::{Fault, OVER_HTTP, Remote};
use crate::seen::Seen;
use crate::table::Table;

const NOW: u64 = 1_767_225_600;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Known,
    KnownBefore,
    Unknown,
    Inactive,
    InactiveBefore,
    Impossible,
}

// === impl Token ===

impl Token {
    const ALL: [Self; 6] = [
        Self::Known,
        Self::KnownBefore,
        Self::Unknown,
        Self::Inactive,
        Self::InactiveBefore,
        Self::Impossible,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Known => "found active less than 60 seconds ago",
            Self::KnownBefore => "found active more than 60 seconds ago",
            Self::Unknown => "never seen before",
            Self::Inactive => "found inactive less than 5 seconds ago",
            Self::InactiveBefore => "found inactive more than 5 seconds ago",
            Self::Impossible => "too long for a token",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Inactive | Self::InactiveBefore => "inactive".to_owned(),
            Self::Impossible => "x".repeat(9000),
            _ => "active".to_owned(),
        }
    }

    /// Returns how long ago the server was asked, if it was.
    fn asked_before(self) -> Option<Duration> {
        match self {
            Self::Known | Self::Inactive => Some(Duration::from_secs(1)),
            Self::KnownBefore | Self::InactiveBefore => Some(MINUTE + Duration::from_secs(1)),
            Self::Unknown | Self::Impossible => None,
        }
    }

    fn usual(self) -> u16 {
        match self {
            Self::Known | Self::KnownBefore | Self::Unknown => 200,
            _ => 401,
        }
    }
}

fn answer(form: &str) -> String {
    let is_active = form.starts_with("token=active");
    let answer = json!({
        "active": is_active, "sub": "alice", "aud": "api", "token_type": "Bearer",
        "iat": NOW, "exp": NOW + 3600,
    });
    answer.to_string()
}

/// Asks once during the outage and once after it.
async fn ask(token: Token, cache_for: Duration, fault: Fault) -> Seen {
    let clock = ManualClock::at_unix_seconds(NOW);
    let remote = Remote::new(answer);
    let judge = Introspection::builder_at("https://idp.example/introspect")
        .client_secret_basic("api", "s3cret")
        .audience("api")
        .cache_for(cache_for)
        .clock(clock.clone())
        .client(remote.clone());
    let layer = JwtAuthLayer::for_credentials(judge.build().unwrap());
    let text = token.text();
    if let Some(ago) = token.asked_before() {
        let before = Seen::with_token(&layer, &text).await;
        assert_eq!(before.status, token.usual(), "{token:?}");
        clock.advance(ago);
    }
    remote.set(Some(fault));
    let seen = Seen::with_token(&layer, &text).await;
    remote.set(None);
    clock.advance(MINUTE);
    let after = Seen::with_token(&layer, &text).await;
    assert_eq!(after.status, token.usual(), "{token:?} {fault:?}");
    seen
}

#[tokio::test(start_paused = true)]
async fn outages_of_an_authorization_server_look_as_the_guide_says() {
    log::record();
    let mut table = Table::default();
    for token in Token::ALL {
        let policies = [
            ("`cache_for` 60 seconds", MINUTE),
            ("`cache_for` 0", Duration::ZERO),
        ];
        for (policy, cache_for) in policies {
            for fault in OVER_HTTP {
                let seen = ask(token, cache_for, fault).await;
                table.add((token.name(), policy, fault), seen, token.usual(), false);
            }
        }
    }
    table.compare();
}
