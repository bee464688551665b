//! OpenID Connect Back-Channel Logout 1.0: a logout at the identity provider ends the access tokens here.
//!
//! A provider sends a logout token to each service that the user was logged in to. [`BackchannelLogout`] is
//! the tower service that receives it. It verifies the token (sections 2.4 and 2.6), records in the
//! [revocation store](crate::revocation) what has ended, and calls the application. From then on, requests
//! with an older access token are refused, and streams that wait for
//! [`VerifiedToken::ended`](crate::VerifiedToken::ended) end. The guide says [how to set it up, and what
//! providers do](crate::guide::backchannel_logout).
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::Router;
//! use tower_jwt_auth::backchannel_logout::BackchannelLogout;
//! use tower_jwt_auth::revocation::MemoryRevocations;
//! use tower_jwt_auth::verifier::TokenProfile;
//! use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
//!
//! # use std::time::Duration;
//! # use tower_jwt_auth::{Algorithm, SigningKey};
//! # let key = SigningKey::generate(Algorithm::ES256)?.verifying_key();
//! let revocations = MemoryRevocations::new(); // for several nodes: a store that they share
//!
//! let access_tokens = TokenVerifier::builder()
//!     .keys(key.clone()) // or `.discover("https://idp.example")`
//!     .issuer("https://idp.example")
//!     .audience("https://api.example")
//!     .profile(TokenProfile::Compatible)
//!     .max_lifetime(Duration::from_secs(3600))
//!     .revocation(revocations.clone())
//!     .build()?;
//! let logout_tokens = TokenVerifier::builder()
//!     .keys(key)
//!     .issuer("https://idp.example")
//!     .audience("my-client-id")
//!     .profile(TokenProfile::LogoutToken)
//!     .build()?;
//! let logout = BackchannelLogout::builder(logout_tokens, revocations)
//!     .access_tokens(&access_tokens)
//!     .build()?;
//!
//! let app: Router = Router::new()
//!     .route("/orders", axum::routing::get(async || "orders"))
//!     .route_layer(JwtAuthLayer::new(access_tokens))
//!     .route_service("/backchannel-logout", logout); // outside of the layer
//! # let _ = app; }
//! # Ok::<(), tower_jwt_auth::ConfigError>(())
//! ```

mod act;
mod builder;
mod form;
mod logout;
mod service;

pub use builder::{BackchannelLogoutBuilder, DEFAULT_MAX_ACCESS_TTL};
pub use logout::Logout;
pub use service::{BackchannelLogout, BackchannelLogoutFuture, MAX_LOGOUT_REQUEST_BYTES};
