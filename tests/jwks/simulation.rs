//! Random schedules of rotations, withdrawals, outages, slow responses, malformed documents and floods, on a
//! virtual clock. After each request, the rules are compared with what the provider has served.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::verifier::{IssuerPattern, IssuerResolver};
use tower_jwt_auth::{AuthError, SigningKey, TokenVerifier};

use crate::provider::{
    Fetch, ISSUER, KEYRING, Mode, Provider, bogus, token_of, verdict, verifier_builder,
};

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// A token of this key.
    Ask(usize),
    /// Several at once.
    AskMany(usize, usize),
    /// A token with a key id that does not exist.
    AskBogus(u8),
    /// Forged tokens with the id of a key that the provider may have.
    AskForged(u8, usize),
    /// A token signed with the secret that the issuer used before it published keys.
    AskLegacy,
    /// From now on, these keys are published.
    Publish(Vec<usize>),
    Answer(Mode),
    Caching(Option<&'static str>),
    Slow(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![
        6 => Just(Mode::Good),
        1 => Just(Mode::Refuse),
        1 => Just(Mode::Hang),
        1 => Just(Mode::Status(500)),
        1 => Just(Mode::Redirect),
        1 => Just(Mode::Garbage),
        1 => Just(Mode::Huge),
        1 => Just(Mode::NoKeys),
        1 => Just(Mode::TooManyKeys),
        1 => Just(Mode::OtherIssuer),
        1 => Just(Mode::KeysElsewhere),
    ];
    let caching = prop_oneof![
        Just(None),
        Just(Some("max-age=0")),
        Just(Some("no-store")),
        Just(Some("max-age=60")),
        Just(Some("max-age=3600")),
        Just(Some("max-age=999999999999999999999")),
        Just(Some("max-age=x")),
    ];
    let wait = prop_oneof![4 => 0..40_u64, 2 => 40..700_u64, 1 => 700..9000_u64];
    let step = prop_oneof![
        5 => wait.prop_map(Step::Wait),
        6 => (0..6_usize).prop_map(Step::Ask),
        2 => (0..6_usize, 2..30_usize).prop_map(|(key, count)| Step::AskMany(key, count)),
        2 => (0..3_u8).prop_map(Step::AskBogus),
        2 => (0..4_u8, 1..10_usize).prop_map(|(key, count)| Step::AskForged(key, count)),
        1 => Just(Step::AskLegacy),
        2 => prop::collection::vec(0..6_usize, 1..4).prop_map(publication),
        2 => mode.prop_map(Step::Answer),
        1 => caching.prop_map(Step::Caching),
        1 => (0..2000_u64).prop_map(Step::Slow),
    ];
    prop::collection::vec(step, 1..60)
}

/// Two keys with one id cannot be used, so a document contains at most one of them.
fn publication(mut keys: Vec<usize>) -> Step {
    let has_namesake = |key: &usize| keys.contains(&namesake(*key));
    if keys.iter().all(has_namesake) {
        keys.retain(|key| *key < 4);
    }
    Step::Publish(keys)
}

/// Returns the key that has the same id, if there is one.
fn namesake(key: usize) -> usize {
    if key < 4 { key + 4 } else { key - 4 }
}

/// How the verifier knows the issuer and its keys. The rules are the same in all cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One issuer, one source of keys.
    Plain,
    /// A shared secret in addition to the keys.
    Several,
    /// An issuer that matches a pattern.
    Pattern,
    /// An issuer that a resolver finds.
    Resolved,
}

impl Shape {
    fn verifier(self, keys: &RemoteJwks) -> TokenVerifier {
        let builder = verifier_builder(keys);
        match self {
            Self::Plain => builder.issuer(ISSUER).build().unwrap(),
            Self::Several => {
                let builder = builder.additional_keys(legacy().verifying_key());
                builder.issuer(ISSUER).build().unwrap()
            }
            Self::Pattern => {
                let pattern = IssuerPattern::new("https://idp.{tld}").one_of("example");
                builder
                    .issuers([""; 0])
                    .issuer_pattern(pattern)
                    .build()
                    .unwrap()
            }
            Self::Resolved => {
                let found = Found(builder.issuer(ISSUER).build().unwrap());
                TokenVerifier::resolver_builder(found).build().unwrap()
            }
        }
    }
}

/// A resolver that knows one issuer.
#[derive(Debug)]
struct Found(TokenVerifier);

impl IssuerResolver for Found {
    async fn resolve(
        &self,
        issuer: &str,
        _: Option<TokenVerifier>,
    ) -> Result<Option<TokenVerifier>, AuthError> {
        Ok((issuer == ISSUER).then(|| self.0.clone()))
    }
}

fn legacy() -> SigningKey {
    SigningKey::hs256(*b"3c91d7e05f8a42b6c1d9e7f04a5b8c2d").unwrap()
}

/// The current behavior of the provider, and since when.
struct World {
    provider: Provider,
    verifier: TokenVerifier,
    shape: Shape,
    /// Whether metadata must be read first.
    discovers: bool,
    /// Since when it responds correctly.
    healthy_since: Option<Instant>,
    /// Since when each key is published, and no other with its id.
    published_since: [Option<Instant>; 6],
}

impl World {
    fn new(discovers: bool, shape: Shape) -> Self {
        let provider = Provider::new(&[0]);
        let keys = if discovers {
            provider.discovered()
        } else {
            provider.keys()
        };
        let now = Instant::now();
        Self {
            verifier: shape.verifier(&keys),
            shape,
            provider,
            discovers,
            healthy_since: Some(now),
            published_since: [Some(now), None, None, None, None, None],
        }
    }

    async fn step(&mut self, step: Step) {
        let now = Instant::now();
        match step {
            Step::Wait(seconds) => sleep(Duration::from_secs(seconds)).await,
            Step::Ask(key) => self.ask(key).await,
            Step::AskMany(key, count) => {
                let before = self.provider.fetches();
                join_all((0..count).map(|_| self.ask(key))).await;
                assert!(self.provider.fetches() <= before + 1, "one fetch for all");
            }
            Step::AskBogus(number) => {
                let token = bogus(&format!("nobody-{number}"));
                let verdict = verdict(&self.verifier, &token).await;
                assert!(verdict == "401" || verdict == "503", "{verdict}");
                assert!(now.elapsed() <= Duration::from_secs(5));
                self.check_refusal(&verdict);
            }
            Step::AskForged(number, count) => {
                let token = bogus(&format!("key-{number}"));
                let before = self.provider.fetches();
                let verdicts = (0..count).map(|_| verdict(&self.verifier, &token));
                for verdict in join_all(verdicts).await {
                    assert!(verdict == "401" || verdict == "503", "{verdict}");
                    self.check_refusal(&verdict);
                }
                assert!(now.elapsed() <= Duration::from_secs(5));
                assert!(self.provider.fetches() <= before + 1, "one fetch for all");
            }
            Step::AskLegacy => {
                let expected = if self.shape == Shape::Several {
                    "ok"
                } else {
                    "401"
                };
                let verdict = verdict(&self.verifier, &token_of(legacy())).await;
                // If the secret is not trusted, the fetched keys can never be for it.
                assert!(
                    verdict == expected || (expected == "401" && verdict == "503"),
                    "{verdict}"
                );
                if self.shape == Shape::Several {
                    assert_eq!(Instant::now(), now, "a known key waits for nothing");
                }
            }
            Step::Publish(keys) => {
                self.provider.publish(&keys);
                for (key, since) in self.published_since.iter_mut().enumerate() {
                    let counts = keys.contains(&key) && !keys.contains(&namesake(key));
                    *since = counts.then(|| since.unwrap_or(now));
                }
            }
            Step::Answer(mode) => {
                self.provider.state().mode = mode;
                let metadata = matches!(mode, Mode::OtherIssuer | Mode::KeysElsewhere);
                let good = mode == Mode::Good || (metadata && !self.discovers);
                self.healthy_since = good.then(|| self.healthy_since.unwrap_or(now));
            }
            Step::Caching(value) => {
                self.provider.state().cache_control = value.map(str::to_owned);
            }
            Step::Slow(millis) => self.provider.state().delay = Duration::from_millis(millis),
        }
    }

    async fn ask(&self, key: usize) {
        let start = Instant::now();
        let known_before = self.is_known(key, start);
        let verdict = verdict(&self.verifier, &KEYRING[key].token).await;
        let now = Instant::now();
        if known_before {
            assert_eq!(verdict, "ok", "key {key} is known");
            assert_eq!(now, start, "a known key waits for nothing");
        }
        assert!(
            now - start <= Duration::from_secs(5),
            "no request waits for longer"
        );
        if verdict == "ok" {
            assert!(
                self.is_known(key, now),
                "key {key} is in no set that counts"
            );
            return;
        }
        self.check_refusal(&verdict);
        let since =
            |since: Option<Instant>| since.is_some_and(|at| start - at >= Duration::from_secs(95));
        assert!(
            !(since(self.published_since[key]) && since(self.healthy_since)),
            "key {key} is published and the provider well, for long enough: {verdict}"
        );
    }

    /// Checks that a token is refused because of its key only if the provider was just asked, and responded.
    fn check_refusal(&self, verdict: &str) {
        let state = self.provider.state();
        let last = state.fetches.last();
        let failing = last.is_some_and(|fetch| fetch.served.is_none());
        assert!(verdict != "401" || !failing, "an outage is never a 401");
    }

    /// The last good response. The key ids of later responses do not count.
    fn last_good(&self) -> Option<Fetch> {
        let state = self.provider.state();
        let good = |fetch: &&Fetch| fetch.served.is_some();
        state.fetches.iter().rev().find(good).cloned()
    }

    fn is_known(&self, key: usize, now: Instant) -> bool {
        let Some(good) = self.last_good() else {
            return false;
        };
        let ttl = Duration::from_secs(match good.cache_control.as_deref() {
            None | Some("max-age=x") => 600,
            Some("max-age=0" | "no-store" | "max-age=60") => 60,
            Some("max-age=3600") => 3600,
            Some("max-age=999999999999999999999") => 86_400,
            Some(other) => unreachable!("{other}"),
        });
        let until = good.ended.unwrap() + ttl + Duration::from_secs(3600);
        let (jwk, served) = (KEYRING[key].jwk(), good.served.unwrap());
        let mut namesakes = served.iter().filter(|other| other["kid"] == jwk["kid"]);
        now < until && served.contains(&jwk) && namesakes.all(|other| *other == jwk)
    }

    /// Checks that fetches follow the rules, whatever was requested.
    fn check_fetches(&self) {
        let state = self.provider.state();
        // The metadata is fetched first, in the same attempt.
        let slack = if self.discovers {
            Duration::from_secs(2)
        } else {
            Duration::ZERO
        };
        for pair in state.fetches.windows(2) {
            let gap = pair[1].began - pair[0].began;
            if pair[0].served.is_some() {
                assert!(
                    gap + slack >= Duration::from_secs(30),
                    "{gap:?} after a good answer"
                );
            } else {
                assert!(gap >= Duration::from_millis(100), "{gap:?} after a failure");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_rules_hold_whatever_the_provider_and_the_clients_do(
        discovers in any::<bool>(),
        shape in prop::sample::select(vec![
            Shape::Plain, Shape::Several, Shape::Pattern, Shape::Resolved,
        ]),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(discovers, shape);
            for step in steps {
                world.step(step).await;
            }
            world.check_fetches();
        });
    }
}
