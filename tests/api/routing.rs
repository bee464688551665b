//! Where to put the layer in an axum router, and the responses for unknown paths and wrong methods.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Method, Request, StatusCode};
use tower::ServiceExt;
use tower_jwt_auth::{JwtAuthLayer, Require, VerifiedToken};

use crate::support::{tokens, verifier};

async fn me(token: VerifiedToken) -> String {
    token.subject().unwrap_or_default().to_owned()
}

async fn status(app: &Router, method: Method, path: &str, token: Option<&str>) -> u16 {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    app.clone()
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// Public routes, and protected ones with and without a scope.
fn merged(protected: Router) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .merge(protected)
}

fn protected() -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/admin", get(me).route_layer(Require::scope("admin")))
}

#[tokio::test]
async fn with_route_layer_unknown_paths_are_404() {
    let auth = JwtAuthLayer::new(verifier());
    let app = merged(protected().route_layer(auth.clone()));
    let told = merged(
        protected()
            .route_layer(auth)
            .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED),
    );
    let plain = tokens().access("alice").issue().unwrap();
    let admin = tokens().access("alice").scope("admin").issue().unwrap();
    for (method, path, token, expected) in [
        (Method::GET, "/healthz", None, 200),
        (Method::GET, "/me", None, 401),
        (Method::GET, "/me", Some("bad"), 401),
        (Method::GET, "/me", Some(&*plain), 200),
        (Method::GET, "/admin", None, 401),
        (Method::GET, "/admin", Some(&*plain), 403),
        (Method::GET, "/admin", Some(&*admin), 200),
        (Method::GET, "/nowhere", None, 404),
        (Method::GET, "/nowhere", Some("bad"), 404),
        (Method::POST, "/me", Some(&*plain), 405),
        (Method::POST, "/admin", Some(&*plain), 405),
        (Method::POST, "/healthz", None, 405),
    ] {
        for app in [&app, &told] {
            let status = status(app, method.clone(), path, token).await;
            assert_eq!(status, expected, "{method} {path} {token:?}");
        }
    }
    for path in ["/me", "/admin"] {
        // In axum, the 405 of a path belongs to its route.
        assert_eq!(status(&app, Method::POST, path, None).await, 401, "{path}");
        assert_eq!(status(&told, Method::POST, path, None).await, 405, "{path}");
        let request = Request::post(path).body(Body::empty()).unwrap();
        let response = told.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["allow"], "GET,HEAD");
    }
}

#[tokio::test]
async fn with_layer_unknown_paths_are_401_even_after_a_merge() {
    // The mistake that the documentation warns of.
    let app = merged(protected().layer(JwtAuthLayer::new(verifier())));
    assert_eq!(status(&app, Method::GET, "/nowhere", None).await, 401);
    assert_eq!(status(&app, Method::POST, "/me", None).await, 401);
    assert_eq!(status(&app, Method::GET, "/healthz", None).await, 200);
}

#[tokio::test]
async fn routes_added_after_the_layer_are_open() {
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(JwtAuthLayer::new(verifier()))
        .route("/login", post(async || "in"));
    assert_eq!(status(&app, Method::POST, "/login", None).await, 200);
    assert_eq!(status(&app, Method::GET, "/login", None).await, 405);
    assert_eq!(status(&app, Method::GET, "/me", None).await, 401);
}
