//! JWT bearer authentication for [tower](https://docs.rs/tower), axum and hyper: a layer that
//! verifies, extractors that hand over typed claims, and around them issuing, revocation,
//! password hashing and configuration.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, body::Body, routing::get};
//! use http::{Request, StatusCode};
//! use serde::Deserialize;
//! use tower::ServiceExt;
//! use tower_jwt_auth::{Algorithm, JwtAuthLayer, JwtClaims, SigningKey, TokenIssuer};
//!
//! #[derive(Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn me(JwtClaims(user): JwtClaims<User>) -> String {
//!     user.sub
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let key = SigningKey::generate(Algorithm::HS256)?; // a service keeps its key: see `config`
//! let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
//! let app: Router =
//!     Router::new().route("/me", get(me)).route_layer(JwtAuthLayer::new(tokens.verifier()));
//!
//! let token = tokens.access("alice").issue()?;
//! let with_token = Request::get("/me").header("Authorization", format!("Bearer {token}"));
//! let answer = app.clone().oneshot(with_token.body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let answer = app.oneshot(Request::get("/me").body(Body::empty())?).await?;
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(answer.headers()["WWW-Authenticate"], r#"Bearer realm="api""#);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it thinks
//!
//! A [`TokenVerifier`] turns the text of a token into a [`VerifiedToken`], in this order:
//! size and form, header, key, signature, claims, revocation. To hold a [`VerifiedToken`]
//! is the proof: nothing else makes one. The [`JwtAuthLayer`] puts it into the extensions
//! of the request; extractors and guards ([`Require`]) read it there.
//!
//! A verdict is one of three. *Verified*: the request goes on. *Denied*: 400, 401 or 403 with
//! the challenge of RFC 6750. *Cannot be judged now*: 503 with `Retry-After`. A client's
//! mistake is never a 500; an outage is never a 401 and never a pass. A gRPC client gets a gRPC
//! status instead, if the layer is told to answer with [`GrpcStatus`](layer::GrpcStatus).
//!
//! One key serves one algorithm, chosen when the key is loaded and never by the token. What
//! is configured is required: a token without `iss`, `aud`, `exp` or `type` is refused. What
//! weakens a check has `dangerous` in its name.
//!
//! # What it is not
//!
//! No OAuth or OpenID provider, no client for one, no encrypted tokens (JWE), no cookies but that of
//! a refresh token, no users and no database: the starter example shows how to build those around it.
//! It verifies the tokens of identity providers ([how](_guide::providers)), asks them about opaque
//! ones ([introspection](_guide::introspection), RFC 7662) and receives their
//! [log-outs](_guide::backchannel_logout), but logs nobody in there.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | [`JwtClaims`] and [`VerifiedToken`] as extractors, tokens and errors as responses, for axum 0.8 |
//! | `password` | yes | [`PasswordService`]: Argon2id, and bcrypt to migrate from |
//! | `cache` | yes | `CachedRevocations`, a moka cache in front of a revocation store, a cache for signatures that were found good, and one for API keys |
//! | `aws-lc-rs` | yes | cryptography by aws-lc-rs; used where both are on |
//! | `rust-crypto` | no | cryptography by the RustCrypto crates: no C, several times slower on RSA and EC |
//! | `jwks` | no | `jwks`: keys of identity providers, by discovery, fetched and kept up to date; `credential::Introspection` of opaque tokens |
//! | `sqlite` | no | `SqliteSessions`, `SqliteRevocations`, `SqliteReplays` and `SqliteApiKeys`, through sqlx 0.9; needs Rust 1.94 |
//! | `postgres` | no | `PostgresSessions`, `PostgresRevocations`, `PostgresReplays` and `PostgresApiKeys`, through sqlx 0.9; needs Rust 1.94 |
//! | `redis` | no | `RedisSessions`, `RedisRevocations`, `RedisReplays`: for several nodes, with revocations pushed to each |
//! | `redis-cluster` | no | the same in a Redis cluster |
//! | `tracing` | no | events: refusals at debug, outages at warn, never a token or a claim |
//! | `testing` | no | `testing`: an issuer, an identity provider, a clock and ready tokens for the tests of an application; attacks on a whole service; the rules for stores |
//! | `full` | no | all of these but `rust-crypto` |
//!
//! One of `aws-lc-rs` and `rust-crypto` must be on.
//!
//! # Guide
//!
//! [Why 401?](_guide::why_401) · [threat model](_guide::threat_model) · [defaults and why](_guide::defaults) ·
//! [keys and their rotation](_guide::keys) · [tokens of other providers](_guide::providers) ·
//! [opaque tokens](_guide::introspection) · [logging out at the provider](_guide::backchannel_logout) ·
//! [MCP servers](_guide::mcp) ·
//! [sessions](_guide::sessions) · [bound tokens](_guide::bound_tokens) · [API keys](_guide::api_keys) · [databases and poolers](_guide::poolers) · [revocation](_guide::revocation) · [passwords](_guide::passwords) · [cookbook](_guide::cookbook)
//!
//! # How it is built
//!
//! Each file imports only from the floors below, or from those before it on its own floor:
//!
//! | floor | files |
//! |---|---|
//! | 5 frameworks | `extract`, `extract_dpop`, `extract_guards`, `respond`, `testing` |
//! | 4 http | `bearer`, `refresh_cookie`, `resource_metadata`, `layer`, `guard`, `backchannel_logout` |
//! | 3 services | `dpop`, `mtls`, `jwks`, `verifier`, `credential`, `issuer`, `sessions`, `dangerous`, `config` |
//! | 2 policy and stores | `policy`, `turns`, `slots`, `store`, `clean_up`, `sql`, `in_use`, `replay`, `revocation`, `session`, `event`, `api_key` |
//! | 1 keys and hashing | `keys`, `codec`, `jti`, `password` |
//! | 0 words | `body`, `grpc`, `challenge`, `claims`, `clock`, `names`, `origin`, `error`, `secret_file` |
#![cfg_attr(docsrs, feature(doc_cfg))]

// floor 0
mod body;
mod challenge;
pub mod claims;
pub mod clock;
mod grpc;
mod names;
mod origin;

mod error;
mod secret_file;

// floor 1
mod codec;
mod jti;
pub mod keys;
#[cfg(feature = "password")]
pub mod password;

// floor 2
mod policy;
#[cfg(feature = "cache")]
mod slots;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
pub mod store;
mod turns;

mod clean_up;

mod in_use;
mod replay;
pub mod revocation;
mod session;

mod event;

mod api_key;

// floor 3
pub mod dpop;
pub mod jwks;
pub mod mtls;

pub mod config;
pub mod credential;
pub mod dangerous;
pub mod issuer;
pub mod sessions;
pub mod verifier;

// floor 4
pub mod backchannel_logout;
mod bearer;
pub mod guard;
pub mod layer;
pub mod refresh_cookie;
pub mod resource_metadata;

// floor 5
#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "axum")]
mod extract_dpop;
#[cfg(feature = "axum")]
mod extract_guards;
#[cfg(feature = "axum")]
mod respond;
#[cfg(feature = "testing")]
pub mod testing;

pub use claims::set::Claims;
pub use error::{AuthError, AuthErrorKind, ConfigError};
#[cfg(feature = "axum")]
pub use extract::JwtClaims;
pub use guard::require::Require;
pub use issuer::service::TokenIssuer;
pub use keys::algorithm::Algorithm;
pub use keys::ring::KeyRing;
pub use keys::signing::SigningKey;
pub use keys::verifying::VerifyingKey;
pub use layer::layer::JwtAuthLayer;
#[cfg(feature = "password")]
pub use password::service::PasswordService;
pub use sessions::service::Sessions;
pub use verifier::judge::VerifiedToken;
pub use verifier::service::TokenVerifier;

#[doc = include_str!("guide/index.md")]
pub mod _guide {
    #[doc = include_str!("guide/getting_started.md")]
    pub mod getting_started {}
    #[doc = include_str!("guide/why_401.md")]
    pub mod why_401 {}
    #[doc = include_str!("guide/protecting_routes.md")]
    pub mod protecting_routes {}
    #[doc = include_str!("guide/permissions.md")]
    pub mod permissions {}
    #[doc = include_str!("guide/sessions.md")]
    pub mod sessions {}
    #[doc = include_str!("guide/logged_out.md")]
    pub mod logged_out {}
    #[doc = include_str!("guide/revocation.md")]
    pub mod revocation {}
    #[cfg(feature = "jwks")]
    #[doc = include_str!("guide/providers.md")]
    pub mod providers {}
    #[cfg(not(feature = "jwks"))]
    /// Providers one by one: enable the feature `jwks`.
    pub mod providers {}
    #[cfg(feature = "jwks")]
    #[doc = include_str!("guide/provider_keys.md")]
    pub mod provider_keys {}
    #[cfg(not(feature = "jwks"))]
    /// Provider keys and several issuers: enable the feature `jwks`.
    pub mod provider_keys {}
    #[cfg(feature = "jwks")]
    #[doc = include_str!("guide/introspection.md")]
    pub mod introspection {}
    #[cfg(not(feature = "jwks"))]
    /// Opaque tokens: enable the feature `jwks`.
    pub mod introspection {}
    #[doc = include_str!("guide/backchannel_logout.md")]
    pub mod backchannel_logout {}
    #[doc = include_str!("guide/mcp.md")]
    pub mod mcp {}
    #[doc = include_str!("guide/grpc.md")]
    pub mod grpc {}
    #[doc = include_str!("guide/api_keys.md")]
    pub mod api_keys {}
    #[doc = include_str!("guide/bound_tokens.md")]
    pub mod bound_tokens {}
    #[cfg(feature = "password")]
    #[doc = include_str!("guide/passwords.md")]
    pub mod passwords {}
    #[cfg(not(feature = "password"))]
    /// Passwords: enable the feature `password`.
    pub mod passwords {}
    #[doc = include_str!("guide/keys.md")]
    pub mod keys {}
    #[doc = include_str!("guide/operating.md")]
    pub mod operating {}
    #[doc = include_str!("guide/poolers.md")]
    pub mod poolers {}
    #[doc = include_str!("guide/testing.md")]
    pub mod testing {}
    #[doc = include_str!("guide/migrating.md")]
    pub mod migrating {}
    #[doc = include_str!("guide/migrating_crates.md")]
    pub mod migrating_crates {}
    #[doc = include_str!("guide/threat_model.md")]
    pub mod threat_model {}
    #[doc = include_str!("guide/defaults.md")]
    pub mod defaults {}
    #[doc = include_str!("guide/design.md")]
    pub mod design {}
    #[doc = include_str!("guide/cookbook.md")]
    pub mod cookbook {}
}

#[cfg(all(doctest, feature = "axum", feature = "password", feature = "cache"))]
#[doc = include_str!("../README.md")]
struct Readme;
