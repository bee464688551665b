//! Credentials other than JWTs: which verifier receives which, and what its verdict leads to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Request};
use serde::Deserialize;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::api_keys::{ApiKeys, MemoryApiKeys};
use tower_jwt_auth::credential::{CredentialClaims, CredentialVerifier};
use tower_jwt_auth::layer::TokenSource;
use tower_jwt_auth::verifier::{CredentialKind, StreamEnd};
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer, Require, VerifiedToken};

use crate::support::{NOW, Seen, bearer, probe, request, send, tokens, verifier};

const INVALID: &str = r#"401 Bearer realm="api", error="invalid_token""#;
const TWO: &str = r#"400 Bearer realm="api", error="invalid_request""#;

/// Accepts credentials with a prefix; the text after it is the verdict. Counts how often it is called.
#[derive(Debug, Clone)]
struct Prefix {
    prefix: &'static str,
    asked: Arc<AtomicUsize>,
    /// Whether the verdict is known without waiting.
    at_once: bool,
}

impl Prefix {
    fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            asked: Arc::default(),
            at_once: false,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn verdict(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match credential.strip_prefix(self.prefix) {
            Some("down") => Err(AuthErrorKind::Unavailable.into()),
            Some("old") => CredentialClaims::builder("old")
                .expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
                .build(),
            Some("broken") => CredentialClaims::builder("broken").scope("\"").build(),
            Some(name @ ("ci" | "eve")) => CredentialClaims::builder(name)
                .issuer("keys")
                .id("key-1")
                .scopes(["orders:read", "orders:write"])
                .role("robot")
                .claim("tenant", 4711)
                .build(),
            _ => Err(AuthErrorKind::InvalidCredential.into()),
        }
    }
}

impl CredentialVerifier for Prefix {
    fn handles(&self, credential: &str) -> bool {
        credential.starts_with(self.prefix)
    }

    async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        self.verdict(credential)
    }

    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        self.at_once.then(|| self.verdict(credential))
    }
}

async fn verdict(layer: &JwtAuthLayer, request: Request<String>) -> String {
    let seen = send(layer, request).await;
    if seen.status == 200 {
        seen.body
    } else {
        seen.verdict()
    }
}

#[tokio::test]
async fn a_credential_goes_only_to_the_verifier_of_its_form() {
    for at_once in [false, true] {
        let (mut keys, mut tickets) = (Prefix::new("key_"), Prefix::new("ticket_"));
        (keys.at_once, tickets.at_once) = (at_once, at_once);
        let layer = JwtAuthLayer::new(verifier())
            .credentials(keys.clone())
            .credentials(tickets.clone());
        let jwt = tokens().access("alice").issue().unwrap();
        for (credential, expected) in [
            (&*jwt, "alice"),
            ("key_ci", "ci"),
            ("ticket_eve", "eve"),
            ("key_nobody", INVALID),
            ("key_old", INVALID),
            ("key_down", "503"),
            ("key_broken", "500"),
            ("opaque", INVALID),
            ("Key_ci", INVALID),
        ] {
            assert_eq!(
                verdict(&layer, bearer(credential)).await,
                expected,
                "{credential}"
            );
        }
        assert_eq!((keys.asked(), tickets.asked()), (5, 1));
    }
}

#[tokio::test]
async fn of_two_verifiers_of_one_form_the_first_decides() {
    let (first, second) = (Prefix::new("key_"), Prefix::new("key_"));
    let layer = JwtAuthLayer::new(verifier())
        .credentials(first.clone())
        .credentials(second.clone());
    assert_eq!(verdict(&layer, bearer("key_nobody")).await, INVALID);
    assert_eq!((first.asked(), second.asked()), (1, 0));
}

#[tokio::test]
async fn a_source_belongs_to_its_verifier_whatever_the_form() {
    let keys = Prefix::new("key_");
    let layer = JwtAuthLayer::new(verifier())
        .token_source(TokenSource::header("X-Token").unwrap())
        .credentials_in(TokenSource::header("X-Api-Key").unwrap(), keys.clone());
    let jwt = tokens().access("alice").issue().unwrap();
    let api_key = |value: &str| request(&[("x-api-key", value)]);
    assert_eq!(verdict(&layer, api_key("key_ci")).await, "ci");
    assert_eq!(verdict(&layer, api_key(&jwt)).await, INVALID);
    assert_eq!(verdict(&layer, api_key("garbage")).await, INVALID);
    assert_eq!(keys.asked(), 3);
    // In other places, only JWTs are accepted.
    assert_eq!(verdict(&layer, bearer("key_ci")).await, INVALID);
    let other_header = request(&[("x-token", "key_ci")]);
    assert_eq!(verdict(&layer, other_header).await, INVALID);
    assert_eq!(
        verdict(&layer, request(&[("x-token", &jwt)])).await,
        "alice"
    );
    assert_eq!(keys.asked(), 3);
    let no_credential = verdict(&layer, request(&[])).await;
    assert_eq!(no_credential, r#"401 Bearer realm="api""#);
}

#[tokio::test]
async fn two_credentials_of_different_kinds_are_refused() {
    let keys = Prefix::new("key_");
    let layer = JwtAuthLayer::new(verifier())
        .credentials_in(TokenSource::header("X-Api-Key").unwrap(), keys.clone())
        .optional();
    let jwt = format!("Bearer {}", tokens().access("alice").issue().unwrap());
    for pair in [
        [("authorization", &*jwt), ("x-api-key", "key_ci")],
        [("authorization", "Bearer bad"), ("x-api-key", "key_ci")],
        [("authorization", &jwt), ("x-api-key", "garbage")],
        [("x-api-key", "key_ci"), ("x-api-key", "key_ci")],
    ] {
        assert_eq!(verdict(&layer, request(&pair)).await, TWO, "{pair:?}");
    }
    assert_eq!(keys.asked(), 0);
    // Credentials with another scheme are ignored.
    let basic = request(&[("authorization", "Basic eA=="), ("x-api-key", "key_ci")]);
    assert_eq!(verdict(&layer, basic).await, "ci");
}

#[tokio::test]
async fn a_layer_without_jwts_accepts_what_its_verifiers_accept() {
    let keys = Prefix::new("key_");
    let layer = JwtAuthLayer::for_credentials(keys.clone());
    assert_eq!(verdict(&layer, bearer("key_ci")).await, "ci");
    let jwt = tokens().access("alice").issue().unwrap();
    assert_eq!(verdict(&layer, bearer(&jwt)).await, INVALID);
    let seen = layer.layer(probe()).oneshot(bearer(&jwt)).await.unwrap();
    let error = seen.extensions().get::<AuthError>().unwrap();
    assert_eq!(error.reason(), "unknown_form_of_credential");
    assert_eq!(keys.asked(), 1);
}

#[tokio::test]
async fn a_credential_that_is_not_text_is_refused() {
    let keys = Prefix::new("");
    let everywhere = JwtAuthLayer::new(verifier()).credentials(keys.clone());
    let mut not_text = request(&[]);
    let value = HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap();
    not_text.headers_mut().insert("authorization", value);
    assert_eq!(verdict(&everywhere, not_text).await, INVALID);
    let own = TokenSource::header("X-Api-Key").unwrap();
    let own = JwtAuthLayer::new(verifier()).credentials_in(own, keys.clone());
    let mut not_text = request(&[]);
    let value = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    not_text.headers_mut().insert("x-api-key", value);
    assert_eq!(verdict(&own, not_text).await, TWO);
    assert_eq!(keys.asked(), 0);
}

#[tokio::test]
async fn handlers_and_guards_treat_all_credentials_alike() {
    #[derive(Deserialize)]
    struct Tenant {
        tenant: u32,
        sub: String,
        scope: String,
    }
    let handler = service_fn(async |request: Request<String>| {
        let token = request.extensions().get::<VerifiedToken>().unwrap();
        assert_eq!(token.kind(), CredentialKind::Other);
        assert_eq!(token.kind().as_str(), "other");
        assert_eq!(
            (token.issuer(), token.subject()),
            (Some("keys"), Some("ci"))
        );
        assert_eq!(token.token_id(), Some("key-1"));
        assert!(token.has_role("robot") && token.expires_at().is_none());
        let claims = token.claims::<Tenant>().unwrap();
        assert_eq!((claims.tenant, &*claims.sub), (4711, "ci"));
        assert_eq!(claims.scope, "orders:read orders:write");
        let allowed = token.require(&Require::scope("orders:write")).is_ok();
        let refused = token.require(&Require::role("admin")).unwrap_err();
        let text = format!("{allowed} {}", refused.kind().as_str());
        Ok::<_, std::convert::Infallible>(http::Response::new(text))
    });
    let layer = JwtAuthLayer::new(verifier()).credentials(Prefix::new("key_"));
    let answer = layer.layer(handler).oneshot(bearer("key_ci")).await;
    assert_eq!(Seen::of(answer.unwrap()).body, "true forbidden");
}

/// The credential is still an API key, so guards that forbid API keys to create further keys still refuse it.
#[tokio::test]
async fn a_verifier_that_wraps_api_keys_can_remove_scopes() {
    #[derive(Debug)]
    struct Narrowed(ApiKeys);
    impl CredentialVerifier for Narrowed {
        fn handles(&self, credential: &str) -> bool {
            self.0.handles(credential)
        }
        async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
            let key = self.0.verify(credential).await?;
            CredentialClaims::builder(key.subject().unwrap_or_default())
                .api_key()
                .scopes(key.scopes().filter(|scope| *scope == "orders:read"))
                .build()
        }
    }
    let keys = ApiKeys::builder("acme", MemoryApiKeys::new())
        .build()
        .unwrap();
    let new = keys.create("ada").scope("orders:read orders:write");
    let new = new.issue().await.unwrap();
    let handler = service_fn(async |request: Request<String>| {
        let token = request.extensions().get::<VerifiedToken>().unwrap();
        let kept: Vec<_> = token.scopes().collect();
        let text = format!("{} {}", token.kind().as_str(), kept.join(" "));
        Ok::<_, std::convert::Infallible>(http::Response::new(text))
    });
    let layer = JwtAuthLayer::new(verifier()).credentials(Narrowed(keys));
    let answer = layer.layer(handler).oneshot(bearer(new.text())).await;
    assert_eq!(Seen::of(answer.unwrap()).body, "api_key orders:read");
}

#[tokio::test]
async fn a_stream_of_a_credential_goes_on_until_it_expires() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let claims = CredentialClaims::builder("ci")
        .expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 60))
        .clock(clock.clone())
        .build()
        .unwrap();
    let forever = CredentialClaims::builder("ci").build().unwrap();
    let verified = async |claims: CredentialClaims| {
        #[derive(Debug)]
        struct Known(CredentialClaims);
        impl CredentialVerifier for Known {
            fn handles(&self, _: &str) -> bool {
                true
            }
            async fn verify_credential(&self, _: &str) -> Result<CredentialClaims, AuthError> {
                Ok(self.0.clone())
            }
        }
        let handler = service_fn(async |request: Request<String>| {
            let token = request.extensions().get::<VerifiedToken>().cloned();
            Ok::<_, std::convert::Infallible>(http::Response::new(token))
        });
        let layer = JwtAuthLayer::for_credentials(Known(claims));
        let answer = layer.layer(handler).oneshot(bearer("x")).await.unwrap();
        answer.into_body().unwrap()
    };
    let forever = tokio::spawn(verified(forever).await.ended());
    let ended = tokio::spawn(verified(claims).await.ended());
    clock.advance(Duration::from_secs(59));
    tokio::task::yield_now().await;
    assert!(!ended.is_finished());
    clock.advance(Duration::from_secs(1));
    assert_eq!(ended.await.unwrap(), StreamEnd::Expired);
    assert!(!forever.is_finished());
}

#[test]
fn impossible_claims_are_an_error() {
    let claims = || CredentialClaims::builder("ci");
    for (builder, says) in [
        (claims().claim("sub", "eve"), "a setter of its own"),
        (claims().claim("exp", 7), "a setter of its own"),
        (claims().scopes(["ok", "not\u{7f}ok"]), "a scope contains"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Internal);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(says), "{cause}");
    }
}
