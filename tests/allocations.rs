//! How often a request allocates: a limit, so that improvements are not lost.
//!
//! It is a program of its own, because the counting allocator counts for the whole program.
#![cfg(all(feature = "axum", feature = "aws-lc-rs"))]
#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use tower::{Layer as _, Service, service_fn};
use tower_jwt_auth::clock::{Clock as _, SystemClock};
use tower_jwt_auth::guard::{AnyOf, Scoped};
use tower_jwt_auth::layer::GrpcStatus;
use tower_jwt_auth::{
    Algorithm, JwtAuthLayer, JwtClaims, Require, SigningKey, TokenIssuer, TokenVerifier,
    VerifiedToken,
};

/// The allocations beyond those of the bare router, for a token that was not seen before, with typed claims.
const FIRST_SIGHT: u64 = 14;
/// The allocations beyond those of the bare router, for a token that was seen before. Three of them are the
/// strings of the handler's type.
#[cfg(feature = "cache")]
const REPEATED: u64 = 6;
/// The allocations of a refusal beyond those of the bare router, although a refusal does not run the handler.
const REFUSED: u64 = 6;

#[derive(Clone, Deserialize)]
struct User {
    sub: String,
    email: String,
    scope: String,
    tenant: u32,
}

fn tokens(algorithm: Algorithm) -> TokenIssuer {
    tokens_of("https://me.example", algorithm)
}

fn tokens_of(issuer: &str, algorithm: Algorithm) -> TokenIssuer {
    let key = SigningKey::generate(algorithm).unwrap();
    let builder = TokenIssuer::builder(key).issuer(issuer).audience("api");
    builder.build().unwrap()
}

fn token(tokens: &TokenIssuer) -> String {
    let claims = serde_json::json!({
        "email": "alice@example.com", "name": "Alice Example", "tenant": 42,
        "roles": ["reader", "writer"], "note": "x".repeat(80),
    });
    let token = tokens
        .access("alice")
        .scopes(["read", "write"])
        .claims(claims);
    token.issue().unwrap()
}

fn layered(tokens: &TokenIssuer) -> Router {
    behind(tokens.verifier())
}

fn behind(verifier: TokenVerifier) -> Router {
    let handler = async |JwtClaims(user): JwtClaims<User>| {
        assert!(user.sub == "alice" && user.tenant == 42);
        assert!(user.scope == "read write" && user.email == "alice@example.com");
    };
    Router::new()
        .route("/", get(handler))
        .layer(JwtAuthLayer::new(verifier))
        .with_state(())
}

/// Returns the allocations of the last of these requests, each of which gets the status `expected`.
fn count(mut router: Router, tokens: &[&str], expected: StatusCode) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut send = |token: &&str| {
        let mut request = Request::new(Body::empty());
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let counted = allocation_counter::measure(|| {
            let response = runtime.block_on(router.call(request)).unwrap();
            assert_eq!(response.status(), expected);
        });
        counted.count_total
    };
    tokens.iter().map(&mut send).last().unwrap()
}

tower_jwt_auth::scopes! {
    struct Read = "read";
    struct Write = "write";
    struct Admin = "admin";
}

#[test]
fn a_guard_that_lets_pass_allocates_nothing() {
    let tokens = tokens(Algorithm::HS256);
    let verifier = tokens.verifier();
    let claims = serde_json::json!({
        "tenant": 42, "roles": ["reader", "writer"], "org": {"id": "acme", "deep": [[[{"x": []}]]]},
        "amr": ["pwd", "otp"], "acr": "gold",
    });
    let token = tokens
        .access("alice")
        .scopes(["read", "write"])
        .claims(claims);
    let token = token.auth_time(SystemClock.now()).issue().unwrap();
    let token = verifier.verify_local(&token).unwrap();
    let minute = std::time::Duration::from_secs(60);
    let require = Require::all_scopes("read write")
        .and(Require::any_scope(["admin", "write"]))
        .and(Require::any_role(["writer", "owner"]).or(Require::role("none")))
        .and(Require::claim("org.id", "acme"))
        .and(Require::claim("tenant", 42))
        .and(Require::claim_contains("amr", "otp"))
        .and(Require::acr("gold").and(Require::recent_login(minute)))
        .and(Require::that(|token| token.subject().is_some()))
        .and(Require::claim("none", true).or(Require::scope("read")));
    let handler =
        service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(())));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut bare = handler;
    let mut guarded = require.layer(handler);
    let request = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(token.clone());
        request
    };
    let (to_bare, to_guarded) = (request(), request());
    let bare = allocation_counter::measure(|| {
        assert_eq!(runtime.block_on(bare.call(to_bare)).unwrap().status(), 200);
    });
    let over = allocation_counter::measure(|| {
        assert_eq!(
            runtime.block_on(guarded.call(to_guarded)).unwrap().status(),
            200
        );
    });
    assert_eq!(over.count_total, bare.count_total);

    let by_hand = allocation_counter::measure(|| {
        token.require(&require).unwrap();
        assert!(Scoped::<AnyOf<(Admin, (Read, Write))>>::new(token.clone()).is_ok());
    });
    assert_eq!(by_hand.count_total, 0);
}

fn count_bare(token: &str) -> u64 {
    let bare = Router::new().route("/", get(async || ())).with_state(());
    count(bare, &[token; 2], StatusCode::OK)
}

#[test]
fn a_good_token_with_typed_claims_keeps_to_the_budget() {
    for algorithm in [
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let tokens = tokens(algorithm);
        let (other, token) = (token(&tokens), token(&tokens));
        let over = count(layered(&tokens), &[&other, &token], StatusCode::OK) - count_bare(&token);
        assert!(over <= FIRST_SIGHT, "{algorithm}: {over} allocations");
    }
}

#[test]
fn a_refusal_keeps_to_the_budget() {
    let tokens = tokens(Algorithm::ES256);
    let good = token(&tokens);
    let forged = token(&self::tokens(Algorithm::ES256));
    for bad in ["not.a.token", &forged, &good[1..]] {
        let over = count(layered(&tokens), &[bad; 2], StatusCode::UNAUTHORIZED)
            .saturating_sub(count_bare(bad));
        assert!(over <= REFUSED, "{over} allocations");
    }
}

#[test]
fn a_hook_for_decisions_allocates_nothing() {
    let tokens = tokens(Algorithm::ES256);
    let token = token(&tokens);
    let router = |layer: JwtAuthLayer| {
        let routes = Router::new().route("/", get(async || ()));
        routes.route_layer(layer).with_state(())
    };
    let layer = || JwtAuthLayer::new(tokens.verifier());
    let without = count(router(layer()), &[&*token; 5], StatusCode::OK);
    let hooked = layer().on_decision(|decision| assert!(decision.kind().is_none()));
    let with = count(router(hooked), &[&*token; 5], StatusCode::OK);
    assert_eq!(with, without);
}

#[test]
fn a_responder_for_grpc_allocates_nothing_unless_it_is_needed() {
    let tokens = tokens(Algorithm::ES256);
    let token = token(&tokens);
    let verifier = tokens.verifier();
    let handler = service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<VerifiedToken>().is_some());
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let request = || {
        let request = Request::post("/").header("content-type", "application/grpc+proto");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(()).unwrap()
    };
    let layer = JwtAuthLayer::new(verifier);
    let mut plain = layer.clone().layer(handler);
    let mut grpc = layer.on_error(GrpcStatus).layer(handler);
    // The first request allocates what all requests share.
    runtime.block_on(plain.call(request())).unwrap();
    runtime.block_on(grpc.call(request())).unwrap();
    let (to_plain, to_grpc) = (request(), request());
    let without = allocation_counter::measure(|| {
        runtime.block_on(plain.call(to_plain)).unwrap();
    });
    let with = allocation_counter::measure(|| {
        runtime.block_on(grpc.call(to_grpc)).unwrap();
    });
    assert_eq!(with.count_total, without.count_total);
}

#[cfg(feature = "cache")]
#[test]
fn a_token_that_was_seen_before_keeps_to_the_budget() {
    for algorithm in [
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let tokens = tokens(algorithm);
        let token = token(&tokens);
        let over = count(layered(&tokens), &[&*token; 5], StatusCode::OK) - count_bare(&token);
        assert!(over <= REPEATED, "{tokens:?}: {over} allocations");
    }
}

/// Of several verifiers that are joined, the one that has seen the token is found without reading its claims.
#[cfg(feature = "cache")]
#[test]
fn a_token_seen_by_one_of_several_verifiers_keeps_to_the_budget() {
    let one = tokens(Algorithm::ES256);
    let other = tokens_of("https://other.example", Algorithm::ES256);
    let verifiers = [other.verifier(), one.verifier()];
    let joined = TokenVerifier::for_issuers(verifiers).unwrap();
    let token = token(&one);
    let over = count(behind(joined), &[&*token; 5], StatusCode::OK) - count_bare(&token);
    assert!(over <= REPEATED, "{over} allocations");
}
