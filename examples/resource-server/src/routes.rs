//! The routes: for anyone, for a valid token, for a scope, for a role, and two for the operator.

use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tower_jwt_auth::{JwtAuthLayer, Require, TokenVerifier, VerifiedToken};

pub(crate) fn router(verifier: TokenVerifier) -> Router {
    Router::new()
        .route("/me", get(me))
        .route(
            "/reports",
            get(reports).route_layer(Require::scope("reports:read")),
        )
        .route("/audit", get(audit).route_layer(Require::role("auditor")))
        .route_layer(JwtAuthLayer::new(verifier.clone()))
        // The routes from here on need no token.
        .route(
            "/",
            get(async || "an API for tokens of other providers: try /me\n"),
        )
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz).with_state(verifier))
}

/// Returns the verified claims, as the provider wrote them.
async fn me(token: VerifiedToken) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        token.payload().to_owned(),
    )
}

/// The identity of a user is the issuer together with the subject: a subject alone is unique only at its
/// provider.
async fn reports(token: VerifiedToken) -> impl IntoResponse {
    Json(json!({"reports": [], "for": {"issuer": token.issuer(), "subject": token.subject()}}))
}

/// A scope says what the client may do, and a role what the user may do.
async fn audit(token: VerifiedToken) -> impl IntoResponse {
    Json(json!({"roles": token.roles().collect::<Vec<_>>()}))
}

/// Ready if the tokens of at least one provider can be verified; those of the others get 503. The reason why
/// a provider is unavailable is in the log, not on a page that anyone can read.
async fn readyz(State(verifier): State<TokenVerifier>) -> impl IntoResponse {
    let health = verifier.health();
    let ready = health.iter().any(|issuer| issuer.state.is_ready());
    let issuers = health.iter().map(|issuer| {
        json!({
            "issuer": issuer.name, "state": issuer.state.as_str(), "keys": issuer.keys,
            "age_seconds": issuer.age.map(|age| age.as_secs()), "failures": issuer.failures,
        })
    });
    let body = json!({"ready": ready, "issuers": issuers.collect::<Vec<_>>()});
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}
