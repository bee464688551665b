//! JWT authentication for [tower](https://docs.rs/tower), [axum](https://docs.rs/axum) and hyper. A
//! middleware verifies the bearer token of each request, and extractors give your handlers typed claims. The
//! crate also issues tokens, keeps sessions, revokes tokens, rotates keys, hashes passwords, and verifies API
//! keys and the tokens of identity providers.
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
//! let key = SigningKey::generate(Algorithm::HS256)?; // a real service loads its key: see `config`
//! let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
//! let app: Router =
//!     Router::new().route("/me", get(me)).route_layer(JwtAuthLayer::new(tokens.verifier()));
//!
//! let token = tokens.access("alice").issue()?;
//! let with_token = Request::get("/me").header("Authorization", format!("Bearer {token}"));
//! let response = app.clone().oneshot(with_token.body(Body::empty())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! let response = app.oneshot(Request::get("/me").body(Body::empty())?).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(response.headers()["WWW-Authenticate"], r#"Bearer realm="api""#);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! | task | type |
//! |---|---|
//! | protect routes | [`JwtAuthLayer`] |
//! | read the claims in an axum handler | [`JwtClaims`]; or [`VerifiedToken`] for the token itself |
//! | require a scope, a role, a claim or a recent login | [`Require`]; as an extractor, see [`guard`] |
//! | issue tokens | [`TokenIssuer`] |
//! | keep users logged in, with refresh tokens and logout | [`Sessions`] |
//! | keep the refresh token of a browser in a cookie | [`RefreshCookie`](refresh_cookie::RefreshCookie) |
//! | verify the tokens of an identity provider | [`TokenVerifier`] with `discover` or a `Preset` (feature `jwks`) |
//! | verify opaque tokens (RFC 7662) | `credential::Introspection` (feature `jwks`) |
//! | create and verify API keys | [`ApiKeys`](credential::api_keys::ApiKeys) |
//! | revoke tokens before they expire | a store of [`revocation`], such as [`MemoryRevocations`](revocation::MemoryRevocations) |
//! | load a key | [`SigningKey`], [`VerifyingKey`], or a [`KeySet`](keys::KeySet) of several |
//! | rotate keys without a restart | [`KeyRing`] |
//! | publish your keys | [`JwksService`](jwks::JwksService) |
//! | hash and verify passwords | [`PasswordService`] |
//! | bind tokens to their client | [`Dpop`](dpop::Dpop), [`ClientCertificates`](mtls::ClientCertificates) |
//! | receive logouts from an identity provider | [`BackchannelLogout`](backchannel_logout::BackchannelLogout) |
//! | protect an MCP server | [`ResourceMetadata`](resource_metadata::ResourceMetadata) |
//! | read settings from the environment | [`AuthConfig`](config::AuthConfig) |
//! | test an application | `testing` (feature `testing`), [`ManualClock`](clock::ManualClock) |
//!
//! # How it works
//!
//! A [`TokenVerifier`] turns the text of a token into a [`VerifiedToken`]. It checks, in this order, the size
//! and form of the token, its header, key, signature and claims, and whether it was revoked. A
//! [`VerifiedToken`] has no public constructor, so holding one proves that all checks have passed. The
//! [`JwtAuthLayer`] puts it into the extensions of the request, where extractors and guards ([`Require`])
//! find it.
//!
//! There are three verdicts:
//!
//! - *Verified*: the request goes on.
//! - *Denied*: the response is 400, 401 or 403, with the challenge of RFC 6750.
//! - *Cannot be judged now*, because a store or a key server is unavailable: the response is 503 with
//!   `Retry-After`.
//!
//! A mistake of a client is never answered with 500. By default, an outage is never answered with 401, and
//! never lets an unchecked token through. With [`GrpcStatus`](layer::GrpcStatus), gRPC clients get a gRPC
//! status instead.
//!
//! Each key is bound to one algorithm when it is loaded, and the token cannot choose another one. `iss`,
//! `aud` and `exp` are required by default, and so is the `type` of tokens of this crate. Every setting that
//! weakens a check has `dangerous` in its name.
//!
//! Mistakes in the settings are found at start-up and reported as a [`ConfigError`]. Refused requests are
//! described by an [`AuthError`].
//!
//! # What it does not do
//!
//! - It is neither an OAuth or OpenID provider nor a client that logs users in at one. It verifies the tokens
//!   of identity providers ([guide](guide::providers)), asks them about opaque tokens
//!   ([guide](guide::introspection)), and receives their logouts ([guide](guide::backchannel_logout)).
//! - It does not manage users. The starter example shows a complete service with registration and login.
//! - It does not support encrypted tokens (JWE), and sets no cookie except that of a refresh token.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | extractors and responses for axum 0.8: [`JwtClaims`], [`VerifiedToken`], tokens, errors |
//! | `password` | yes | [`PasswordService`]: Argon2id, and bcrypt for migration |
//! | `cache` | yes | `CachedRevocations`, a cache in front of a revocation store; caches for verified signatures and API keys |
//! | `aws-lc-rs` | yes | cryptography by aws-lc-rs; it is used if both back ends are enabled |
//! | `rust-crypto` | no | cryptography by the RustCrypto crates: needs no C compiler (except with `jwks`, for ring, and `sqlite`), but is several times slower for RSA and EC |
//! | `jwks` | no | keys of identity providers, discovered, fetched and kept up to date; `credential::Introspection` of opaque tokens |
//! | `sqlite` | no | `SqliteSessions`, `SqliteRevocations`, `SqliteReplays` and `SqliteApiKeys`, through sqlx 0.9; needs Rust 1.94 |
//! | `postgres` | no | `PostgresSessions`, `PostgresRevocations`, `PostgresReplays` and `PostgresApiKeys`, through sqlx 0.9; needs Rust 1.94 |
//! | `redis` | no | `RedisSessions`, `RedisRevocations` and `RedisReplays`, for several nodes; revocations are pushed to each node |
//! | `redis-cluster` | no | the same stores in a Redis cluster |
//! | `tracing` | no | events through the `tracing` crate: refusals at debug, outages at warn, never with a token or a claim |
//! | `testing` | no | the module `testing`: a test issuer and identity provider, ready tokens, attacks on a whole service, conformance tests for stores |
//! | `full` | no | all of these except `rust-crypto` |
//!
//! One of `aws-lc-rs` and `rust-crypto` is required. They are also the features of `jsonwebtoken` 11. If other
//! code in the program calls `jsonwebtoken` itself, enable the same one there: its own functions panic if both
//! are on and no [`CryptoProvider`](https://docs.rs/jsonwebtoken/latest/jsonwebtoken/crypto/struct.CryptoProvider.html)
//! is installed.
//!
//! # Guide
//!
//! The [guide] has a page for each task. Good places to begin:
//!
//! - [Getting started](guide::getting_started): a protected route, a login, a role, an API key, a provider
//! - [Why 401?](guide::why_401): the causes of each refusal, and how to fix them
//! - [My users are logged out at random](guide::logged_out)
//! - [Migrating](guide::migrating) from another crate or from your own code
//! - [Operating it](guide::operating), and the [security model](guide::security_model)
#![cfg_attr(docsrs, feature(doc_cfg))]

// The modules stand in floors: each imports only from lower floors, or from those before it on its own floor.
// `tests/floor_plan.rs` lists and checks them.

// floor 0: words
mod body;
mod challenge;
pub mod claims;
pub mod clock;
mod grpc;
mod names;
mod origin;

mod error;
mod secret_file;
mod sync;

// floor 1: keys and hashing
mod codec;
mod jti;
pub mod keys;
#[cfg(feature = "password")]
pub mod password;

// floor 2: policy and stores
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

// floor 3: services
pub mod dpop;
pub mod jwks;
pub mod mtls;

pub mod config;
pub mod credential;
pub mod dangerous;
pub mod issuer;
pub mod sessions;
pub mod verifier;

// floor 4: HTTP
pub mod backchannel_logout;
mod bearer;
pub mod guard;
pub mod layer;
pub mod refresh_cookie;
pub mod resource_metadata;

// floor 5: frameworks
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

#[doc(inline)]
pub use claims::set::Claims;
#[doc(inline)]
pub use error::{AuthError, AuthErrorKind, ConfigError};
#[cfg(feature = "axum")]
#[doc(inline)]
pub use extract::JwtClaims;
#[doc(inline)]
pub use guard::require::Require;
#[doc(inline)]
pub use issuer::service::TokenIssuer;
#[doc(inline)]
pub use keys::algorithm::Algorithm;
#[doc(inline)]
pub use keys::ring::KeyRing;
#[doc(inline)]
pub use keys::signing::SigningKey;
#[doc(inline)]
pub use keys::verifying::VerifyingKey;
#[doc(inline)]
pub use layer::layer::JwtAuthLayer;
#[cfg(feature = "password")]
#[doc(inline)]
pub use password::service::PasswordService;
#[doc(inline)]
pub use sessions::service::Sessions;
#[doc(inline)]
pub use verifier::judge::VerifiedToken;
#[doc(inline)]
pub use verifier::service::TokenVerifier;

#[doc = include_str!("guide/index.md")]
pub mod guide {
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
    #[doc = include_str!("guide/security_model.md")]
    pub mod security_model {}
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
