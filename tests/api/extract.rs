//! The extractors of axum: what they yield, and how they refuse a request.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer, JwtClaims, Require, VerifiedToken};

use crate::support::{bearer, request, tokens, verifier};

#[derive(Deserialize)] // and nothing else
struct User {
    sub: String,
    tenant: u32,
}

async fn typed(JwtClaims(user): JwtClaims<User>) -> String {
    format!("{} of {}", user.sub, user.tenant)
}

async fn registered(JwtClaims(claims): JwtClaims) -> String {
    format!(
        "{} {}",
        claims.sub.unwrap_or_default(),
        claims.aud.contains("api")
    )
}

async fn token(token: VerifiedToken) -> String {
    token.subject().unwrap_or_default().to_owned()
}

async fn maybe_typed(user: Option<JwtClaims<User>>) -> String {
    user.map_or("nobody".into(), |JwtClaims(user)| user.sub)
}

async fn maybe_token(token: Option<VerifiedToken>) -> String {
    token.map_or("nobody".into(), |token| {
        token.subject().unwrap_or_default().to_owned()
    })
}

fn routes() -> Router {
    Router::new()
        .route("/typed", get(typed))
        .route("/registered", get(registered))
        .route("/token", get(token))
        .route("/maybe_typed", get(maybe_typed))
        .route("/maybe_token", get(maybe_token))
        .route("/scoped", get(token).layer(Require::scope("read")))
}

async fn send(app: Router, path: &str, request: Request<String>) -> (StatusCode, String) {
    let mut request = request.map(Body::from);
    *request.uri_mut() = path.parse().unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let challenge = response.headers().get("www-authenticate").cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    match challenge {
        Some(challenge) => (status, challenge.to_str().unwrap().to_owned()),
        None => (status, String::from_utf8(body.to_vec()).unwrap()),
    }
}

#[tokio::test]
async fn each_extractor_yields_what_the_token_says() {
    let app = routes().layer(JwtAuthLayer::new(verifier()));
    let token = tokens()
        .access("alice")
        .claim("tenant", 7)
        .scope("read")
        .issue()
        .unwrap();
    for (path, body) in [
        ("/typed", "alice of 7"),
        ("/registered", "alice true"),
        ("/token", "alice"),
        ("/maybe_typed", "alice"),
        ("/maybe_token", "alice"),
        ("/scoped", "alice"),
    ] {
        assert_eq!(
            send(app.clone(), path, bearer(&token)).await,
            (StatusCode::OK, body.into())
        );
    }
}

#[tokio::test]
async fn without_a_token_required_extractors_are_401_optional_none() {
    let app = routes().layer(JwtAuthLayer::new(verifier()).optional().realm("r"));
    for path in ["/typed", "/registered", "/token", "/scoped"] {
        let refused = (StatusCode::UNAUTHORIZED, r#"Bearer realm="r""#.into());
        assert_eq!(
            send(app.clone(), path, request(&[])).await,
            refused,
            "{path}"
        );
    }
    for path in ["/maybe_typed", "/maybe_token"] {
        let answer = (StatusCode::OK, "nobody".into());
        assert_eq!(
            send(app.clone(), path, request(&[])).await,
            answer,
            "{path}"
        );
    }
}

#[tokio::test]
async fn claims_that_do_not_fit_are_403_for_the_optional_too() {
    let token = tokens()
        .access("alice")
        .claim("tenant", "seven")
        .issue()
        .unwrap();
    for layer in [
        JwtAuthLayer::new(verifier()),
        JwtAuthLayer::new(verifier()).optional(),
    ] {
        for path in ["/typed", "/maybe_typed"] {
            let mut request = bearer(&token).map(Body::from);
            *request.uri_mut() = path.parse().unwrap();
            let app = routes().route_layer(layer.clone());
            let response = app.oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
            // A challenge would ask for another token, but every other token would be refused as well.
            assert_eq!(response.headers().get("www-authenticate"), None);
            let error = response.extensions().get::<AuthError>().unwrap();
            assert_eq!(error.kind(), AuthErrorKind::ClaimsMismatch);
            let source = std::error::Error::source(error).unwrap().to_string();
            assert!(
                source.ends_with("User`: the claim `tenant` is a string; expected u32"),
                "{source}"
            );
            let shown = format!("{error:?}");
            assert!(!shown.contains("seven"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_missing_layer_is_a_500_whose_error_says_what_to_do() {
    let token = tokens().access("alice").claim("tenant", 7).issue().unwrap();
    for path in [
        "/typed",
        "/registered",
        "/token",
        "/maybe_typed",
        "/maybe_token",
        "/scoped",
    ] {
        let mut request = bearer(&token).map(Body::from);
        *request.uri_mut() = path.parse().unwrap();
        let response = routes().oneshot(request).await.unwrap();
        assert_eq!(
            response.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{path}"
        );
        let error = response.extensions().get::<AuthError>().unwrap();
        assert!(
            error.to_string().contains("JwtAuthLayer::new(verifier)"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_client_cannot_put_claims_into_a_request_by_headers() {
    let app = routes().layer(JwtAuthLayer::new(verifier()).optional());
    let spoof = request(&[
        ("x-user", "alice"),
        ("sub", "alice"),
        ("x-jwt-claims", "{}"),
    ]);
    assert_eq!(send(app, "/maybe_token", spoof).await.1, "nobody");
}

#[tokio::test]
async fn a_claims_type_needs_only_deserialize() {
    #[derive(Deserialize)]
    struct NeitherCloneNorSync {
        sub: std::cell::RefCell<String>,
    }
    async fn mine(JwtClaims(user): JwtClaims<NeitherCloneNorSync>) -> String {
        user.sub.take()
    }
    let app = Router::new()
        .route("/", get(mine))
        .route_layer(JwtAuthLayer::new(verifier()));
    let token = tokens().access("alice").issue().unwrap();
    let answer = send(app, "/", bearer(&token)).await;
    assert_eq!(answer, (StatusCode::OK, "alice".into()));
}

#[tokio::test]
async fn several_extractors_of_one_request_agree() {
    async fn both(
        JwtClaims(one): JwtClaims<User>,
        JwtClaims(other): JwtClaims<User>,
        JwtClaims(claims): JwtClaims,
    ) -> String {
        format!("{} {} {:?}", one.sub, other.tenant, claims.sub)
    }
    let app = Router::new()
        .route("/", get(both))
        .route_layer(JwtAuthLayer::new(verifier()));
    let token = tokens().access("alice").claim("tenant", 7).issue().unwrap();
    let answer = send(app, "/", bearer(&token)).await;
    assert_eq!(answer, (StatusCode::OK, "alice 7 Some(\"alice\")".into()));
}
