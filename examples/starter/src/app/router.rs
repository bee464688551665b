//! The routes of all chapters, and the middleware in front of them.

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::jwks::{JWKS_PATH, JwksService};
use tower_jwt_auth::layer::ProblemJson;
use utoipa_axum::router::OpenApiRouter;

use super::App;
use crate::admin; // chapter: admin
use crate::api_keys; // chapter: api-keys
use crate::avatars; // chapter: avatars
use crate::config::MetricsPlace; // chapter: metrics
use crate::metrics; // chapter: metrics
use crate::operations::{health, openapi};
use crate::page; // chapter: page
use crate::passkeys; // chapter: passkeys
use crate::second_factor; // chapter: second-factor
use crate::sessions::BoundTokens;
use crate::sms; // chapter: sms
use crate::social_login; // chapter: social-login
use crate::{accounts, edge, sessions};

/// The middleware that lets a request pass only with a valid access token. Each chapter puts it in front of
/// the routes that need one.
pub(crate) type RequireToken = JwtAuthLayer<ProblemJson>;

/// Builds the router. A new chapter adds one line here.
pub(super) fn router(app: &App) -> Router {
    let parts = app.parts();
    let token = require_token(app);
    // For the routes that programs may call with an API key instead of a session.
    let token_or_key = token.clone();
    let token_or_key = token_or_key.credentials(parts.api_keys.verifier()); // chapter: api-keys
    let api = OpenApiRouter::with_openapi(openapi::base())
        .merge(accounts::routes(&token, &token_or_key))
        .merge(sessions::routes(&token))
        .merge(health::routes());
    let api = api.merge(second_factor::routes(&token)); // chapter: second-factor
    let api = api.merge(passkeys::routes(&token)); // chapter: passkeys
    let api = api.merge(sms::routes(&token)); // chapter: sms
    let api = api.merge(avatars::routes(&token_or_key)); // chapter: avatars
    let api = api.merge(social_login::routes(&token)); // chapter: social-login
    let api = api.merge(admin::routes(&token)); // chapter: admin
    let api = api.merge(api_keys::routes(&token)); // chapter: api-keys
    let (api, description) = api.split_for_parts();
    let address = parts.bound_tokens.as_ref().map(BoundTokens::address);
    let routes = Router::new()
        .merge(openapi::routes(description, address))
        .merge(page::routes(address)) // chapter: page
        .route_service(JWKS_PATH, JwksService::new(&parts.tokens));
    // chapter: metrics {
    let routes = match &parts.operations.metrics {
        MetricsPlace::Main => routes.merge(metrics::routes(parts.metrics.clone())),
        _ => routes,
    };
    // chapter: metrics }
    // Comes last, so that an unknown path gets a response of the API.
    let routes = routes.merge(api.with_state(app.clone()));
    // All middleware is in one layer: axum boxes each layer for each route, and clones the boxes with every
    // request.
    let Some(cors) = edge::cors(&parts.operations.cors_origins) else {
        return routes.layer(from_fn_with_state(app.clone(), edge::observe_and_protect));
    };
    let observe = from_fn_with_state(app.clone(), edge::observe);
    let protect = from_fn_with_state(app.clone(), edge::protect);
    // A preflight carries no token, so it is answered before the token is checked.
    routes.layer(
        ServiceBuilder::new()
            .layer(observe)
            .layer(cors)
            .layer(protect),
    )
}

fn require_token(app: &App) -> RequireToken {
    let parts = app.parts();
    let token = JwtAuthLayer::new(parts.tokens.verifier());
    // Besides bearer tokens, it accepts tokens that are bound to a key, each with a proof.
    let token = match &parts.bound_tokens {
        Some(bound) => token.dpop(bound.dpop()),
        None => token,
    };
    // chapter: metrics {
    let metrics = parts.metrics.clone();
    let token = token.on_decision(move |decision| metrics.decided(decision));
    // chapter: metrics }
    // Guards and extractors use the same format for errors.
    token.on_error(ProblemJson)
}
