//! Helpers for the tests of an application: an issuer with its own key, and checks for stores.
//!
//! If you implement [`SessionStore`](crate::sessions::SessionStore),
//! [`RevocationStore`](crate::revocation::RevocationStore) or
//! [`ApiKeyStore`](crate::credential::api_keys::ApiKeyStore), run the checks of this module on your
//! store. The stores of this crate pass the same checks.

mod api_key_store;
mod issuer;
mod random;
mod revocation_store;
mod session_store;

pub use api_key_store::check_api_key_store;
pub use issuer::TestIssuer;
pub use revocation_store::check_revocation_store;
pub use session_store::{check_session_store, check_session_store_that_forgets};
