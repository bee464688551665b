//! A model of an honest client, a network that loses answers, two tabs, and a thief, in random
//! order: the honest client is never logged out, and a thief is found at the next divergence.

use std::time::Duration;

use proptest::prelude::*;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::issuer::SessionErrorKind;
use tower_jwt_auth::keys::Algorithm;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::session::MemorySessions;
use tower_jwt_auth::{SigningKey, TokenIssuer, TokenPair};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The client refreshes; its answer arrives or is lost.
    Refresh { lost: bool },
    /// Two tabs refresh with the same token at once; either answer may be the one that is kept.
    TwoTabs { keep_first: bool },
    /// The client calls the API with its access token, or renews it if it has expired.
    Request,
    /// Time passes; less than the idle end.
    Pass { seconds: u64 },
    /// The thief copies what the client has.
    Steal,
    /// The thief refreshes with what he has.
    ThiefRefreshes,
}

fn steps(thief: bool) -> impl Strategy<Value = Vec<Step>> {
    let honest = prop_oneof![
        3 => any::<bool>().prop_map(|lost| Step::Refresh { lost }),
        1 => any::<bool>().prop_map(|keep_first| Step::TwoTabs { keep_first }),
        3 => Just(Step::Request),
        2 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..100_000_u64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    let with_thief = prop_oneof![
        6 => honest.clone(),
        1 => Just(Step::Steal),
        2 => Just(Step::ThiefRefreshes),
    ];
    let step = if thief {
        with_thief.boxed()
    } else {
        honest.boxed()
    };
    proptest::collection::vec(step, 1..60)
}

struct World {
    tokens: TokenIssuer,
    clock: ManualClock,
    client: TokenPair,
    /// A lost answer must be asked for again within an access token's lifetime: this client does.
    retry_by: Option<Duration>,
    waited: Duration,
    thief: Option<TokenPair>,
    /// The thief has been given a token that the client has not.
    diverged: bool,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::at_unix_seconds(1_767_225_600);
        let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::HS256).unwrap())
            .issuer("me")
            .audience("api")
            .sessions(MemorySessions::new())
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
            retry_by: None,
            waited: Duration::ZERO,
            thief: None,
            diverged: false,
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

    async fn request(&mut self) -> Result<(), SessionErrorKind> {
        if self
            .tokens
            .verifier()
            .verify(&self.client.access_token)
            .await
            .is_err()
        {
            self.client = self.refresh(&self.client.refresh_token.clone()).await?;
            self.retry_by = None;
            assert!(
                self.tokens
                    .verifier()
                    .verify(&self.client.access_token)
                    .await
                    .is_ok()
            );
        }
        for _ in 0..5 {
            tokio::task::yield_now().await; // what the request set off
        }
        Ok(())
    }

    async fn pass(&mut self, by: Duration) {
        // A client that got no answer tries again before an access token's lifetime is over.
        if let Some(retry_by) = self.retry_by
            && self.waited + by >= retry_by
        {
            let rest = retry_by
                .saturating_sub(self.waited)
                .saturating_sub(Duration::from_secs(1));
            self.clock.advance(rest);
            if let Ok(pair) = self.refresh(&self.client.refresh_token.clone()).await {
                self.client = pair;
            }
            self.retry_by = None;
            self.clock.advance(by - rest);
            return;
        }
        self.waited += by;
        self.clock.advance(by);
    }
}

/// Runs the steps; `Err` is the moment at which the session ended.
async fn run(world: &mut World, steps: &[Step]) -> Result<(), SessionErrorKind> {
    for step in steps {
        match *step {
            Step::Refresh { lost } => {
                let pair = world.refresh(&world.client.refresh_token.clone()).await?;
                if lost {
                    world.retry_by.get_or_insert(Duration::from_secs(890));
                    if world.retry_by == Some(Duration::from_secs(890)) && world.waited.is_zero() {
                        world.waited = Duration::ZERO;
                    }
                } else {
                    world.client = pair;
                    world.retry_by = None;
                    world.waited = Duration::ZERO;
                }
            }
            Step::TwoTabs { keep_first } => {
                let token = world.client.refresh_token.clone();
                let (first, second) = (world.refresh(&token).await?, world.refresh(&token).await?);
                assert_eq!(
                    first.refresh_token, second.refresh_token,
                    "one live generation"
                );
                world.client = if keep_first { first } else { second };
                world.retry_by = None;
                world.waited = Duration::ZERO;
            }
            Step::Request => world.request().await?,
            Step::Pass { seconds } => world.pass(Duration::from_secs(seconds)).await,
            Step::Steal => {
                world.thief = Some(world.client.clone());
                world.diverged = false;
            }
            Step::ThiefRefreshes => {
                let Some(thief) = &world.thief else { continue };
                let pair = world.refresh(&thief.refresh_token.clone()).await?;
                world.diverged = pair.refresh_token != world.client.refresh_token;
                world.thief = Some(pair);
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
    #![proptest_config(ProptestConfig::with_cases(300))]

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
            if run(&mut world, &steps).await.is_ok() && world.diverged {
                // The thief uses what he got; the client, with an older token, comes back.
                let Some(thief) = world.thief.clone() else { return Ok(()) };
                let used = world.tokens.verifier().verify(&thief.access_token).await;
                prop_assume!(used.is_ok());
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                world.clock.advance(Duration::from_secs(11));
                let client = world.refresh(&world.client.refresh_token.clone()).await;
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
