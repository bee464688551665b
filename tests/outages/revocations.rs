//! The revocation store, behind its cache.

use std::time::Duration;

use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{
    CachedRevocations, MemoryRevocations, OutagePolicy, Revocation, RevocationQuery,
    RevocationStore,
};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer};

use crate::log;
use crate::remote::Fault;
use crate::seen::Seen;
use crate::switch::Switch;
use crate::table::Table;

const NOW: u64 = 1_767_225_600;
const FAULTS: [Fault; 3] = [Fault::Down, Fault::Silent, Fault::Slow];
const STALE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    JustSeen,
    SeenBefore,
    SeenLongAgo,
    Unseen,
    RevokedHere,
    RevokedElsewhere,
    SeenAndRevokedElsewhere,
    Forged,
}

/// A store in memory that can be out of order.
#[derive(Debug, Clone)]
struct Store {
    record: MemoryRevocations,
    switch: Switch,
}

// === impl Token ===

impl Token {
    const ALL: [Self; 8] = [
        Self::JustSeen,
        Self::SeenBefore,
        Self::SeenLongAgo,
        Self::Unseen,
        Self::RevokedHere,
        Self::RevokedElsewhere,
        Self::SeenAndRevokedElsewhere,
        Self::Forged,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::JustSeen => "looked up less than 5 seconds ago",
            Self::SeenBefore => "looked up less than a minute ago",
            Self::SeenLongAgo => "looked up more than a minute ago",
            Self::Unseen => "never looked up",
            Self::RevokedHere => "revoked by this process",
            Self::RevokedElsewhere => "revoked by another process, never looked up",
            Self::SeenAndRevokedElsewhere => {
                "looked up less than 5 seconds ago, then revoked by another process"
            }
            Self::Forged => "forged",
        }
    }

    /// Returns how long ago the token was looked up, if it was.
    fn seen_before(self) -> Option<Duration> {
        match self {
            Self::JustSeen | Self::SeenAndRevokedElsewhere => Some(Duration::from_secs(1)),
            Self::SeenBefore => Some(STALE / 2),
            Self::SeenLongAgo => Some(STALE * 2),
            _ => None,
        }
    }

    /// Returns the status when all is well. A revocation by another process is seen when the token is looked up
    /// again.
    fn usual(self) -> u16 {
        match self {
            Self::RevokedHere
            | Self::RevokedElsewhere
            | Self::SeenAndRevokedElsewhere
            | Self::Forged => 401,
            _ => 200,
        }
    }
}

// === impl Store ===

impl RevocationStore for Store {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.switch.pass().await?;
        self.record.revoke(revocations).await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        self.switch.pass().await?;
        self.record.is_revoked(query).await
    }
}

/// Asks once during the outage and once after it.
async fn ask(token: Token, policy: OutagePolicy, fault: Fault) -> Seen {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = Store {
        record: MemoryRevocations::with_clock(clock.clone()),
        switch: Switch::default(),
    };
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let issuer = |key: SigningKey| {
        let tokens = TokenIssuer::builder(key).issuer("me").audience("api");
        tokens.clock(clock.clone())
    };
    let cached = CachedRevocations::new(store.clone()).clock(clock.clone());
    let here = issuer(key.clone())
        .revocation(cached.on_outage(policy))
        .build()
        .unwrap();
    let elsewhere = issuer(key)
        .revocation(store.record.clone())
        .build()
        .unwrap();
    let forger = issuer(SigningKey::generate(Algorithm::EdDSA).unwrap())
        .build()
        .unwrap();
    let signer = if token == Token::Forged {
        &forger
    } else {
        &here
    };
    let text = signer.access("alice").session("s1").issue().unwrap();
    let layer = JwtAuthLayer::new(here.verifier());

    if let Some(ago) = token.seen_before() {
        assert_eq!(
            Seen::with_token(&layer, &text).await.status,
            200,
            "{token:?}"
        );
        clock.advance(ago);
    }
    match token {
        Token::RevokedHere => here.revoke_session("s1").await.unwrap(),
        Token::RevokedElsewhere | Token::SeenAndRevokedElsewhere => {
            elsewhere.revoke_session("s1").await.unwrap();
        }
        _ => {}
    }
    store.switch.set(Some(fault));
    let seen = Seen::with_token(&layer, &text).await;
    store.switch.set(None);
    clock.advance(Duration::from_secs(6));
    let after = Seen::with_token(&layer, &text).await;
    assert_eq!(after.status, token.usual(), "{token:?} {fault:?}");
    seen
}

#[tokio::test(start_paused = true)]
async fn outages_of_a_revocation_store_look_as_the_guide_says() {
    log::record();
    let mut table = Table::default();
    for token in Token::ALL {
        for (name, policy) in [
            ("`FailClosed`", OutagePolicy::FailClosed),
            ("`ServeStale` 60 seconds", OutagePolicy::ServeStale(STALE)),
            ("`DangerousFailOpen`", OutagePolicy::DangerousFailOpen),
        ] {
            for fault in FAULTS {
                let seen = ask(token, policy, fault).await;
                // What is known of a token is used for 5 seconds, whatever the policy.
                let unchecked = token == Token::SeenAndRevokedElsewhere
                    || (token == Token::RevokedElsewhere
                        && policy == OutagePolicy::DangerousFailOpen);
                table.add((token.name(), name, fault), seen, token.usual(), unchecked);
            }
        }
    }
    table.compare();
}
