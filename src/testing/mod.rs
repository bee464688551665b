//! Helpers for the tests of an application: an issuer with its own key, an identity provider, requests of a
//! verified user, attacks on a whole service, and checks for stores.
//!
//! | To test | use |
//! |---|---|
//! | routes behind a layer that accepts your own tokens | [`TestIssuer`] |
//! | a service that accepts the tokens of an identity provider | `TestProvider` (feature `jwks`) |
//! | handlers and guards, without a layer | [`as_user`] |
//! | routes that check DPoP proofs | [`ProofKey`] |
//! | that a service refuses forged, stolen and malformed tokens | [`assert_hardened`] |
//!
//! If you implement [`SessionStore`](crate::sessions::SessionStore),
//! [`RevocationStore`](crate::revocation::RevocationStore),
//! [`ApiKeyStore`](crate::credential::api_keys::ApiKeyStore) or
//! [`ReplayStore`](crate::dpop::ReplayStore), run the checks of this module on your
//! store. The stores of this crate pass the same checks.

mod api_key_store;
mod as_user;
mod hardening;
mod issuer;
mod proof_key;
#[cfg(feature = "jwks")]
mod provider;
mod random;
mod replay_store;
mod revocation_store;
mod session_store;

pub use api_key_store::check_api_key_store;
pub use as_user::as_user;
pub use hardening::{Finding, Hardening, RequestBody, Weakness, assert_hardened, find_weaknesses};
pub use issuer::TestIssuer;
pub use proof_key::{ProofKey, ProofRequest};
#[cfg(feature = "jwks")]
pub use provider::{TestAnswer, TestProvider};
pub use replay_store::check_replay_store;
pub use revocation_store::check_revocation_store;
pub use session_store::{check_expiring_session_store, check_session_store};
