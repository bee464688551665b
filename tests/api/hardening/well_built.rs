//! Services that are built as the documentation says pass every attack.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_jwt_auth::layer::GrpcStatus;
use tower_jwt_auth::testing::{Hardening, TestIssuer, assert_hardened};
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer, TokenVerifier};

use crate::support::{NOW, SECRET, builder, probe, signed};

fn kit(issuer: &TestIssuer) -> Hardening {
    let token = issuer
        .tokens()
        .access("alice")
        .scope("write")
        .issue()
        .unwrap();
    Hardening::new(issuer, token).unwrap()
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_axum_router_passes_with_each_kind_of_key() {
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use tower_jwt_auth::{JwtClaims, Require};

    for algorithm in [
        Algorithm::HS256,
        Algorithm::HS512,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let issuer = TestIssuer::with_algorithm(algorithm).unwrap();
        let app: Router = Router::new()
            .route("/orders", get(|_: JwtClaims| async { "2 orders" }))
            .route(
                "/orders/{id}",
                post(|Json(new): Json<u8>| async move { new.to_string() }),
            )
            .route(
                "/admin",
                get(|| async { "hello" }).route_layer(Require::scope("write")),
            )
            .route_layer(JwtAuthLayer::new(issuer.verifier()))
            .route("/healthz", get(|| async { "up" }));
        let post = Request::post("/orders/7?draft=1").header(CONTENT_TYPE, "application/json");
        let kit = kit(&issuer)
            .route(Method::GET, "/orders")
            .route(Method::GET, "/admin")
            .request(post.body("5".to_owned()).unwrap())
            .header(HOST, HeaderValue::from_static("api.example"));
        assert_hardened(app, &kit).await;
    }
}

#[tokio::test]
async fn a_hyper_service_passes() {
    let tokens = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .issuer("me")
        .audience("api")
        .build()
        .unwrap();
    let layer = JwtAuthLayer::new(tokens.verifier());
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"2 orders"))))
    });
    // The service behind the layer responds to each path alike, and all paths are protected.
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let key = SigningKey::hs256(SECRET).unwrap();
    let token = tokens.access("alice").issue().unwrap();
    let kit = Hardening::with_key(&key, token)
        .unwrap()
        .route(Method::GET, "/orders");
    assert_hardened(service, &kit.body(Full::from)).await;
}

#[tokio::test]
async fn a_service_with_cached_signatures_passes() {
    let issuer = TestIssuer::with_algorithm(Algorithm::ES256).unwrap();
    let verifier = issuer.tokens().verifier_builder();
    #[cfg(feature = "cache")]
    let verifier = verifier.cached_tokens(1000);
    let service = JwtAuthLayer::new(verifier.build().unwrap()).layer(probe());
    let kit = kit(&issuer).route(Method::DELETE, "/");
    assert_hardened(service, &kit.body(|text| text)).await;
}

#[tokio::test]
async fn a_grpc_service_passes() {
    let issuer = TestIssuer::new().unwrap();
    let layer = JwtAuthLayer::new(issuer.verifier()).on_error(GrpcStatus);
    let grpc = HeaderValue::from_static("application/grpc");
    let kit = kit(&issuer)
        .route(Method::POST, "/shop.Orders/List")
        .header(CONTENT_TYPE, grpc);
    assert_hardened(layer.layer(probe()), &kit.body(|text| text)).await;
}

#[tokio::test]
async fn services_for_tokens_of_providers_pass() {
    use hmac::Mac as _;

    for profile in [TokenProfile::Compatible, TokenProfile::Rfc9068] {
        let typ = if profile == TokenProfile::Rfc9068 {
            "at+jwt"
        } else {
            "JWT"
        };
        let claims = format!(
            r#"{{"iss":"https://id.example","aud":["api","x"],"sub":"7","client_id":"c","jti":"j","iat":{NOW},"exp":{}}}"#,
            NOW + 600
        );
        let good = signed(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), claims);
        let verifier = TokenVerifier::builder()
            .keys(SigningKey::hs256(SECRET).unwrap().verifying_key())
            .issuer("https://id.example")
            .audience("api")
            .profile(profile)
            .clock(builder().1)
            .build()
            .unwrap();
        let kit = Hardening::with_signer(good, |message| {
            let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        });
        let service = JwtAuthLayer::new(verifier).layer(probe());
        let kit = kit.unwrap().body(|text| text);
        assert_hardened(service, &kit.route(Method::GET, "/")).await;
    }
}

#[cfg(feature = "jwks")]
#[tokio::test]
async fn a_service_with_keys_by_discovery_passes() {
    let provider = tower_jwt_auth::testing::TestProvider::start().unwrap();
    let verifier = provider.verifier_builder().unwrap().build().unwrap();
    let good = provider.access("alice").issue().unwrap();
    let kit = Hardening::with_key(&provider.signing_key().unwrap(), good).unwrap();
    let kit = kit.body(|text| text).route(Method::GET, "/");
    assert_hardened(JwtAuthLayer::new(verifier).layer(probe()), &kit).await;
    assert!(provider.key_requests() < 5, "forged tokens cause fetches");
}
