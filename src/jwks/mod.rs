//! JWK sets (RFC 7517): serves your own public keys, and fetches those of identity providers.
//!
//! - [`JwksService`] serves the keys of an issuer, so that other services can verify its tokens.
//! - With the feature `jwks`, `RemoteJwks` fetches the keys of an identity provider and keeps them up to
//!   date. Requests never wait for keys that are known.
//!
//! # Keys of an identity provider
//!
//! ```no_run
//! # #[cfg(feature = "jwks")]
//! # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
//! use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
//!
//! let verifier =
//!     TokenVerifier::builder().discover("https://idp.example/").audience("api").build()?;
//! let layer = JwtAuthLayer::new(verifier);
//! # let _ = layer; Ok(()) }
//! ```
//!
//! How keys are fetched and used:
//!
//! - **A token whose key is known** is verified at once, even while keys are being fetched. Reading the keys
//!   takes no lock.
//! - **Keys are refreshed** in the background when about 80 % of the response's `max-age` has passed. A
//!   shorter `max-age` counts as 60 seconds, a longer one as 24 hours, and a missing one as 10 minutes. The
//!   keys are replaced only by a response with status 200 and at least one usable key. Keys that the new
//!   response does not contain are no longer accepted.
//! - **An unknown key id** causes a fetch, at most one every 30 seconds for each issuer. Up to 1,024 requests
//!   wait for the same fetch, each for at most 5 seconds. If the key is still unknown, the token is refused
//!   with 401, and its key id causes no other fetch for a minute. If the fetch has failed, the response is
//!   503, because the provider might know the key.
//! - **A signature that the known key does not verify**, or a key with another algorithm than the token, also
//!   causes a fetch, because the provider may have replaced the key by one with the same id. The limit is the
//!   same: one fetch every 30 seconds, however many forged tokens arrive. If there is a new key, the token is
//!   verified with it in the same request, and tokens of the old key are refused from then on. If the key has
//!   not changed, the response is 401, and if the fetch has failed, 503.
//!   [`KeySourceHealth::changed`](crate::keys::KeySourceHealth::changed) lists replaced keys.
//! - **While the provider is down**, cached keys stay valid for [one hour](crate::guide::providers) past
//!   their expiry. After that, or if no keys were ever fetched, the response is 503 with `Retry-After`.
//!   Fetches are tried again with exponential backoff from 1 second to 5 minutes, with full jitter.
//! - **Unusable keys** (of an unknown kind, for encryption, weak, broken, with private members, or two with
//!   the same id and algorithm) are skipped, and [`KeySourceHealth`](crate::keys::KeySourceHealth) says why.
//!   The other keys are used.
//!
//! # Security
//!
//! By default, keys are fetched only over https, and not from private addresses. Redirects are never followed.
//! Each request may take 5 seconds, and a response may have 512 KiB and 100 keys. The metadata must name the
//! configured issuer, byte for byte, and the keys must be at the issuer's origin unless you allow another one.
//! Nothing in a token can cause a request to another URL: `jku` and `x5u` are ignored.

#[cfg(feature = "jwks")]
mod remote;
mod serve;

#[cfg(feature = "jwks")]
pub use remote::{
    BoxError, HttpClient, HttpsClient, HttpsClientBuilder, RemoteJwks, RemoteJwksBuilder,
    ServiceClient,
};
pub use serve::{DEFAULT_JWKS_MAX_AGE, JWKS_PATH, JwksBody, JwksService, PublishedKeys};

#[cfg(feature = "jwks")]
pub(crate) use remote::{
    Address, AddressRules, Discovery, DynHttpClient, FetchError, Sought, chance, exchange, request,
    unavailable,
};
pub(crate) use serve::{IssuerKeySet, is_known};
