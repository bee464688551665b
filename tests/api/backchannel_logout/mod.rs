//! OpenID Connect Back-Channel Logout: a logout at the provider ends the access tokens here.

mod configured;
mod ends;
mod failures;
mod kinds;
mod once;
mod requests;
mod table;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_jwt_auth::backchannel_logout::{BackchannelLogout, BackchannelLogoutBuilder};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, RevocationStore};
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{AuthError, AuthErrorKind, TokenVerifier};

use crate::support::{NOW, key, signed};

const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "client-1";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const FORM: &str = "application/x-www-form-urlencoded";

/// One node: the service that receives logouts, and the verifier of access tokens.
struct Node<S> {
    clock: ManualClock,
    store: S,
    access: TokenVerifier,
    logout: BackchannelLogout,
}

/// The part of a response that a test compares.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    error: Option<AuthError>,
}

impl Node<MemoryRevocations> {
    fn new() -> Self {
        let clock = ManualClock::at_unix_seconds(NOW);
        Self::around(MemoryRevocations::with_clock(clock.clone()), &clock)
    }
}

impl<S: RevocationStore + Clone> Node<S> {
    fn around(store: S, clock: &ManualClock) -> Self {
        Self::with(store, clock, |access| access, |logout| logout)
    }

    fn with(
        store: S,
        clock: &ManualClock,
        access: impl FnOnce(TokenVerifierBuilder) -> TokenVerifierBuilder,
        logout: impl FnOnce(BackchannelLogoutBuilder) -> BackchannelLogoutBuilder,
    ) -> Self {
        let access = access(access_tokens(clock).revocation(store.clone()));
        let access = access.build().unwrap();
        let verifier = logout_tokens(clock).build().unwrap();
        let builder = BackchannelLogout::builder(verifier, store.clone()).access_tokens(&access);
        Self {
            clock: clock.clone(),
            store,
            access,
            logout: logout(builder).build().unwrap(),
        }
    }

    /// Whether an access token is accepted now, and if not, why.
    async fn verdict(&self, token: &str) -> Result<(), AuthErrorKind> {
        let verified = self.access.verify(token).await;
        verified.map(drop).map_err(|error| error.kind())
    }

    async fn log_out(&self, token: &str) -> StatusCode {
        post(&self.logout, token).await.status
    }
}

fn access_tokens(clock: &ManualClock) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer(ISSUER)
        .audience("api")
        .profile(TokenProfile::Compatible)
        .max_lifetime(std::time::Duration::from_secs(3600))
        .clock(clock.clone())
}

fn logout_tokens(clock: &ManualClock) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer(ISSUER)
        .audience(CLIENT)
        .profile(TokenProfile::LogoutToken)
        .clock(clock.clone())
}

/// `all` with these members changed; `null` removes one.
fn changed(mut all: Value, changes: Value) -> String {
    let (Some(members), Value::Object(changes)) = (all.as_object_mut(), changes) else {
        panic!("objects")
    };
    members.extend(changes);
    members.retain(|_, value| !value.is_null());
    all.to_string()
}

fn logout_claims(changes: Value) -> String {
    let good = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "logout-1",
        "sub": "alice", "events": {EVENT: {}},
    });
    changed(good, changes)
}

fn logout_token(changes: Value) -> String {
    signed(
        r#"{"alg":"HS256","typ":"logout+jwt"}"#,
        logout_claims(changes),
    )
}

fn access_token(changes: Value) -> String {
    let good = json!({
        "iss": ISSUER, "aud": "api", "iat": NOW - 60, "exp": NOW + 3000, "jti": "access-1",
        "sub": "alice",
    });
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, changed(good, changes))
}

async fn post(logout: &BackchannelLogout, token: &str) -> Answer {
    send(
        logout,
        request(&[("content-type", FORM)], format!("logout_token={token}")),
    )
    .await
}

fn request<B>(headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::post("/backchannel-logout");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

async fn send<B>(logout: &BackchannelLogout, request: Request<B>) -> Answer
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = logout.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(parts.headers["cache-control"], "no-store", "section 2.8");
    let answer = Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
        error: parts.extensions.get().cloned(),
    };
    answer.check();
    answer
}

// === impl Answer ===

impl Answer {
    fn reason(&self) -> &str {
        self.error.as_ref().map_or("none", AuthError::reason)
    }

    /// Checks what all responses have in common (section 2.8).
    fn check(&self) {
        let code = match self.status.as_u16() {
            200 | 405 => {
                assert!(self.body.is_empty() && self.error.is_none());
                return;
            }
            400 => "invalid_request",
            503 => "temporarily_unavailable",
            other => panic!("{other}: {}", self.body),
        };
        assert_eq!(
            self.headers.contains_key("retry-after"),
            code == "temporarily_unavailable"
        );
        assert_eq!(self.headers["content-type"], "application/json");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["error"], code);
        let text = body["error_description"].as_str().unwrap();
        // RFC 6749 section 5.2
        let allowed = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        assert!(!text.is_empty() && text.chars().all(allowed), "{text}");
    }
}
