//! An API that accepts opaque tokens of a real provider as well as JWTs. The provider revokes a token,
//! crashes and comes back.
//!
//! The clock of the cache is set by hand. Requests and tokens are real.

use std::time::Duration;

use axum::body::Body;
use axum::{Router, routing::get};
use http::{Request, Response, StatusCode};
use tower::ServiceExt as _;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::{Introspection, IntrospectionBuilder};
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{AuthError, JwtAuthLayer, Require, TokenVerifier, VerifiedToken};

use crate::provider::{AUDIENCE, Provider};

const SECRET: &str = "s3cret: +%&=/?";
const JWT_AUDIENCE: &str = "http://127.0.0.1:3000/jwt";

/// How long an answer is cached.
const KEPT: Duration = Duration::from_secs(60);

fn discovered(provider: &Provider, clock: &ManualClock) -> IntrospectionBuilder {
    Introspection::builder(provider.issuer())
        .allow_loopback()
        .clock(clock.clone())
}

/// An API for JWTs and opaque tokens.
fn api(provider: &Provider, opaque: Introspection) -> Router {
    let keys = RemoteJwks::builder(provider.issuer()).allow_loopback();
    let jwts = TokenVerifier::builder()
        .remote_jwks(&keys.build().unwrap())
        .audience(JWT_AUDIENCE)
        .profile(TokenProfile::Rfc9068)
        .build()
        .unwrap();
    let who = async |token: VerifiedToken| {
        let subject = token.subject().unwrap_or_default();
        format!("{} {subject}", token.kind().as_str())
    };
    Router::new()
        .route("/", get(who))
        .route_layer(Require::scope("reports:read"))
        .route_layer(JwtAuthLayer::new(jwts).credentials(opaque))
}

async fn ask(api: &Router, token: &str) -> Response<Body> {
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    api.clone().oneshot(request).await.unwrap()
}

/// The response of the handler, or the reason why the request was refused.
async fn told(api: &Router, token: &str) -> String {
    use http_body_util::BodyExt as _;

    let answer = ask(api, token).await;
    let status = answer.status();
    let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(is_unavailable, answer.headers().contains_key("retry-after"));
    if let Some(error) = answer.extensions().get::<AuthError>() {
        return format!("{} {}", status.as_u16(), error.reason());
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn opaque_tokens_are_introspected_beside_jwts() {
    let Some(provider) = Provider::start_opaque("opaque") else {
        return;
    };
    let clock = ManualClock::at_now();
    let opaque = discovered(&provider, &clock)
        .client_secret_basic("reports:api", SECRET)
        .audience(AUDIENCE);
    let api = api(&provider, opaque.build().unwrap());

    let of_client = provider.token().await;
    assert!(!of_client.contains('.'), "it is opaque");
    for _ in 0..2 {
        assert_eq!(told(&api, &of_client).await, "introspected_token demo");
    }
    let form = format!("grant_type=client_credentials&scope=reports:read&resource={JWT_AUDIENCE}");
    let jwt = provider.post("/token", &form).await;
    assert_eq!(
        told(&api, jwt["access_token"].as_str().unwrap()).await,
        "provider_token demo"
    );
    let form = "grant_type=client_credentials&scope=reports:write";
    let weak = provider.post("/token", form).await;
    assert_eq!(
        told(&api, weak["access_token"].as_str().unwrap()).await,
        "403 insufficient_scope"
    );
    assert_eq!(
        told(&api, &provider.minted("access").await).await,
        "introspected_token alice"
    );
    assert_eq!(
        told(&api, &provider.minted("refresh").await).await,
        "401 audience_missing"
    );
    assert_eq!(
        told(&api, &provider.minted("bound").await).await,
        "401 bound_token"
    );
    assert_eq!(told(&api, "nobodys-token").await, "401 token_not_active");
}

#[tokio::test]
async fn each_client_authentication_method_works() {
    let Some(provider) = Provider::start_opaque("client-auth") else {
        return;
    };
    let clock = ManualClock::at_now();
    let token = provider.token().await;
    let endpoint = format!("{}/token/introspection", provider.issuer());
    let at = || {
        Introspection::builder_at(&*endpoint)
            .allow_loopback()
            .audience(AUDIENCE)
            .clock(clock.clone())
    };
    let post = at().client_secret_post("reports-api-post", SECRET);
    let post = api(&provider, post.build().unwrap());
    assert_eq!(told(&post, &token).await, "introspected_token demo");

    // The provider refuses this service and not the client, so it is not a 401.
    let wrong = at().client_secret_basic("reports:api", "wrong");
    let wrong = api(&provider, wrong.build().unwrap());
    let answer = ask(&wrong, &token).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = answer.extensions().get::<AuthError>().unwrap();
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(
        source.contains("the server refuses the credentials of this service"),
        "{source}"
    );

    // What distinguishes a refresh token from an access token if the audience does not.
    let any = at()
        .client_secret_basic("reports:api", SECRET)
        .dangerous_no_audience();
    let any = api(&provider, any.require("token_type").build().unwrap());
    assert_eq!(told(&any, &token).await, "introspected_token demo");
    assert_eq!(
        told(&any, &provider.minted("refresh").await).await,
        "401 claim_missing"
    );
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_revoked_token_is_refused_once_the_cache_expires() {
    let Some(provider) = Provider::start_opaque("revocation") else {
        return;
    };
    let clock = ManualClock::at_now();
    let opaque = discovered(&provider, &clock)
        .client_secret_basic("reports:api", SECRET)
        .audience(AUDIENCE);
    let api = api(&provider, opaque.build().unwrap());
    let (kept, revoked) = (provider.token().await, provider.token().await);
    for token in [&kept, &revoked] {
        assert_eq!(told(&api, token).await, "introspected_token demo");
    }
    provider
        .post("/token/revocation", &format!("token={revoked}"))
        .await;
    assert_eq!(
        told(&api, &revoked).await,
        "introspected_token demo",
        "as long as it is kept"
    );
    clock.advance(KEPT);
    assert_eq!(told(&api, &revoked).await, "401 token_not_active");
    assert_eq!(told(&api, &kept).await, "introspected_token demo");
}

#[tokio::test]
async fn opaque_tokens_survive_an_outage_of_their_provider() {
    let Some(mut provider) = Provider::start_opaque("introspection-outage") else {
        return;
    };
    let clock = ManualClock::at_now();
    let opaque = || {
        discovered(&provider, &clock)
            .client_secret_basic("reports:api", SECRET)
            .audience(AUDIENCE)
            .build()
            .unwrap()
    };
    let warm = api(&provider, opaque());
    let cold = api(&provider, opaque());
    let (known, unknown) = (provider.token().await, provider.token().await);
    assert_eq!(told(&warm, &known).await, "introspected_token demo");

    provider.kill();
    assert_eq!(told(&warm, &unknown).await, "503 unavailable");
    assert_eq!(told(&cold, &known).await, "503 unavailable");
    if cfg!(feature = "cache") {
        assert_eq!(told(&warm, &known).await, "introspected_token demo");
    }

    provider.restart();
    clock.advance(Duration::from_secs(15)); // the longest pause before the provider is asked again
    let new = provider.token().await;
    for api in [&warm, &cold] {
        assert_eq!(told(api, &new).await, "introspected_token demo");
    }
}
