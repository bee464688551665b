//! A model of an honest client, a network that loses answers, two tabs, a clock that is set back, a
//! store that loses its last write, and a thief, in random order: the honest client is never logged out, and a thief is found at the next divergence.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tower_jwt_auth::clock::{Clock, ManualClock};
use tower_jwt_auth::dangerous::decode_unverified;
use tower_jwt_auth::issuer::SessionErrorKind;
use tower_jwt_auth::keys::Algorithm;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::sessions::{MemorySessions, SessionRecord, SessionStore};
use tower_jwt_auth::{SigningKey, TokenIssuer, TokenPair};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The client refreshes; its answer arrives or is lost.
    Refresh { lost: bool },
    /// Two tabs refresh with the same token, a few seconds apart, the first already using what it
    /// got; either answer may be the one that is kept.
    TwoTabs { keep_first: bool, apart: u64 },
    /// The client calls the API with its access token, or renews it if it has expired.
    Request,
    /// Time passes; less than the idle end.
    Pass { seconds: u64 },
    /// The clock is set back a little.
    ClockBack { seconds: u64 },
    /// The store loses what it last wrote for the client, as when a lagging replica takes over.
    Rewind,
    /// The thief copies what the client has.
    Steal,
    /// The thief refreshes with what he has.
    ThiefRefreshes,
}

fn steps(thief: bool) -> impl Strategy<Value = Vec<Step>> {
    let honest = prop_oneof![
        3 => any::<bool>().prop_map(|lost| Step::Refresh { lost }),
        1 => (any::<bool>(), 0..=10_u64)
            .prop_map(|(keep_first, apart)| Step::TwoTabs { keep_first, apart }),
        3 => Just(Step::Request),
        2 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..100_000_u64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    let with_accidents = prop_oneof![
        8 => honest.clone(),
        1 => (0..4_u64).prop_map(|seconds| Step::ClockBack { seconds }),
        1 => Just(Step::Rewind),
    ];
    let with_thief = prop_oneof![
        6 => honest.clone(),
        1 => Just(Step::Steal),
        2 => Just(Step::ThiefRefreshes),
    ];
    let step = if thief {
        with_thief.boxed()
    } else {
        with_accidents.boxed()
    };
    proptest::collection::vec(step, 1..60)
}

struct World {
    tokens: TokenIssuer,
    clock: ManualClock,
    client: TokenPair,
    /// When the first answer was lost since the client last got one.
    lost_at: Option<SystemTime>,
    thief: Option<TokenPair>,
    store: MemorySessions,
    /// The session before the client's last refresh.
    before: Option<SessionRecord>,
    /// How far the clock was set back in all: verifiers allow for 30 seconds.
    stepped_back: u64,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::at_unix_seconds(1_767_225_600);
        let store = MemorySessions::new();
        let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::HS256).unwrap())
            .issuer("me")
            .audience("api")
            .sessions(store.clone())
            .revocation(MemoryRevocations::with_clock(clock.clone()))
            .refresh_ttl(Duration::from_secs(365 * 86_400))
            .clock(clock.clone())
            .build()
            .unwrap();
        let client = tokens.open_session("alice").issue().await.unwrap();
        Self {
            tokens,
            clock,
            client,
            lost_at: None,
            thief: None,
            store,
            before: None,
            stepped_back: 0,
        }
    }

    async fn refresh(&self, token: &str) -> Result<TokenPair, SessionErrorKind> {
        let rotated = self
            .tokens
            .rotate(token)
            .await
            .map_err(|error| error.kind().clone())?;
        Ok(rotated.issue().unwrap())
    }

    /// Keeps the session as it is, for a store that will lose what comes next; not one that is
    /// behind its client already, which would then be two generations behind.
    async fn remember(&mut self) {
        let now = self.store.list("alice", 0).await.unwrap().pop();
        self.before = now.filter(|record| record.generation >= generation(&self.client));
    }

    /// The client refreshes, and gets its answer.
    async fn client_refreshes(&mut self) -> Result<(), SessionErrorKind> {
        self.remember().await;
        self.client = self.refresh(&self.client.refresh_token).await?;
        self.lost_at = None;
        Ok(())
    }

    async fn request(&mut self) -> Result<(), SessionErrorKind> {
        if self
            .tokens
            .verifier()
            .verify(&self.client.access_token)
            .await
            .is_err()
        {
            self.client_refreshes().await?;
            assert!(
                self.tokens
                    .verifier()
                    .verify(&self.client.access_token)
                    .await
                    .is_ok()
            );
        }
        settle().await;
        Ok(())
    }

    /// Time passes. A client that got no answer asks again before an access token's lifetime is over.
    async fn pass(&mut self, by: Duration) -> Result<(), SessionErrorKind> {
        let until = self.clock.now() + by;
        if let Some(lost_at) = self.lost_at {
            let retry_at = lost_at + Duration::from_secs(890);
            if retry_at <= until {
                self.clock.set(retry_at);
                self.client_refreshes().await?;
            }
        }
        self.clock.set(until);
        Ok(())
    }
}

/// Time for what a request sets off.
async fn settle() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

fn generation(pair: &TokenPair) -> u64 {
    let claims = decode_unverified::<serde_json::Value>(&pair.refresh_token).unwrap();
    claims.unverified_claims()["gen"].as_u64().unwrap()
}

/// Runs the steps; `Err` is the moment at which the session ended.
async fn run(world: &mut World, steps: &[Step]) -> Result<(), SessionErrorKind> {
    for step in steps {
        match *step {
            Step::Refresh { lost: false } => world.client_refreshes().await?,
            Step::Refresh { lost: true } => {
                world.remember().await;
                world.refresh(&world.client.refresh_token).await?;
                let now = world.clock.now();
                world.lost_at.get_or_insert(now);
            }
            Step::TwoTabs { keep_first, apart } => {
                world.remember().await;
                let token = world.client.refresh_token.clone();
                let first = world.refresh(&token).await?;
                let _ = world.tokens.verifier().verify(&first.access_token).await;
                settle().await;
                world.clock.advance(Duration::from_secs(apart));
                let second = world.refresh(&token).await?;
                assert_eq!(
                    first.refresh_token, second.refresh_token,
                    "one live generation"
                );
                world.client = if keep_first { first } else { second };
                world.lost_at = None;
            }
            Step::ClockBack { seconds } => {
                if world.stepped_back + seconds <= 25 {
                    world.stepped_back += seconds;
                    world
                        .clock
                        .set(world.clock.now() - Duration::from_secs(seconds));
                }
            }
            Step::Rewind => {
                if let Some(record) = world.before.take() {
                    world.store.create(&record, None).await.unwrap();
                }
            }
            Step::Request => world.request().await?,
            Step::Pass { seconds } => world.pass(Duration::from_secs(seconds)).await?,
            Step::Steal => world.thief = Some(world.client.clone()),
            Step::ThiefRefreshes => {
                if let Some(thief) = &world.thief {
                    world.thief = Some(world.refresh(&thief.refresh_token).await?);
                }
            }
        }
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_honest_client_is_never_logged_out(steps in steps(false)) {
        block_on(async {
            let mut world = World::new().await;
            let ended = run(&mut world, &steps).await;
            prop_assert!(ended.is_ok(), "{ended:?}");
            Ok(())
        })?;
    }

    #[test]
    fn a_thief_is_found_when_both_have_gone_on(steps in steps(true)) {
        block_on(async {
            let mut world = World::new().await;
            let ended = run(&mut world, &steps).await;
            let Some(thief) = world.thief.clone() else {
                prop_assert!(ended.is_ok());
                return Ok(());
            };
            if ended.is_ok() && generation(&thief) > generation(&world.client) {
                // The thief uses what he got; then the client, with an older token, comes back.
                prop_assume!(world.tokens.verifier().verify(&thief.access_token).await.is_ok());
                settle().await;
                world.clock.advance(Duration::from_secs(11));
                let client = world.refresh(&world.client.refresh_token).await;
                let reuse = SessionErrorKind::ReuseDetected;
                prop_assert_eq!(client.err(), Some(reuse), "the next divergence");
                prop_assert!(world.refresh(&thief.refresh_token).await.is_err(), "for the thief too");
                let still = world.tokens.verifier().verify(&thief.access_token).await;
                prop_assert!(still.is_err(), "and his access token is revoked");
            }
            Ok(())
        })?;
    }
}
