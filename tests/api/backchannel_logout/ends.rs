//! What a logout ends, and for how long.

use std::time::Duration;

use serde_json::{Value, json};
use tower_jwt_auth::AuthErrorKind::Revoked;
use tower_jwt_auth::backchannel_logout::BackchannelLogout;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, RevocationStore as _};
use tower_jwt_auth::verifier::{StreamEnd, TokenProfile};
use tower_jwt_auth::{AuthErrorKind, TokenVerifier};

use super::{Node, access_token, access_tokens, logout_token, logout_tokens};
use crate::support::{NOW, signed};

/// An access token of the session, with its own id.
fn of_session(sid: &str, changes: Value) -> String {
    let mut claims = json!({"sid": sid, "jti": format!("access-{sid}")});
    if let (Some(members), Value::Object(changes)) = (claims.as_object_mut(), changes) {
        members.extend(changes);
    }
    access_token(claims)
}

fn with_required_sessions() -> Node<MemoryRevocations> {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = MemoryRevocations::with_clock(clock.clone());
    Node::with(
        store,
        &clock,
        |access| access.require("sid"),
        |logout| logout,
    )
}

#[tokio::test]
async fn a_logout_by_subject_ends_all_earlier_tokens() {
    let node = Node::new();
    assert_eq!(node.log_out(&logout_token(json!({}))).await, 200);
    for (name, token, verdict) in [
        ("older", access_token(json!({})), Err(Revoked)),
        ("of a session", of_session("s1", json!({})), Err(Revoked)),
        (
            "same second",
            access_token(json!({"iat": NOW})),
            Err(Revoked),
        ),
        (
            "a fraction",
            access_token(json!({"iat": NOW as f64 + 0.9})),
            Err(Revoked),
        ),
        ("newer", access_token(json!({"iat": NOW + 1})), Ok(())),
        (
            "of a new session",
            of_session("s2", json!({"iat": NOW + 1})),
            Ok(()),
        ),
        (
            "of another user",
            access_token(json!({"sub": "bob"})),
            Ok(()),
        ),
    ] {
        assert_eq!(node.verdict(&token).await, verdict, "{name}");
    }
}

#[tokio::test]
async fn only_the_session_ends_if_every_token_has_one() {
    let node = with_required_sessions();
    let token = logout_token(json!({"sid": "s1"}));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(
        node.verdict(&of_session("s1", json!({}))).await,
        Err(Revoked)
    );
    // Whenever the token was issued: the session is over.
    let newer = of_session("s1", json!({"iat": NOW + 20}));
    assert_eq!(node.verdict(&newer).await, Err(Revoked));
    assert_eq!(node.verdict(&of_session("s2", json!({}))).await, Ok(()));
    let without = node.verdict(&access_token(json!({}))).await;
    assert_eq!(without, Err(AuthErrorKind::InvalidClaim));
}

#[tokio::test]
async fn with_opaque_tokens_all_tokens_of_the_subject_end() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = MemoryRevocations::with_clock(clock.clone());
    let node = Node::with(
        store,
        &clock,
        |access| access.require("sid"),
        |logout| logout.opaque_tokens(),
    );
    let token = logout_token(json!({"sid": "s1"}));
    assert_eq!(node.log_out(&token).await, 200);
    // The introspection response of an opaque token has no `sid`: the token ends with its subject.
    let other = of_session("s2", json!({}));
    assert_eq!(node.verdict(&other).await, Err(Revoked));
    let later = of_session("s2", json!({"iat": NOW + 1}));
    assert_eq!(node.verdict(&later).await, Ok(()));
}

#[tokio::test]
async fn without_required_sid_all_tokens_of_the_subject_end() {
    let node = Node::new();
    let token = logout_token(json!({"sid": "s1"}));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(
        node.verdict(&of_session("s1", json!({}))).await,
        Err(Revoked)
    );
    assert_eq!(node.verdict(&access_token(json!({}))).await, Err(Revoked));
    // Another device refreshes its token, and goes on.
    assert_eq!(
        node.verdict(&of_session("s2", json!({}))).await,
        Err(Revoked)
    );
    let refreshed = of_session("s2", json!({"iat": NOW + 1}));
    assert_eq!(node.verdict(&refreshed).await, Ok(()));
}

#[tokio::test]
async fn a_logout_without_a_subject_ends_only_the_session() {
    let node = Node::new();
    let token = logout_token(json!({"sub": null, "sid": "s1"}));
    assert_eq!(node.log_out(&token).await, 200);
    assert_eq!(
        node.verdict(&of_session("s1", json!({}))).await,
        Err(Revoked)
    );
    assert_eq!(node.verdict(&of_session("s2", json!({}))).await, Ok(()));
}

#[tokio::test]
async fn the_cut_off_uses_the_clock_of_the_provider() {
    for skew in [-600_i64, -25, 0, 25] {
        let node = Node::new();
        let there = NOW.checked_add_signed(skew).unwrap();
        // Also if the logout token arrives late.
        let token = logout_token(json!({"iat": there}));
        assert_eq!(node.log_out(&token).await, 200, "{skew}");
        let at = |iat: u64| access_token(json!({"iat": iat, "exp": NOW + 2000}));
        assert_eq!(node.verdict(&at(there)).await, Err(Revoked), "{skew}");
        assert_eq!(node.verdict(&at(there + 1)).await, Ok(()), "{skew}");
    }
}

#[tokio::test]
async fn an_entry_outlives_every_token_that_it_covers() {
    // The verifier accepts tokens of one hour, with the largest leeway, and its clock is behind.
    for logout in [json!({}), json!({"sub": null, "sid": "s1"})] {
        let clock = ManualClock::at_unix_seconds(NOW);
        let store = MemoryRevocations::with_clock(clock.clone());
        let leeway = Duration::from_secs(300);
        let node = Node::with(
            store,
            &clock,
            |access| access.leeway(leeway),
            |logout| logout,
        );
        let newest = of_session("s1", json!({"iat": NOW, "exp": NOW + 3600}));
        assert_eq!(node.verdict(&newest).await, Ok(()));
        assert_eq!(node.log_out(&logout_token(logout)).await, 200);
        node.clock.advance(Duration::from_secs(3600 + 299));
        assert_eq!(node.verdict(&newest).await, Err(Revoked));
        node.clock.advance(Duration::from_secs(1));
        assert_eq!(node.verdict(&newest).await, Err(AuthErrorKind::Expired));
        // But not forever.
        node.clock.advance(Duration::from_secs(300));
        let later = of_session("s1", json!({"iat": NOW, "exp": NOW + 9000}));
        let verifier = access_tokens(&clock).max_lifetime(Duration::from_secs(9000));
        let verifier = verifier.revocation(node.store.clone()).build().unwrap();
        assert!(verifier.verify(&later).await.is_ok());
    }
}

#[tokio::test]
async fn a_provider_ends_only_its_own_tokens() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = MemoryRevocations::with_clock(clock.clone());
    let other = "https://other.example";
    let both = |builder: fn(&ManualClock) -> tower_jwt_auth::verifier::TokenVerifierBuilder| {
        let one = builder(&clock);
        let two = builder(&clock).issuer(other);
        [one, two]
    };
    let access = both(access_tokens).map(|one| one.revocation(store.clone()).build().unwrap());
    let access = TokenVerifier::for_issuers(access).unwrap();
    let logout = both(logout_tokens).map(|one| one.build().unwrap());
    let logout = TokenVerifier::for_issuers(logout).unwrap();
    let logout = BackchannelLogout::builder(logout, store).access_tokens(&access);
    let logout = logout.build().unwrap();

    let sid = json!({"iss": other, "sid": "s1"});
    logout.log_out(&logout_token(sid)).await.unwrap();
    assert!(access.verify(&of_session("s1", json!({}))).await.is_ok());
    let theirs = of_session("s1", json!({"iss": other}));
    assert_eq!(access.verify(&theirs).await.unwrap_err().kind(), Revoked);
    // Another issuer may use the same `jti` for another logout token.
    logout.log_out(&logout_token(json!({}))).await.unwrap();
    assert!(access.verify(&of_session("s1", json!({}))).await.is_err());
}

#[tokio::test]
async fn a_stream_ends_when_its_user_logs_out() {
    let node = Node::new();
    let token = node.access.verify(&access_token(json!({}))).await.unwrap();
    let stream = tokio::spawn(token.ended());
    assert_eq!(node.log_out(&logout_token(json!({}))).await, 200);
    assert_eq!(stream.await.unwrap(), StreamEnd::Revoked);
}

#[tokio::test]
async fn a_provider_token_without_an_id_can_be_ended() {
    let node = Node::new();
    for profile_claims in [json!({"jti": null}), json!({"jti": ""})] {
        let with = |changes: Value| {
            let mut claims = profile_claims.clone();
            claims
                .as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            access_token(claims)
        };
        let (token, other) = (with(json!({})), with(json!({"scope": "read"})));
        assert_eq!(node.verdict(&token).await, Ok(()));
        // Only this token, by the digest of its claims.
        let verified = node.access.verify(&token).await.unwrap();
        let revocation = verified.revocation().unwrap();
        node.store.revoke(&[revocation]).await.unwrap();
        assert_eq!(node.verdict(&token).await, Err(Revoked));
        assert_eq!(node.verdict(&other).await, Ok(()));
    }
    assert_eq!(node.log_out(&logout_token(json!({}))).await, 200);
    let other = access_token(json!({"jti": null, "scope": "read"}));
    assert_eq!(node.verdict(&other).await, Err(Revoked));
    // A subject is still required.
    let nobody = access_token(json!({"sub": null}));
    assert_eq!(
        node.verdict(&nobody).await,
        Err(AuthErrorKind::InvalidClaim)
    );
}

#[tokio::test]
async fn tokens_of_the_strict_profile_end_as_well() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = MemoryRevocations::with_clock(clock.clone());
    let strict = |access: tower_jwt_auth::verifier::TokenVerifierBuilder| {
        access.profile(TokenProfile::Rfc9068)
    };
    let node = Node::with(store, &clock, strict, |logout| logout);
    let token = |sid: &str| {
        let claims = json!({
            "iss": super::ISSUER, "aud": "api", "iat": NOW, "exp": NOW + 900, "jti": "j", "sub": "alice",
            "client_id": "c", "sid": sid,
        });
        signed(r#"{"alg":"HS256","typ":"at+jwt"}"#, claims.to_string())
    };
    assert_eq!(node.verdict(&token("s1")).await, Ok(()));
    let logout = logout_token(json!({"sub": null, "sid": "s1"}));
    assert_eq!(node.log_out(&logout).await, 200);
    assert_eq!(node.verdict(&token("s1")).await, Err(Revoked));
    assert_eq!(node.verdict(&token("s2")).await, Ok(()));
}
