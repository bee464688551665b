//! The world of the model: the client, the thief, two nodes, and the steps that they take.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::dangerous::decode_unverified;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::sessions::{
    Refreshed, Rotation, RotationOutcome, SessionErrorKind, SessionEvent, SessionRecord,
    SessionStore,
};
use tower_jwt_auth::{Algorithm, Sessions, SigningKey, TokenIssuer, TokenVerifier};

use super::store::Store;

pub(super) const GRACE: u64 = 10;
pub(super) const LOST_RESPONSE: u64 = 60;
pub(super) const MAX_LOST_RESPONSES: u32 = 5;
pub(super) const IDLE: u64 = 15 * 86_400;
/// The largest difference between the clocks of the nodes, in seconds.
pub(super) const MAX_SKEW: u64 = 15;

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The client refreshes. The response arrives or is lost.
    Refresh { lost: bool },
    /// The server drops the client's refresh after some polls.
    DroppedRefresh { polls: u32 },
    /// Two tabs refresh with one token, and the first already uses its new token. Either response may be the
    /// one that is kept.
    TwoTabs { keep_first: bool, apart: u64 },
    /// The client calls the API, or renews its access token if it has expired.
    Request,
    /// Time passes.
    Pass { seconds: u64 },
    /// The clocks are set back a little.
    ClockBack { seconds: u64 },
    /// The store loses its last write for the client, as when a lagging replica takes over.
    Rewind,
    /// The thief copies the client's tokens.
    Steal,
    /// The thief refreshes with the stolen token.
    ThiefRefreshes,
    /// The thief calls the API.
    ThiefRequests,
}

/// How sessions are ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Here,
    There,
    ByToken,
    Others,
    Everywhere,
}

pub(super) fn honest() -> impl Strategy<Value = Step> + Clone {
    prop_oneof![
        3 => any::<bool>().prop_map(|lost| Step::Refresh { lost }),
        1 => (0..12_u32).prop_map(|polls| Step::DroppedRefresh { polls }),
        1 => (any::<bool>(), 0..=GRACE)
            .prop_map(|(keep_first, apart)| Step::TwoTabs { keep_first, apart }),
        3 => Just(Step::Request),
        2 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..2_000_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..IDLE).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// A step, and the node that receives it.
pub(super) fn on_nodes(
    step: impl Strategy<Value = Step>,
) -> impl Strategy<Value = Vec<(Step, usize)>> {
    proptest::collection::vec((step, 0..2_usize), 1..60)
}

pub(super) fn with_accidents() -> impl Strategy<Value = Vec<(Step, usize)>> {
    on_nodes(prop_oneof![
        8 => honest(),
        1 => (0..4_u64).prop_map(|seconds| Step::ClockBack { seconds }),
        1 => Just(Step::Rewind),
    ])
}

pub(super) fn with_thief() -> impl Strategy<Value = Vec<(Step, usize)>> {
    on_nodes(prop_oneof![
        6 => honest(),
        1 => Just(Step::Steal),
        2 => Just(Step::ThiefRefreshes),
        1 => Just(Step::ThiefRequests),
    ])
}

pub(super) struct Node {
    pub(super) tokens: TokenIssuer,
    pub(super) sessions: Sessions,
    pub(super) clock: ManualClock,
}

pub(super) struct World {
    pub(super) nodes: [Node; 2],
    pub(super) store: Store,
    /// Whether marks distinguish the client from the thief.
    pub(super) marks: bool,
    /// Whether access tokens are used only at services that acknowledge nothing.
    pub(super) elsewhere: Option<TokenVerifier>,
    pub(super) client: TokenPair,
    /// The part of the client's mark that the store keeps.
    pub(super) client_mark: Option<String>,
    pub(super) thief: Option<TokenPair>,
    /// Every pair of tokens that was issued.
    pub(super) given: Vec<TokenPair>,
    /// The session before the client's last refresh.
    pub(super) before: Option<SessionRecord>,
    pub(super) set_back: u64,
    /// `refresh_converged` events.
    pub(super) told: Arc<Mutex<u32>>,
    /// The number of convergences.
    pub(super) converged: u32,
}

impl World {
    pub(super) async fn new(skew: u64, marks: bool, is_elsewhere: bool) -> Self {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        let now = 1_767_225_600;
        let (store, told) = (Store::default(), Arc::new(Mutex::new(0)));
        let revocations = MemoryRevocations::with_clock(ManualClock::at_unix_seconds(now));
        let node = |skew: u64| {
            let clock = ManualClock::at_unix_seconds(now + skew);
            let tokens = TokenIssuer::builder(key.clone())
                .issuer("me")
                .audience("api")
                .revocation(revocations.clone())
                .refresh_ttl(Duration::from_secs(10 * 365 * 86_400))
                .clock(clock.clone())
                .build()
                .unwrap();
            let told = Arc::clone(&told);
            let sessions = Sessions::builder(&tokens, store.clone())
                .on_event(move |event| {
                    let converged = matches!(event, SessionEvent::RefreshConverged { .. });
                    *told.lock().unwrap() += u32::from(converged);
                })
                .build()
                .unwrap();
            Node {
                tokens,
                sessions,
                clock,
            }
        };
        let nodes = [node(0), node(skew)];
        let elsewhere = is_elsewhere.then(|| {
            let verifier = TokenVerifier::builder()
                .keys(key.verifying_key())
                .issuer("me")
                .audience("api")
                .clock(nodes[0].clock.clone());
            verifier.build().unwrap()
        });
        let open = nodes[0].sessions.open("alice");
        let open = if marks { open.client("client") } else { open };
        let client = open.issue().await.unwrap();
        let look = Rotation::new(session(&client), 1 << 62, "looks", 0);
        let record = store.sessions.rotate(&look).await.unwrap().unwrap();
        Self {
            client_mark: record.client,
            nodes,
            store,
            marks,
            elsewhere,
            given: vec![client.clone()],
            client,
            thief: None,
            before: None,
            set_back: 0,
            told,
            converged: 0,
        }
    }

    pub(super) fn skew(&self) -> u64 {
        let ahead = self.nodes[1].clock.now();
        let ahead = ahead.duration_since(self.nodes[0].clock.now());
        ahead.unwrap().as_secs()
    }

    pub(super) async fn record(&self) -> SessionRecord {
        let look = Rotation::new(session(&self.client), 1 << 62, "looks", 0);
        self.store.sessions.rotate(&look).await.unwrap().unwrap()
    }

    /// The convergence of a lost response has no time limit, because acknowledgements are known to arrive.
    pub(super) async fn is_acknowledged(&self) -> bool {
        self.record().await.acknowledged.is_some()
    }

    pub(super) async fn refresh(
        &mut self,
        token: &str,
        node: usize,
        mark: &str,
    ) -> Result<Refreshed, SessionErrorKind> {
        let sessions = self.nodes[node].sessions.clone();
        let mark = self.marks.then_some(mark);
        let refreshed = match refresh(&sessions, token, mark).await {
            // The clock of this node is behind the last rotation: retry in a moment.
            Err(SessionErrorKind::Unavailable) => {
                self.advance(self.skew() + 2);
                refresh(&sessions, token, mark).await?
            }
            refreshed => refreshed?,
        };
        self.given.push(refreshed.tokens.clone());
        if matches!(refreshed.outcome, RotationOutcome::Converged(_)) {
            self.converged += 1;
            let current = self.record().await.generation;
            assert_eq!(
                generation(&refreshed.tokens),
                current,
                "one live generation"
            );
        }
        Ok(refreshed)
    }

    pub(super) async fn client_refreshes(&mut self, node: usize) -> Result<(), SessionErrorKind> {
        self.remember().await;
        let token = self.client.refresh_token.clone();
        self.client = self.refresh(&token, node, "client").await?.tokens;
        Ok(())
    }

    /// Saves the state of the session, for a store that will lose the next writes. It does not save a state
    /// that is already behind its client, which would then be two generations behind.
    pub(super) async fn remember(&mut self) {
        let now = Some(self.record().await);
        self.before = now.filter(|record| record.generation >= generation(&self.client));
    }

    /// Calls the API with this token, and returns whether it was accepted.
    pub(super) async fn calls(&self, pair: &TokenPair, node: usize) -> bool {
        let own = self.nodes[node].tokens.verifier();
        let verifier = self.elsewhere.as_ref().unwrap_or(&own);
        let good = verifier.verify(&pair.access_token).await.is_ok();
        settle().await;
        good
    }

    pub(super) async fn request(&mut self, node: usize) -> Result<(), SessionErrorKind> {
        if !self.calls(&self.client.clone(), node).await {
            self.client_refreshes(node).await?;
            assert!(self.calls(&self.client.clone(), node).await);
        }
        Ok(())
    }

    /// Returns the pause of the client: any time within the idle timeout or, if it waits for a response in a
    /// session of which nothing was acknowledged, within the time for a lost response.
    pub(super) async fn pass(&mut self, seconds: u64, node: usize) -> Result<(), SessionErrorKind> {
        let record = self.record().await;
        let waits = record.generation > generation(&self.client);
        if waits && !self.is_acknowledged().await {
            let waited = self.since(record.rotated_at) + 1;
            if waited + seconds + self.skew() > LOST_RESPONSE {
                self.advance((LOST_RESPONSE - self.skew()).saturating_sub(waited));
                self.client_refreshes(node).await?;
            }
        }
        let idle_in = (IDLE - 3 - self.skew()).saturating_sub(self.since(record.last_used_at));
        self.advance(seconds.min(idle_in));
        Ok(())
    }

    /// The seconds since then, by the clock that is ahead.
    pub(super) fn since(&self, micros: u64) -> u64 {
        let now = self.nodes[1].clock.now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_micros();
        u64::try_from(now).unwrap().saturating_sub(micros) / 1_000_000
    }

    pub(super) fn advance(&self, seconds: u64) {
        for node in &self.nodes {
            node.clock.advance(Duration::from_secs(seconds));
        }
    }

    /// Returns whether the client may lose one more response: at the fifth in a row the session ends.
    pub(super) async fn may_lose(&self) -> bool {
        self.record().await.lost_responses + 1 < MAX_LOST_RESPONSES
    }
}

pub(super) async fn refresh(
    sessions: &Sessions,
    token: &str,
    mark: Option<&str>,
) -> Result<Refreshed, SessionErrorKind> {
    let verified = sessions.refresh(token).await.map_err(kind)?;
    let verified = match mark {
        Some(mark) => verified.client(mark),
        None => verified,
    };
    verified.issue().await.map_err(kind)
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(super) fn kind(error: tower_jwt_auth::sessions::SessionError) -> SessionErrorKind {
    error.kind().clone()
}

/// Waits for the effects of a request.
pub(super) async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

/// Polls a call this many times, drops it, and waits for its effects.
pub(super) async fn dropped<T>(polls: u32, call: impl Future<Output = T>) {
    {
        let mut call = pin!(call);
        for _ in 0..polls {
            let polled =
                std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
            if polled.await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    settle().await;
}

pub(super) fn claim(token: &str, name: &str) -> serde_json::Value {
    let claims = decode_unverified::<serde_json::Value>(token).unwrap();
    claims.unverified_claims()[name].clone()
}

pub(super) fn generation(pair: &TokenPair) -> u64 {
    claim(&pair.refresh_token, "gen").as_u64().unwrap()
}

pub(super) fn session(pair: &TokenPair) -> String {
    claim(&pair.refresh_token, "sid").as_str().unwrap().into()
}

/// Carries out a step. `Err` means that the client was refused at this point.
pub(super) async fn run(
    world: &mut World,
    step: Step,
    node: usize,
) -> Result<(), SessionErrorKind> {
    match step {
        Step::Refresh { lost: true } if world.may_lose().await => {
            world.remember().await;
            let token = world.client.refresh_token.clone();
            world.refresh(&token, node, "client").await?;
        }
        Step::DroppedRefresh { polls } if world.may_lose().await => {
            world.remember().await;
            let sessions = world.nodes[node].sessions.clone();
            let token = world.client.refresh_token.clone();
            let mark = world.marks.then_some("client");
            let told = *world.told.lock().unwrap();
            dropped(polls, refresh(&sessions, &token, mark)).await;
            world.converged += *world.told.lock().unwrap() - told;
        }
        Step::Refresh { .. } | Step::DroppedRefresh { .. } => {
            world.client_refreshes(node).await?;
        }
        Step::TwoTabs { keep_first, apart } => {
            world.remember().await;
            let token = world.client.refresh_token.clone();
            let first = world.refresh(&token, node, "client").await?.tokens;
            world.calls(&first, node).await;
            // As far apart as the grace allows, minus the difference between the clocks. At one node it is a second
            // less, because a clock that stands still gives each refresh another microsecond.
            let differ = world.skew() + 2;
            let (differ, other) = if differ < GRACE {
                (differ, 1 - node)
            } else {
                (1, node)
            };
            world.advance(apart.min(GRACE - differ));
            let second = world.refresh(&token, other, "client").await?.tokens;
            assert_eq!(first.refresh_token, second.refresh_token);
            world.client = if keep_first { first } else { second };
        }
        Step::Request => world.request(node).await?,
        Step::Pass { seconds } => world.pass(seconds, node).await?,
        Step::ClockBack { seconds } => {
            if world.set_back + seconds + world.skew() <= 25 {
                world.set_back += seconds;
                for node in &world.nodes {
                    let back = node.clock.now() - Duration::from_secs(seconds);
                    node.clock.set(back);
                }
            }
        }
        Step::Rewind => {
            let before = world.before.take();
            // A lost write also loses the time of the last use.
            let is_idle = |last_used_at| world.since(last_used_at) + 60 > IDLE;
            if let Some(record) = before.filter(|record| !is_idle(record.last_used_at)) {
                world.store.sessions.create(&record, None).await.unwrap();
            }
        }
        Step::Steal => world.thief = Some(world.client.clone()),
        Step::ThiefRefreshes => {
            if let Some(thief) = world.thief.clone() {
                let token = thief.refresh_token;
                let theirs = world.record().await.client;
                let refreshed = world.refresh(&token, node, "thief").await?;
                let converged = matches!(refreshed.outcome, RotationOutcome::Converged(_));
                let after_client = theirs == world.client_mark;
                assert!(
                    !(world.marks && converged && after_client),
                    "a mark tells him apart"
                );
                world.thief = Some(refreshed.tokens);
            }
        }
        Step::ThiefRequests => {
            if let Some(thief) = world.thief.clone() {
                world.calls(&thief, node).await;
            }
        }
    }
    Ok(())
}
