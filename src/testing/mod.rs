//! For the tests of an application: an issuer with a key of its own, and the rules that a store keeps.
//!
//! Who writes a [`SessionStore`](crate::sessions::SessionStore) or a
//! [`RevocationStore`](crate::revocation::RevocationStore) runs the checks of this module on
//! it; the stores of this crate pass the same ones.

mod issuer;
mod random;
mod revocation_store;
mod session_store;

pub use issuer::TestIssuer;
pub use revocation_store::check_revocation_store;
pub use session_store::{check_session_store, check_session_store_that_forgets};
