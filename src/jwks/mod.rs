//! JWK sets (RFC 7517): serving the public keys of one's own, and fetching those of identity providers.
//!
//! - [`JwksService`] serves the keys of an issuer, so that other services can verify its tokens.
//! - With the feature `jwks`, `RemoteJwks` fetches the keys of an identity provider, keeps them up to
//!   date, and never makes a request wait for keys that are known.
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
//! What happens when:
//!
//! - **A good token whose key is known** is verified at once, whatever else goes on. Reading the keys takes no lock.
//! - **Keys are fetched again** when 80 % of the answer's `max-age` (60 s to 24 h; 10 minutes where
//!   it says nothing) is over, in the background. Only a good answer replaces them: it is 200, and
//!   holds at least one key that can be used. A key that it lacks ends with it.
//! - **A key id is unknown**: one fetch, at most one in 30 seconds for each issuer, counted from the last
//!   attempt. Whoever comes meanwhile waits for the same one, at most 5 seconds, at most 1,024
//!   requests. Then the token is refused with 401; with 503 if the fetch failed, because the
//!   provider might know the key.
//! - **A signature does not match the known key**, or the key has another algorithm than the token: the
//!   provider may have replaced the key under its id. That is a fetch in the same window, and so one in 30
//!   seconds however many forged tokens come. A token of the new key passes on that very request, and the
//!   old key's tokens are refused from then on. If the key is still the same, the answer is 401; if the
//!   fetch failed, 503. [`KeySourceHealth::changed`](crate::keys::KeySourceHealth::changed) names keys that were replaced.
//! - **The provider is down**: the known keys count on, for [an hour](crate::_guide::providers) after their time; then,
//!   or if there never were any, 503 with `Retry-After`. Attempts follow each other after 1 second,
//!   doubling up to 5 minutes, each at a random moment of that time.
//! - **Odd keys** (of an unknown kind, for encryption, weak, broken, with private members, or two with
//!   one name) are left out; [`KeySourceHealth`](crate::keys::KeySourceHealth) says of each why. The others stay good.
//!
//! # Security
//!
//! Only https, no redirects, no private addresses, 5 seconds, 512 KiB, 100 keys. The metadata must name
//! the configured issuer byte for byte, and keys at its own origin. A token never names an
//! address: `jku` and `x5u` are not read.

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
