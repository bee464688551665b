//! The responses of guards: who makes them, and how to change them.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_jwt_auth::guard::Scoped;
use tower_jwt_auth::layer::{ProblemJson, SameAsLayer, response_for};
use tower_jwt_auth::{AuthError, JwtAuthLayer, JwtClaims, Require, VerifiedToken};

use super::ways::{token, verifier};
use crate::support::{Seen, bearer, probe, request};

tower_jwt_auth::scopes! { struct Read = "read"; }

fn own<B: From<String>>(error: &AuthError) -> Response<B> {
    let mut response = Response::new(B::from(format!("own: {}", error.kind().as_str())));
    *response.status_mut() = error.status();
    response
}

async fn body(app: Router, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = token.map_or_else(|| request(&[]), bearer).map(Body::from);
    *request.uri_mut() = path.parse().unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn routes() -> Router {
    #[derive(serde::Deserialize, Clone)]
    struct User {
        #[serde(rename = "tenant")]
        _tenant: u32,
    }
    let by_hand = async |token: VerifiedToken| token.require(&Require::scope("read"));
    let shared = async |token: VerifiedToken| token.claims::<User>().map(|_| ());
    Router::new()
        .route(
            "/layer",
            get(async || ()).route_layer(Require::scope("read")),
        )
        .route("/scoped", get(async |_: Scoped<Read>| ()))
        .route("/hand", get(by_hand))
        .route("/claims", get(async |_: JwtClaims<User>| ()))
        .route("/shared", get(shared))
        .route("/token", get(async |_: VerifiedToken| ()))
}

#[tokio::test]
async fn error_responses_of_the_layer_are_used_everywhere() {
    let token = token("");
    let layer = JwtAuthLayer::new(verifier()).optional();
    let app = routes().route_layer(layer.on_error(own::<Body>));
    for path in ["/layer", "/scoped", "/hand"] {
        let answer = body(app.clone(), path, Some(&token)).await;
        assert_eq!(answer, (403, "own: insufficient_scope".into()), "{path}");
    }
    for path in ["/claims", "/shared"] {
        let (_, body) = body(app.clone(), path, Some(&token)).await;
        assert!(body.starts_with("own: "), "{path}: {body}");
    }
    for path in ["/layer", "/scoped", "/token", "/claims", "/hand"] {
        let answer = body(app.clone(), path, None).await;
        assert_eq!(answer, (401, "own: missing_token".into()), "{path}");
    }
    // The layer itself.
    let answer = body(app, "/token", Some("not.a.token")).await;
    assert_eq!(answer, (401, "own: malformed_token".into()));
}

#[tokio::test]
async fn the_innermost_layer_decides_about_error_responses() {
    let inner = JwtAuthLayer::new(verifier()).on_error(own::<Body>);
    let outer = JwtAuthLayer::new(verifier())
        .on_error(ProblemJson)
        .realm("outer");
    let app = routes().route_layer(inner).route_layer(outer);
    let answer = body(app, "/layer", Some(&token(""))).await;
    assert_eq!(answer, (403, "own: insufficient_scope".into()));

    let inner = JwtAuthLayer::new(verifier());
    let outer = JwtAuthLayer::new(verifier())
        .on_error(ProblemJson)
        .realm("outer");
    let app = routes().route_layer(inner).route_layer(outer);
    let answer = body(app, "/layer", Some(&token(""))).await;
    assert_eq!(answer, (403, String::new()));
}

#[tokio::test]
async fn a_guard_can_have_its_own_error_responses() {
    let own_look = Require::scope("read").on_error(own::<String>);
    let layers = ServiceBuilder::new()
        .layer(
            JwtAuthLayer::new(verifier())
                .on_error(ProblemJson)
                .realm("shop"),
        )
        .layer(own_look);
    let response = layers.service(probe()).oneshot(bearer(&token(""))).await;
    let seen = Seen::of(response.unwrap());
    assert_eq!(seen.body, "own: insufficient_scope");
    assert_eq!(
        seen.verdict(),
        r#"403 Bearer realm="shop", error="insufficient_scope", scope="read""#
    );
}

#[tokio::test]
async fn without_a_layer_the_response_is_a_500_with_advice() {
    for path in ["/layer", "/scoped", "/token", "/claims"] {
        let mut request = bearer(&token("")).map(Body::from);
        *request.uri_mut() = path.parse().unwrap();
        let response = routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500, "{path}");
        let error = response.extensions().get::<AuthError>().unwrap();
        assert!(
            error.to_string().contains("JwtAuthLayer::new(verifier)"),
            "{error}"
        );
    }
    let service = Require::scope("read").layer(probe());
    let response = service.oneshot(bearer(&token(""))).await.unwrap();
    assert_eq!(Seen::of(response).verdict(), "500");
}

#[tokio::test]
async fn a_guard_can_hide_what_it_protects() {
    for (status, told) in [(404, "404"), (303, "303")] {
        let hidden = Require::role("admin").on_error(move |_: &AuthError| {
            let mut response = Response::new(String::new());
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response
        });
        let layers = ServiceBuilder::new()
            .layer(JwtAuthLayer::new(verifier()))
            .layer(hidden);
        let response = layers.service(probe()).oneshot(bearer(&token(""))).await;
        assert_eq!(Seen::of(response.unwrap()).verdict(), told);
    }
}

/// A body type without `Default` and `From<String>`.
struct Plain(#[allow(dead_code)] &'static str);

#[tokio::test]
async fn any_type_of_body_works() {
    let handler =
        service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(Plain("handler"))));
    let plain = |error: &AuthError| {
        let mut response = Response::new(Plain("refused"));
        *response.status_mut() = error.status();
        response
    };
    let layers = ServiceBuilder::new()
        .layer(JwtAuthLayer::new(verifier()).on_error(plain))
        .layer(Require::scope("read").on_error(plain));
    let response = layers.service(handler).oneshot(bearer(&token(""))).await;
    let response = response.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.body().0),
        (403, "refused")
    );

    // The body type may change between the guard and the layer. The guard's body is then empty.
    let inner = Require::scope("read").layer(probe());
    let mapped =
        inner.map_response(|response: Response<String>| response.map(Full::<bytes::Bytes>::from));
    let outer = JwtAuthLayer::new(verifier())
        .realm("shop")
        .on_error(own::<Full<bytes::Bytes>>)
        .layer(mapped);
    let response = outer.oneshot(bearer(&token(""))).await.unwrap();
    let challenge = response.headers()["www-authenticate"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        challenge.starts_with(r#"Bearer realm="shop""#),
        "{challenge}"
    );
    assert_eq!(response.status(), 403);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.is_empty());
}

#[test]
fn an_error_made_by_hand_names_all_scopes() {
    let error = AuthError::insufficient_scope(["a", "b"]);
    let response: Response<String> = response_for(&SameAsLayer, error);
    let challenge = r#"403 Bearer realm="api", error="insufficient_scope", scope="a b""#;
    assert_eq!(Seen::of(response).verdict(), challenge);
    for same in ["a b", "b a"] {
        let error = AuthError::insufficient_scope(same);
        assert_eq!(error.scope(), Some(same));
    }
    assert_eq!(AuthError::insufficient_scope("").scope(), None);
}
