//! The JWK set as clients receive it.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::jwks::{JwksBody, JwksService};
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey, TokenIssuer};

use crate::support::NOW;

async fn ask(service: &JwksService, request: Request<()>) -> (Response<()>, String) {
    let answer: Response<JwksBody> = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (Response::from_parts(parts, ()), text)
}

fn get() -> Request<()> {
    Request::get("/.well-known/jwks.json").body(()).unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn key_ids(text: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(text).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_set_has_a_content_type_a_max_age_and_an_etag() {
    let key = key();
    let service = JwksService::new(KeySet::from(key.verifying_key()));
    let (answer, text) = ask(&service, get()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("cache-control"), "public, max-age=300");
    assert_eq!(header("content-length"), text.len().to_string());
    assert_eq!(key_ids(&text), [key.key_id()]);
    assert_eq!(KeySet::from_jwks(&text).unwrap().len(), 1);
    assert!(!text.contains("\"d\""));

    let service = service.max_age(Duration::from_secs(60));
    let (answer, _) = ask(&service, get()).await;
    assert_eq!(answer.headers()["cache-control"], "public, max-age=60");
}

#[tokio::test]
async fn a_client_that_has_the_set_gets_a_304() {
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder().key(key()).clock(clock.clone());
    let ring = ring.build().unwrap();
    let service = JwksService::new(&ring);
    let (answer, _) = ask(&service, get()).await;
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let asked = |value: &str| {
        let mut request = get();
        request
            .headers_mut()
            .insert("if-none-match", value.parse().unwrap());
        request
    };
    // RFC 9110 section 13.1.2
    for known in [
        &etag,
        &format!("W/{etag}"),
        &format!("\"x\", {etag}"),
        &"*".to_owned(),
    ] {
        let (answer, text) = ask(&service, asked(known)).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(answer.headers()["etag"], etag.as_str());
        assert!(answer.headers().contains_key("cache-control"));
        assert_eq!(text, "");
    }
    for unknown in ["\"x\"", etag.trim_matches('"'), ""] {
        let (answer, _) = ask(&service, asked(unknown)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{unknown}");
    }
    ring.add(&key(), clock.now()).unwrap();
    let (answer, _) = ask(&service, asked(&etag)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_ne!(answer.headers()["etag"], etag.as_str());
}

#[tokio::test]
async fn head_has_no_body_and_other_methods_are_refused() {
    let service = JwksService::new(KeySet::from(key().verifying_key()));
    let (got, _) = ask(&service, get()).await;
    let mut head = get();
    *head.method_mut() = Method::HEAD;
    let (answer, text) = ask(&service, head).await;
    assert_eq!((answer.status(), text.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.headers(), got.headers());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let mut request = get();
        *request.method_mut() = method.parse().unwrap();
        let (answer, text) = ask(&service, request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
        assert_eq!(text, "");
    }
}

#[tokio::test]
async fn the_current_ring_is_served_with_the_active_key_first() {
    let (old, new) = (key(), key());
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder().key(old.clone()).clock(clock.clone());
    let ring = ring.build().unwrap();
    let tokens = TokenIssuer::builder(ring.clone())
        .issuer("me")
        .audience("api");
    let tokens = tokens.clock(clock.clone()).build().unwrap();
    let hour = Duration::from_secs(3600);
    ring.add(&new, clock.now() + hour).unwrap();
    for service in [JwksService::new(&ring), JwksService::new(&tokens)] {
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(NOW));
        let (_, text) = ask(&service, get()).await;
        assert_eq!(key_ids(&text), [old.key_id(), new.key_id()]);
        clock.advance(hour);
        let (_, text) = ask(&service, get()).await;
        assert_eq!(key_ids(&text), [new.key_id(), old.key_id()]);
        clock.advance(hour * 24 * 31);
        let (_, text) = ask(&service, get()).await;
        assert_eq!(key_ids(&text), [new.key_id()]);
    }
}

#[tokio::test]
async fn a_secret_is_never_served() {
    let secret = SigningKey::generate(Algorithm::HS256).unwrap();
    let tokens = TokenIssuer::builder(secret.clone())
        .previous_key(key().verifying_key())
        .issuer("me")
        .audience("api");
    let with_public = JwksService::new(&tokens.build().unwrap());
    let (_, text) = ask(&with_public, get()).await;
    assert_eq!(key_ids(&text).len(), 1);
    assert!(!text.contains("oct"));
    let (answer, text) = ask(&JwksService::new(KeyRing::new(secret)), get()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text, r#"{"keys":[]}"#);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_takes_the_service_as_a_route() {
    let app: axum::Router = axum::Router::new().route_service(
        tower_jwt_auth::jwks::JWKS_PATH,
        JwksService::new(KeyRing::new(key())),
    );
    let request = Request::get(tower_jwt_auth::jwks::JWKS_PATH);
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(key_ids(std::str::from_utf8(&body).unwrap()).len(), 1);
}

/// What hyper requires of a service and its body.
#[test]
fn hyper_takes_the_service_as_it_is() {
    type AnyError = Box<dyn std::error::Error + Send + Sync>;
    fn taken<S, B>(_: S)
    where
        S: tower::Service<Request<String>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<AnyError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data: Send, Error: Into<AnyError>> + Send + 'static,
    {
    }
    taken(JwksService::new(KeyRing::new(key())));
}
