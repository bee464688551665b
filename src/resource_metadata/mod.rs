//! OAuth 2.0 protected resource metadata (RFC 9728): tells clients where to get a token for this service.
//!
//! A client that knows only the URL of an API, such as a client of the Model Context Protocol, sends a
//! request without a token. The 401 names the URL of a [`ResourceMetadata`] document. The document names the
//! authorization servers, the resource identifier for which to request a token, and the scopes.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_jwt_auth::resource_metadata::ResourceMetadata;
//! use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenVerifier};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let key = SigningKey::generate(Algorithm::ES256)?.verifying_key();
//! let verifier = TokenVerifier::builder()
//!     .keys(key) // or, with the feature `jwks`: `.discover("https://idp.example")`
//!     .issuer("https://idp.example")
//!     .audience("https://api.example/notes")
//!     .build()?;
//! let metadata = ResourceMetadata::builder("https://api.example/notes", &verifier)
//!     .scopes_supported(["notes:read", "notes:write"])
//!     .build()?;
//! let auth = JwtAuthLayer::new(verifier)
//!     .resource_metadata(&metadata)
//!     .challenge_scope("notes:read");
//! let app: Router = Router::new()
//!     .route("/notes", get(async || "[]"))
//!     .route_layer(auth)
//!     .route_service(metadata.path(), metadata.clone()); // after the layer: open to everyone
//!
//! let refused = app.clone().oneshot(Request::get("/notes").body(Body::empty())?).await?;
//! assert_eq!(
//!     refused.headers()["WWW-Authenticate"],
//!     "Bearer realm=\"api\", scope=\"notes:read\", \
//!      resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/notes\"",
//! );
//! let path = "/.well-known/oauth-protected-resource/notes";
//! let answer = app.oneshot(Request::get(path).body(Body::empty())?).await?;
//! let document = axum::body::to_bytes(answer.into_body(), 4096).await?;
//! let document: serde_json::Value = serde_json::from_slice(&document)?;
//! assert_eq!(document["resource"], "https://api.example/notes");
//! assert_eq!(document["authorization_servers"][0], "https://idp.example");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! See also the chapter of the guide about [MCP servers](crate::guide::mcp).

mod address;
mod builder;
mod document;
mod service;

pub use builder::ResourceMetadataBuilder;
pub use document::{
    DEFAULT_METADATA_MAX_AGE, ResourceMetadata, ResourceMetadataUrl, WELL_KNOWN_PATH,
};
