//! The routes: the MCP endpoint for valid tokens, and its metadata and health checks for everyone.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::from_fn;
use axum::routing::get;
use axum::{Router, extract::State};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tower_http::cors::CorsLayer;
use tower_jwt_auth::layer::ProblemJson;
use tower_jwt_auth::resource_metadata::{ResourceMetadata, WELL_KNOWN_PATH};
use tower_jwt_auth::{ConfigError, JwtAuthLayer, TokenVerifier};

use crate::notes::{FIRST_SCOPE, Notes, SCOPES};
use crate::refusal;
use crate::settings::Settings;

pub(crate) fn router(settings: &Settings) -> Result<Router, ConfigError> {
    let metadata = ResourceMetadata::builder(&settings.resource, &settings.verifier)
        .scopes_supported(SCOPES)
        .resource_name("Notes")
        .build()?;
    let auth = JwtAuthLayer::new(settings.verifier.clone())
        .resource_metadata(&metadata)
        .challenge_scope(FIRST_SCOPE)
        .on_error(ProblemJson);
    // The path of the endpoint is that of the resource identifier.
    let path = match metadata.path().strip_prefix(WELL_KNOWN_PATH) {
        None | Some("") => "/",
        Some(path) => path,
    };
    Ok(Router::new()
        .route_service(path, mcp(settings))
        .route_layer(from_fn(refusal::as_response))
        .route_layer(auth)
        // Outside the layer, because preflight requests have no token. The metadata has its own headers.
        .layer(cors(&settings.origins))
        .route_service(metadata.path(), metadata.clone())
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz).with_state(settings.verifier.clone())))
}

/// Returns the MCP server. The layer in front has verified the token of each request.
fn mcp(settings: &Settings) -> StreamableHttpService<Notes, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        // No sessions: another user with a valid token could continue one, and clients could open too many.
        .with_legacy_session_mode(false)
        // The status of the response is not sent before the tool has finished.
        .with_json_response(true)
        .with_max_request_body_bytes(64 * 1024)
        // Against DNS rebinding: the names of this server, and the pages that may call it.
        .with_allowed_hosts([settings.host(), "localhost", "127.0.0.1", "::1"])
        .with_allowed_origins(settings.origins_with_ports())
        .enforce_origin_validation();
    let notes = Notes::new();
    let sessions = Arc::new(NeverSessionManager::default());
    StreamableHttpService::new(move || Ok(notes.clone()), sessions, config)
}

/// Returns the CORS layer for clients that are web pages. Without the exposed header, they cannot read the
/// challenge.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter();
    let origins: Vec<HeaderValue> = origins.filter_map(|origin| origin.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("mcp-method"),
            HeaderName::from_static("mcp-name"),
            HeaderName::from_static("mcp-protocol-version"),
        ])
        .expose_headers([WWW_AUTHENTICATE])
}

/// Ready if the tokens of at least one authorization server can be verified; those of the others get 503. The
/// reason why one is unavailable is in the log.
async fn readyz(State(verifier): State<TokenVerifier>) -> (StatusCode, &'static str) {
    if verifier.health().iter().any(|keys| keys.state.is_ready()) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no keys")
    }
}
