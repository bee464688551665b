//! The extractor for routes that issue tokens.
#![cfg(feature = "axum")]

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::routing::post;
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_jwt_auth::dpop::{Dpop, DpopNonces, DpopProof};

use super::support::World;
use crate::support::SECRET;

#[derive(Clone)]
struct App {
    dpop: Dpop,
}

impl FromRef<App> for Dpop {
    fn from_ref(app: &App) -> Self {
        app.dpop.clone()
    }
}

async fn required(State(_): State<App>, proof: DpopProof) -> String {
    proof.thumbprint().to_owned()
}

async fn optional(proof: Option<DpopProof>) -> String {
    proof.map_or("none".into(), |proof| proof.thumbprint().to_owned())
}

async fn told(app: &Router, path: &str, proof: Option<String>) -> (u16, String, http::HeaderMap) {
    let mut request = Request::post(path);
    if let Some(proof) = proof {
        request = request.header("DPoP", proof);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), body, parts.headers)
}

#[tokio::test]
async fn a_route_with_optional_proofs_refuses_a_bad_one() {
    let world = World::new();
    let dpop = world.dpop();
    let nested = Router::new()
        .route("/nested", post(required))
        .with_state(App {
            dpop: dpop.under("/api"),
        });
    let app = Router::new()
        .route("/required", post(required))
        .route("/optional", post(optional))
        .with_state(App { dpop })
        .nest("/api", nested);
    let jkt = world.key.thumbprint();
    for path in ["/required", "/optional", "/api/nested"] {
        let proof = world
            .proof("POST", &format!("https://api.example{path}"))
            .sign();
        let (status, body, _) = told(&app, path, Some(proof)).await;
        assert_eq!((status, &*body), (200, jkt), "{path}");
        let (status, body, headers) = told(&app, path, Some("x".into())).await;
        assert_eq!(status, 400);
        assert!(body.contains(r#""error":"invalid_dpop_proof""#), "{body}");
        assert_eq!(headers["cache-control"], "no-store");
    }
    let (status, body, _) = told(&app, "/optional", None).await;
    assert_eq!((status, &*body), (200, "none"));
    let (status, body, _) = told(&app, "/required", None).await;
    assert_eq!(status, 400);
    assert!(body.contains("invalid_dpop_proof"), "{body}");
}

#[tokio::test]
async fn a_route_hands_out_a_nonce() {
    let world = World::new();
    let nonces = DpopNonces::new(SECRET).unwrap();
    let dpop = world.builder().nonces(nonces).build().unwrap();
    let app = Router::new()
        .route("/required", post(required))
        .with_state(App { dpop });
    let proof = world.proof("POST", "https://api.example/required");
    let (status, body, headers) = told(&app, "/required", Some(proof.sign())).await;
    assert_eq!(status, 400);
    assert!(body.contains("use_dpop_nonce"), "{body}");
    assert_eq!(
        headers["access-control-expose-headers"],
        "DPoP-Nonce, WWW-Authenticate"
    );
    let nonce = headers["dpop-nonce"].to_str().unwrap();
    let proof = world
        .proof("POST", "https://api.example/required")
        .nonce(nonce);
    let (status, ..) = told(&app, "/required", Some(proof.sign())).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_route_behind_the_layer_can_use_the_proof_of_its_request() {
    use tower_jwt_auth::{JwtAuthLayer, Sessions, VerifiedToken};

    let world = World::new();
    let dpop = world.dpop();
    let store = tower_jwt_auth::sessions::MemorySessions::new();
    let sessions = Sessions::builder(&world.tokens, store).build().unwrap();
    let again = async move |token: VerifiedToken, proof: DpopProof| {
        let subject = token.subject().unwrap_or_default();
        sessions.open(subject).dpop(&proof).issue().await
    };
    let app = Router::new()
        .route("/again", post(again))
        .with_state(App { dpop: dpop.clone() })
        .layer(JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop));
    let token = world.bound_token().await;
    let proof = world
        .proof("POST", "https://api.example/again")
        .token(&token)
        .sign();
    for expected in [200, 401] {
        let request = Request::post("/again")
            .header("Authorization", format!("DPoP {token}"))
            .header("DPoP", &proof)
            .body(Body::empty())
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
}
