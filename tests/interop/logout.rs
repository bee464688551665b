//! A user logs out at a real provider, and the access tokens are refused here.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use axum::routing::get;
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_jwt_auth::backchannel_logout::BackchannelLogout;
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::verifier::{StreamEnd, TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};

use crate::browser::Browser;

/// The audience of the access tokens.
const API: &str = "https://api.example";

/// npm `oidc-provider` in its own process, which ends when this value is dropped.
struct Provider {
    child: Child,
    output: BufReader<ChildStdout>,
    issuer: String,
}

/// A service that accepts the provider's tokens, and that the provider can reach over the network.
struct Service {
    router: Router,
    access: TokenVerifier,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_ends_all_tokens_of_the_user() {
    let Some((mut provider, service)) = start("by-subject", |access| access).await else {
        return;
    };
    let mut phone = Browser::at(&provider.issuer);
    let mut laptop = Browser::at(&provider.issuer);
    let mut other = Browser::at(&provider.issuer);
    let on_phone = phone.log_in("alice", "by-subject", API).await;
    let on_laptop = laptop.log_in("alice", "by-subject", API).await;
    let of_bob = other.log_in("bob", "by-subject", API).await;
    for logged_in in [&on_phone, &on_laptop, &of_bob] {
        assert_eq!(service.get(&logged_in.access_token).await, StatusCode::OK);
    }
    let verified = service.access.verify(&on_phone.access_token).await.unwrap();
    assert_eq!(
        (verified.subject(), verified.session_id()),
        (Some("alice"), None)
    );
    let stream = tokio::spawn(verified.ended());

    phone.log_out(&on_phone.id_token).await;
    assert_eq!(provider.says("logout"), "logout accepted");
    for logged_in in [&on_phone, &on_laptop] {
        let refused = service.get(&logged_in.access_token).await;
        assert_eq!(refused, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(service.get(&of_bob.access_token).await, StatusCode::OK);
    assert_eq!(stream.await.unwrap(), StreamEnd::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_of_one_session_keeps_the_others() {
    let with_sessions = |access: TokenVerifierBuilder| access.require("sid");
    let Some((mut provider, service)) = start("by-session", with_sessions).await else {
        return;
    };
    let mut phone = Browser::at(&provider.issuer);
    let mut laptop = Browser::at(&provider.issuer);
    let on_phone = phone.log_in("alice", "by-session", API).await;
    let on_laptop = laptop.log_in("alice", "by-session", API).await;
    let verified = service.access.verify(&on_phone.access_token).await.unwrap();
    assert!(verified.session_id().is_some());

    phone.log_out(&on_phone.id_token).await;
    assert_eq!(provider.says("logout"), "logout accepted");
    let refused = service.get(&on_phone.access_token).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert_eq!(service.get(&on_laptop.access_token).await, StatusCode::OK);

    // After another login, access works again at once.
    let again = phone.log_in("alice", "by-session", API).await;
    assert_eq!(service.get(&again.access_token).await, StatusCode::OK);
    laptop.log_out(&on_laptop.id_token).await;
    assert_eq!(provider.says("logout"), "logout accepted");
    let refused = service.get(&on_laptop.access_token).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert_eq!(service.get(&again.access_token).await, StatusCode::OK);
}

/// Starts both. Each knows the address of the other.
async fn start(
    client: &str,
    access: impl FnOnce(TokenVerifierBuilder) -> TokenVerifierBuilder,
) -> Option<(Provider, Service)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Provider::start(&format!("http://{address}/backchannel-logout"))?;

    let keys = RemoteJwks::builder(&*provider.issuer).allow_loopback();
    let keys = keys.build().unwrap();
    let revocations = MemoryRevocations::new();
    let access = access(
        TokenVerifier::builder()
            .remote_jwks(&keys)
            .audience(API)
            .profile(TokenProfile::Rfc9068)
            .max_lifetime(Duration::from_secs(600))
            .revocation(revocations.clone()),
    );
    let access = access.build().unwrap();
    let logout_tokens = TokenVerifier::builder()
        .remote_jwks(&keys)
        .audience(client)
        .profile(TokenProfile::LogoutToken)
        .build()
        .unwrap();
    let logout = BackchannelLogout::builder(logout_tokens, revocations)
        .access_tokens(&access)
        .build()
        .unwrap();
    let router = Router::new()
        .route("/", get(async || "ok"))
        .route_layer(JwtAuthLayer::new(access.clone()))
        .route_service("/backchannel-logout", logout);
    let served = router.clone();
    tokio::spawn(async { axum::serve(listener, served).await });
    Some((provider, Service { router, access }))
}

// === impl Provider ===

impl Provider {
    fn start(logout_uri: &str) -> Option<Self> {
        let folder = crate::peer::provider_environment()?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/logout.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .arg(logout_uri)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it warns that it is not for production
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut provider = Self {
            child,
            output,
            issuer: String::new(),
        };
        let line = provider.says("provider on");
        let issuer = line.strip_prefix("provider on ");
        provider.issuer = issuer
            .unwrap_or_else(|| panic!("it said {line:?}"))
            .to_owned();
        Some(provider)
    }

    /// Waits for the next line with this prefix, and skips other output.
    fn says(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        while !line.starts_with(beginning) {
            line.clear();
            let length = self.output.read_line(&mut line).unwrap();
            assert!(
                length > 0,
                "the provider ended without saying `{beginning}`"
            );
        }
        line.trim_end().to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Service ===

impl Service {
    async fn get(&self, token: &str) -> StatusCode {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap().status()
    }
}
