//! The behavior of the crate through its public API.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

#[cfg(feature = "testing")]
mod api_key_store;
mod api_keys;
mod backchannel_logout;
#[cfg(feature = "cache")]
mod cached_tokens;
mod config;
mod config_keys;
mod config_messages;
#[cfg(feature = "jwks")]
mod config_providers;
mod credentials;
mod dangerous;
mod decisions;
#[cfg(feature = "testing")]
mod dpop;
#[cfg(feature = "axum")]
mod error_responses;
mod errors;
#[cfg(feature = "axum")]
mod extract;
mod field;
mod grpc;
#[cfg(feature = "axum")]
mod guards;
#[cfg(feature = "testing")]
mod hardening;
mod issue_verify;
mod issuer_patterns;
mod issuers;
mod jwks_route;
mod key_messages;
mod key_ring;
mod key_ring_bad_file;
mod key_ring_clock;
#[cfg(unix)]
mod key_ring_disk;
mod key_ring_file;
mod key_ring_load;
mod key_ring_lock;
mod key_ring_replaced;
mod key_ring_shared;
mod key_ring_support;
mod keys;
mod layer;
#[cfg(feature = "cache")]
mod one_judge;
mod optional_cookies;
#[cfg(feature = "password")]
mod password;
#[cfg(feature = "jwks")]
mod presets;
mod profiles;
mod providers;
mod refresh_cookie;
mod resolver;
mod resource_metadata;
mod revocation;
mod roles;
#[cfg(feature = "axum")]
mod routing;
#[cfg(unix)]
mod secret_files;
#[cfg(feature = "testing")]
mod session_store;
mod sessions;
mod several_keys;
mod sources;
mod stderr;
mod streams;
mod support;
mod why_401;
