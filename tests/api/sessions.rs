use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tower_jwt_auth::clock::{Clock, ManualClock};
use tower_jwt_auth::dangerous::decode_unverified;
use tower_jwt_auth::error::AuthErrorKind;
use tower_jwt_auth::issuer::{IssueError, SessionErrorKind, TokenIssuerBuilder};
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::{
    Converged, Created, EndReason, MemorySessions, Rotation, RotationOutcome, SessionLimit,
    SessionRecord, SessionStore, SessionTarget, WhenFull,
};
use tower_jwt_auth::{AuthError, ConfigError, StoreError, TokenIssuer, TokenPair};

use crate::support::{NOW, builder, tokens as without_sessions};

type Events = Arc<Mutex<Vec<String>>>;

struct Setting {
    tokens: TokenIssuer,
    clock: ManualClock,
    store: MemorySessions,
    events: Events,
}

fn setting(set: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Setting {
    let (builder, clock) = builder();
    let store = MemorySessions::new();
    let events = Events::default();
    let told = Arc::clone(&events);
    let builder = builder
        .sessions(store.clone())
        .revocation(MemoryRevocations::with_clock(clock.clone()))
        .on_event(move |event| told.lock().unwrap().push(event.name().to_owned()));
    Setting {
        tokens: set(builder).build().unwrap(),
        clock,
        store,
        events,
    }
}

impl Setting {
    async fn login(&self) -> TokenPair {
        self.tokens
            .open_session("alice")
            .scopes(["read", "write"])
            .issue()
            .await
            .unwrap()
    }

    async fn rotate(&self, token: &str) -> Result<(RotationOutcome, TokenPair), SessionErrorKind> {
        let rotated = self
            .tokens
            .rotate(token)
            .await
            .map_err(|error| error.kind().clone())?;
        let outcome = rotated.outcome();
        Ok((
            outcome,
            rotated.issue().map_err(|error| error.kind().clone())?,
        ))
    }

    /// A request with this access token, and time for what it sets off.
    async fn request(&self, pair: &TokenPair) -> Result<(), AuthErrorKind> {
        let verdict = self.tokens.verifier().verify(&pair.access_token).await;
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        verdict.map(drop).map_err(|error| error.kind())
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

const ROTATED: RotationOutcome = RotationOutcome::Rotated { rewound: false };
const CONCURRENT: RotationOutcome = RotationOutcome::Converged(Converged::Concurrent);
const LOST: RotationOutcome = RotationOutcome::Converged(Converged::LostResponse);

fn claims(token: &str) -> Value {
    decode_unverified::<Value>(token)
        .unwrap()
        .into_unverified_claims()
}

#[tokio::test]
async fn a_login_opens_a_session_and_each_refresh_moves_it_on() {
    let setting = setting(|builder| builder);
    let login = setting.login().await;
    let (access, refresh) = (claims(&login.access_token), claims(&login.refresh_token));
    assert_eq!(
        (&access["sid"], &access["gen"]),
        (&refresh["sid"], &refresh["gen"])
    );
    assert_eq!(
        (&access["gen"], &access["auth_time"]),
        (&0.into(), &NOW.into())
    );
    assert_eq!(refresh["exp"], NOW + 2_592_000);
    assert!(
        refresh.get("scope").is_none(),
        "a refresh token tells as little as it can"
    );

    setting.pass(3600);
    let (outcome, next) = setting.rotate(&login.refresh_token).await.unwrap();
    assert_eq!(outcome, ROTATED);
    let (access, refresh) = (claims(&next.access_token), claims(&next.refresh_token));
    assert_eq!(
        (&access["gen"], &access["scope"]),
        (&1.into(), &"read write".into())
    );
    assert_eq!(access["auth_time"], NOW, "A03");
    assert_eq!(
        refresh["exp"],
        NOW + 2_592_000,
        "no rotation extends the end"
    );
    assert_eq!(next.refresh_expires_in, 2_592_000 - 3600);
    assert_eq!(setting.request(&next).await, Ok(()));
    assert_eq!(setting.events(), ["session_opened"]);
}

#[tokio::test]
async fn sixty_four_at_once_get_one_refresh_token() {
    let setting = Arc::new(setting(|builder| builder));
    let login = setting.login().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (setting, token) = (Arc::clone(&setting), login.refresh_token.clone());
        calls.spawn(async move { setting.rotate(&token).await.unwrap() });
    }
    let all = calls.join_all().await;
    let rotated = all
        .iter()
        .filter(|(outcome, _)| *outcome == ROTATED)
        .count();
    let converged = all
        .iter()
        .filter(|(outcome, _)| *outcome == CONCURRENT)
        .count();
    assert_eq!((rotated, converged), (1, 63));
    assert!(
        all.iter()
            .all(|(_, pair)| pair.refresh_token == all[0].1.refresh_token)
    );
}

#[tokio::test]
async fn a_lost_answer_is_given_again_until_the_next_token_is_seen() {
    let setting = setting(|builder| builder);
    let login = setting.login().await;
    let (_, lost) = setting.rotate(&login.refresh_token).await.unwrap();
    setting.pass(11);
    let (outcome, again) = setting.rotate(&login.refresh_token).await.unwrap();
    assert_eq!((outcome, &again.refresh_token), (LOST, &lost.refresh_token));
    setting.pass(888);
    assert_eq!(
        setting.rotate(&login.refresh_token).await.unwrap().0,
        LOST,
        "899 s"
    );

    assert_eq!(setting.request(&again).await, Ok(()));
    setting.pass(10);
    assert_eq!(
        setting.rotate(&login.refresh_token).await.unwrap().0,
        CONCURRENT,
        "a second tab"
    );
    setting.pass(1);
    let stolen = setting.rotate(&login.refresh_token).await;
    assert_eq!(stolen.unwrap_err(), SessionErrorKind::ReuseDetected);
}

#[tokio::test]
async fn after_one_access_lifetime_an_unseen_token_is_reuse_too() {
    let setting = setting(|builder| builder);
    let login = setting.login().await;
    setting.rotate(&login.refresh_token).await.unwrap();
    setting.pass(901);
    let late = setting.rotate(&login.refresh_token).await.unwrap_err();
    assert_eq!(late, SessionErrorKind::ReuseDetected);
}

#[tokio::test]
async fn reuse_ends_this_session_with_its_access_tokens_and_no_other() {
    // S03, V10.4.5
    let setting = setting(|builder| builder);
    let (victim, other) = (setting.login().await, setting.login().await);
    let (_, second) = setting.rotate(&victim.refresh_token).await.unwrap();
    let (_, third) = setting.rotate(&second.refresh_token).await.unwrap();
    setting.events();

    let reuse = setting.rotate(&victim.refresh_token).await.unwrap_err();
    assert_eq!(reuse, SessionErrorKind::ReuseDetected);
    assert_eq!(setting.events(), ["refresh_reuse_detected"]);
    for token in [
        &victim.refresh_token,
        &second.refresh_token,
        &third.refresh_token,
    ] {
        let ended = SessionErrorKind::Ended(EndReason::ReuseDetected);
        assert_eq!(setting.rotate(token).await.unwrap_err(), ended);
    }
    for pair in [&victim, &second, &third] {
        assert_eq!(setting.request(pair).await, Err(AuthErrorKind::Revoked));
    }
    assert_eq!(setting.request(&other).await, Ok(()));
    assert_eq!(
        setting.rotate(&other.refresh_token).await.unwrap().0,
        ROTATED
    );
}

#[tokio::test]
async fn idle_and_absolute_ends_hold() {
    // V7.3.1, V7.3.2, S06
    let setting = setting(|builder| builder);
    let idle = setting.login().await;
    setting.pass(1_296_000);
    assert_eq!(
        setting.rotate(&idle.refresh_token).await.unwrap_err(),
        SessionErrorKind::Idle
    );

    let mut current = setting.login().await;
    for _ in 0..3 {
        setting.pass(800_000);
        current = setting.rotate(&current.refresh_token).await.unwrap().1;
    }
    setting.pass(192_000 - 100);
    let last = setting.rotate(&current.refresh_token).await.unwrap().1;
    assert_eq!(
        (last.expires_in, last.refresh_expires_in),
        (100, 100),
        "none outlives its session"
    );
    setting.pass(100 + 31);
    let token = SessionErrorKind::InvalidToken(AuthErrorKind::Expired);
    assert_eq!(
        setting.rotate(&last.refresh_token).await.unwrap_err(),
        token
    );
}

#[tokio::test]
async fn claims_and_scopes_are_carried_recomputed_and_narrowed_and_never_widened() {
    // S05
    let setting = setting(|builder| builder);
    let request = setting
        .tokens
        .open_session("alice")
        .scopes(["read", "write"]);
    let login = request
        .claim("role", "admin")
        .label("laptop")
        .issue()
        .await
        .unwrap();

    let rotated = setting.tokens.rotate(&login.refresh_token).await.unwrap();
    assert_eq!(rotated.session().label.as_deref(), Some("laptop"));
    assert_eq!(rotated.custom_claims()["role"], "admin");
    assert_eq!(rotated.scopes(), ["read", "write"]);
    let pair = rotated
        .claims(serde_json::json!({"role": "user"}))
        .narrow(["read"])
        .issue()
        .unwrap();
    let access = claims(&pair.access_token);
    assert_eq!(
        (&access["role"], &access["scope"]),
        (&"user".into(), &"read".into())
    );

    let rotated = setting.tokens.rotate(&pair.refresh_token).await.unwrap();
    assert_eq!(
        rotated.scopes(),
        ["read", "write"],
        "the session itself keeps its scopes"
    );
    let wider = rotated.narrow(["read", "admin"]).issue().unwrap_err();
    assert_eq!(wider.kind(), &SessionErrorKind::InvalidScope);
    assert_eq!(
        (wider.status().as_u16(), wider.code()),
        (400, "invalid_scope")
    );

    let rotated = setting.tokens.rotate(&pair.refresh_token).await.unwrap();
    let reserved = rotated
        .claims(serde_json::json!({"sub": "bob"}))
        .issue()
        .unwrap_err();
    let kind = SessionErrorKind::Issue(IssueError::ReservedClaim("sub".into()));
    assert_eq!(reserved.kind(), &kind);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_others_all() {
    // V7.4.3, V7.5.2
    let setting = setting(|builder| builder);
    let mut pairs = Vec::new();
    for label in ["a", "b", "c", "d"] {
        setting.pass(1);
        let request = setting.tokens.open_session("alice").label(label);
        pairs.push(request.issue().await.unwrap());
    }
    let bob = setting.tokens.open_session("bob").issue().await.unwrap();
    let labels = async || {
        let sessions = setting.tokens.sessions("alice").await.unwrap();
        sessions
            .into_iter()
            .filter_map(|session| session.label)
            .collect::<Vec<_>>()
    };
    assert_eq!(labels().await, ["d", "c", "b", "a"]);
    let sid = |pair: &TokenPair| {
        claims(&pair.access_token)["sid"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    assert!(
        !setting
            .tokens
            .end_session_of("bob", &sid(&pairs[0]))
            .await
            .unwrap()
    );
    assert!(
        setting
            .tokens
            .end_session_of("alice", &sid(&pairs[0]))
            .await
            .unwrap()
    );
    assert!(
        !setting
            .tokens
            .end_session_of("alice", &sid(&pairs[0]))
            .await
            .unwrap()
    );
    assert_eq!(labels().await, ["d", "c", "b"]);
    assert_eq!(
        setting.request(&pairs[0]).await,
        Err(AuthErrorKind::Revoked)
    );

    assert_eq!(
        setting
            .tokens
            .end_other_sessions("alice", &sid(&pairs[3]))
            .await
            .unwrap(),
        2
    );
    assert_eq!(labels().await, ["d"]);
    assert_eq!(
        setting.request(&pairs[1]).await,
        Err(AuthErrorKind::Revoked)
    );
    assert_eq!(setting.request(&pairs[3]).await, Ok(()));

    setting.tokens.revoke_subject("alice").await.unwrap(); // S07
    assert!(labels().await.is_empty());
    assert_eq!(
        setting.request(&pairs[3]).await,
        Err(AuthErrorKind::Revoked)
    );
    let ended = SessionErrorKind::Ended(EndReason::Revoked);
    assert_eq!(
        setting.rotate(&pairs[3].refresh_token).await.unwrap_err(),
        ended
    );
    assert_eq!(setting.request(&bob).await, Ok(()));
    assert_eq!(
        setting.request(&setting.login().await).await,
        Ok(()),
        "in the same second"
    );
}

#[tokio::test]
async fn a_label_is_what_any_store_can_keep() {
    let setting = setting(|builder| builder);
    let label = format!("a\0b\r\n{}", "\u{1f600}".repeat(500));
    setting
        .tokens
        .open_session("alice")
        .label(label)
        .issue()
        .await
        .unwrap();
    let kept = setting
        .tokens
        .sessions("alice")
        .await
        .unwrap()
        .remove(0)
        .label
        .unwrap();
    assert!(kept.starts_with("ab\u{1f600}"), "{kept}");
    assert_eq!(kept.chars().count(), 200);
}

#[tokio::test]
async fn a_clock_that_was_set_back_logs_nobody_out() {
    let setting = setting(|builder| builder);
    let mut pair = setting.login().await;
    for _ in 0..4 {
        setting
            .clock
            .set(setting.clock.now() - Duration::from_secs(5));
        pair = setting.rotate(&pair.refresh_token).await.unwrap().1;
        assert_eq!(setting.request(&pair).await, Ok(()));
    }
}

#[tokio::test]
async fn a_limit_ends_the_oldest_or_refuses_the_newest() {
    let oldest = setting(|builder| builder.session_limit(2, WhenFull::EndOldest));
    let mut pairs = Vec::new();
    for _ in 0..3 {
        oldest.pass(1);
        pairs.push(oldest.login().await);
    }
    assert_eq!(oldest.tokens.sessions("alice").await.unwrap().len(), 2);
    assert_eq!(oldest.request(&pairs[0]).await, Err(AuthErrorKind::Revoked));
    assert_eq!(oldest.request(&pairs[1]).await, Ok(()));

    let refuse = setting(|builder| builder.session_limit(2, WhenFull::Refuse));
    refuse.login().await;
    let second = refuse.login().await;
    let full = refuse
        .tokens
        .open_session("alice")
        .issue()
        .await
        .unwrap_err();
    assert_eq!(full.kind(), &SessionErrorKind::TooManySessions);
    let sid = claims(&second.access_token)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    refuse.tokens.revoke_session(&sid).await.unwrap();
    assert!(refuse.tokens.open_session("alice").issue().await.is_ok());

    let none = builder()
        .0
        .session_limit(0, WhenFull::Refuse)
        .build()
        .unwrap_err();
    assert_eq!(none, ConfigError::NoSessionsAllowed);
    let grace = builder()
        .0
        .rotation_grace(Duration::from_secs(61))
        .build()
        .unwrap_err();
    assert_eq!(grace, ConfigError::RotationGraceTooLong);
}

#[tokio::test]
async fn clean_up_is_bounded_and_takes_only_what_is_over() {
    let setting = setting(|builder| builder);
    for _ in 0..10 {
        setting.login().await;
    }
    setting.pass(1_296_000 + 901);
    let live = setting.login().await;
    assert_eq!(setting.tokens.clean_up_sessions(4).await.unwrap(), 4);
    assert_eq!(setting.tokens.clean_up_sessions(100).await.unwrap(), 6);
    assert_eq!(setting.tokens.clean_up_sessions(100).await.unwrap(), 0);
    assert_eq!(setting.store.len(), 1);
    assert_eq!(
        setting.rotate(&live.refresh_token).await.unwrap().0,
        ROTATED
    );
}

/// Counts, and can be down.
#[derive(Debug, Clone, Default)]
struct Watched {
    inner: MemorySessions,
    rotations: Arc<Mutex<u32>>,
    acknowledgements: Arc<Mutex<u32>>,
    down: Arc<Mutex<bool>>,
}

impl Watched {
    fn check(&self) -> Result<(), StoreError> {
        if *self.down.lock().unwrap() {
            Err(StoreError::new("down"))
        } else {
            Ok(())
        }
    }
}

impl SessionStore for Watched {
    async fn create(
        &self,
        session: &SessionRecord,
        limit: Option<SessionLimit>,
    ) -> Result<Created, StoreError> {
        self.check()?;
        self.inner.create(session, limit).await
    }
    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionRecord>, StoreError> {
        *self.rotations.lock().unwrap() += 1;
        self.check()?;
        self.inner.rotate(rotation).await
    }
    async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
        *self.acknowledgements.lock().unwrap() += 1;
        self.check()?;
        self.inner.acknowledge(session, generation).await
    }
    async fn list(&self, subject: &str, now: u64) -> Result<Vec<SessionRecord>, StoreError> {
        self.check()?;
        self.inner.list(subject, now).await
    }
    async fn end(
        &self,
        target: SessionTarget<'_>,
        reason: EndReason,
        now: u64,
    ) -> Result<Vec<String>, StoreError> {
        self.check()?;
        self.inner.end(target, reason, now).await
    }
    async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.inner.clean_up(before, limit).await
    }
}

#[tokio::test]
async fn a_bad_refresh_token_is_an_invalid_grant_and_touches_no_store() {
    let store = Watched::default();
    let (builder, clock) = builder();
    let tokens = builder.sessions(store.clone()).build().unwrap();
    let login = tokens.open_session("alice").issue().await.unwrap();
    let stranger = crate::support::builder().0.issuer("other").build().unwrap();
    let cut = &login.refresh_token[..login.refresh_token.len() - 3];
    for bad in [
        "",
        "garbage",
        "' OR 1=1; --",
        cut,
        &login.access_token,
        &stranger.refresh("alice").session("s").issue().unwrap(),
        &without_sessions().refresh("alice").issue().unwrap(), // no session in it
        &"x".repeat(100_000),
    ] {
        let error = tokens.rotate(bad).await.unwrap_err();
        assert!(
            matches!(error.kind(), SessionErrorKind::InvalidToken(_)),
            "{error:?}"
        );
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (400, "invalid_grant")
        );
    }
    assert_eq!(*store.rotations.lock().unwrap(), 0);
    clock.advance(Duration::from_secs(2_592_000 + 30));
    assert!(tokens.rotate(&login.refresh_token).await.is_err());
    assert_eq!(*store.rotations.lock().unwrap(), 0);

    let unknown = crate::support::builder()
        .0
        .sessions(Watched::default())
        .build()
        .unwrap();
    let error = unknown.rotate(&login.refresh_token).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (&SessionErrorKind::UnknownSession, "invalid_grant")
    );
}

#[tokio::test]
async fn an_outage_is_a_503_and_the_same_token_is_good_afterwards() {
    let store = Watched::default();
    let tokens = builder().0.sessions(store.clone()).build().unwrap();
    let login = tokens.open_session("alice").issue().await.unwrap();
    *store.down.lock().unwrap() = true;
    let error = tokens.rotate(&login.refresh_token).await.unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (503, "temporarily_unavailable")
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(
        tokens
            .open_session("alice")
            .issue()
            .await
            .unwrap_err()
            .status()
            .as_u16(),
        503
    );
    assert_eq!(
        tokens
            .sessions("alice")
            .await
            .unwrap_err()
            .status()
            .as_u16(),
        503
    );
    let ending: AuthError = tokens.revoke_subject("alice").await.unwrap_err();
    assert_eq!(ending.kind(), AuthErrorKind::Unavailable);
    *store.down.lock().unwrap() = false;
    assert_eq!(
        tokens.rotate(&login.refresh_token).await.unwrap().outcome(),
        ROTATED
    );
}

/// A revocation store that can be down.
#[derive(Debug, Clone)]
struct Revocations(MemoryRevocations, Arc<Mutex<bool>>);

impl RevocationStore for Revocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        if *self.1.lock().unwrap() {
            return Err(StoreError::new("down"));
        }
        self.0.revoke(revocation).await
    }
    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        self.0.is_revoked(query).await
    }
}

#[tokio::test]
async fn ending_a_session_can_be_asked_for_again_after_an_outage() {
    let (builder, clock) = builder();
    let down = Arc::new(Mutex::new(false));
    let record = Revocations(MemoryRevocations::with_clock(clock), Arc::clone(&down));
    let tokens = builder
        .sessions(MemorySessions::new())
        .revocation(record)
        .build()
        .unwrap();
    let open = async || tokens.open_session("alice").issue().await.unwrap();
    let (one, two, three) = (open().await, open().await, open().await);
    let sid = |pair: &TokenPair| {
        claims(&pair.access_token)["sid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let refused =
        async |pair: &TokenPair| tokens.verifier().verify(&pair.access_token).await.is_err();

    *down.lock().unwrap() = true;
    // What cannot be a session id is nobody's, and no store is asked.
    let padded = format!("{}=", &sid(&one)[..21]);
    for odd in ["", "\0", "' OR 1=1 --", &"x".repeat(10_000), &padded] {
        assert!(!tokens.end_session_of("alice", odd).await.unwrap(), "{odd}");
    }
    assert!(tokens.end_session_of("alice", &sid(&one)).await.is_err());
    assert!(
        tokens
            .end_other_sessions("alice", &sid(&three))
            .await
            .is_err()
    );
    assert!(tokens.revoke_subject("alice").await.is_err());
    *down.lock().unwrap() = false;
    tokens.revoke_subject("alice").await.unwrap();
    assert!(refused(&one).await && refused(&two).await && refused(&three).await);

    let (one, two) = (open().await, open().await);
    *down.lock().unwrap() = true;
    assert!(tokens.end_session_of("alice", &sid(&one)).await.is_err());
    *down.lock().unwrap() = false;
    assert!(
        tokens.end_session_of("alice", &sid(&one)).await.unwrap(),
        "it was not half done"
    );
    assert!(refused(&one).await && !refused(&two).await);
}

#[tokio::test]
async fn acknowledging_is_one_write_per_generation_and_never_awaited() {
    let store = Watched::default();
    let tokens = builder().0.sessions(store.clone()).build().unwrap();
    let written = async || {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        *store.acknowledgements.lock().unwrap()
    };
    let mut pair = tokens.open_session("alice").issue().await.unwrap();
    for generation in 1..=5 {
        for _ in 0..100 {
            tokens.verifier().verify(&pair.access_token).await.unwrap();
        }
        assert_eq!(written().await, generation);
        pair = tokens
            .rotate(&pair.refresh_token)
            .await
            .unwrap()
            .issue()
            .unwrap();
    }
    *store.down.lock().unwrap() = true;
    tokens.verifier().verify(&pair.access_token).await.unwrap();
    assert_eq!(written().await, 6, "a failure is nobody's request");
    *store.down.lock().unwrap() = false;
    tokens.verifier().verify(&pair.access_token).await.unwrap();
    assert_eq!(written().await, 7, "and is tried again");
}

#[tokio::test]
async fn without_a_store_the_error_names_the_cure() {
    let error = without_sessions()
        .open_session("alice")
        .issue()
        .await
        .unwrap_err();
    assert_eq!(error.status().as_u16(), 500);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(".sessions(store)"), "{source}");
}

#[tokio::test]
async fn a_store_that_went_back_in_time_logs_nobody_out_for_one_lost_write() {
    let setting = setting(|builder| builder);
    let login = setting.login().await;
    let (_, second) = setting.rotate(&login.refresh_token).await.unwrap();
    let (_, third) = setting.rotate(&second.refresh_token).await.unwrap();
    let sid = claims(&login.access_token)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let restore = async |generation: u64| {
        let mut record = setting.store.list("alice", 0).await.unwrap().remove(0);
        record.generation = generation;
        record.token_id = "restored".into();
        setting.store.create(&record, None).await.unwrap();
    };
    restore(1).await;
    setting.events();
    let (outcome, next) = setting.rotate(&third.refresh_token).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Rotated { rewound: true });
    assert_eq!(setting.events(), ["refresh_store_rewound"]);
    assert_eq!(claims(&next.access_token)["gen"], 3);

    restore(0).await;
    let rejected = setting.rotate(&next.refresh_token).await.unwrap_err();
    assert_eq!(rejected, SessionErrorKind::StoreRewound);
    assert_eq!(setting.events(), ["refresh_store_rewound"]);
    let record = setting.store.list("alice", 0).await.unwrap().remove(0);
    assert_eq!(
        (record.id, record.ended_at),
        (sid, None),
        "the family is not ended for it"
    );
}
