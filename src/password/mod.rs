//! Password hashing: Argon2id for new hashes, Argon2 and bcrypt for old ones, on its own threads.
//!
//! [`PasswordService`] hashes a password at registration and verifies one at login. It keeps the work off the
//! async workers, limits how much of it runs and waits, and says when to replace an old hash. A user with a
//! `$2b$` hash, for example, gets an Argon2id hash at the next login.
//!
//! ```
//! use std::collections::HashMap;
//! use tower_jwt_auth::PasswordService;
//! use tower_jwt_auth::password::{PasswordError, Verification};
//!
//! fn login(
//!     passwords: &PasswordService,
//!     users: &mut HashMap<&str, String>,
//!     user: &str,
//!     password: &str,
//! ) -> Result<bool, PasswordError> {
//!     let stored = users.get(user).map(String::as_str);
//!     match passwords.verify_stored_blocking(password, stored)? {
//!         Verification::Mismatch => Ok(false),
//!         Verification::UnusableHash { reason } => {
//!             eprintln!("{user}: {reason}"); // the response is that of a wrong password, after the same work
//!             Ok(false)
//!         }
//!         Verification::Match { rehash } => {
//!             // In SQL: UPDATE users SET hash = $new WHERE name = $user AND hash = $old
//!             if let (Some(new), Some(row)) = (rehash, users.get_mut(user)) {
//!                 *row = new.as_str().to_owned();
//!             }
//!             Ok(true)
//!         }
//!     }
//! }
//!
//! let passwords = PasswordService::new();
//! let old = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
//! let mut users = HashMap::from([("ada", old.to_owned()), ("locked", "!".to_owned())]);
//!
//! assert!(!login(&passwords, &mut users, "ada", "wrong")?);
//! assert_eq!(users["ada"], old);
//! assert!(login(&passwords, &mut users, "ada", "correct horse")?);
//! assert!(users["ada"].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
//! assert!(!login(&passwords, &mut users, "nobody", "correct horse")?);
//! assert!(!login(&passwords, &mut users, "locked", "correct horse")?);
//! # Ok::<(), PasswordError>(())
//! ```

mod argon2;
mod bcrypt;
mod builder;
mod calibrate;
mod error;
mod hash;
mod others;
mod params;
mod policy;
mod pool;
pub(crate) mod service;
mod typed;

pub use builder::{
    DEFAULT_MAX_WAIT, DEFAULT_MEMORY_BUDGET, DEFAULT_QUEUE_LIMIT, PasswordServiceBuilder,
};
pub use error::PasswordError;
pub use hash::{PasswordAlgorithm, PasswordHash};
pub use params::Argon2Params;
pub use policy::Verification;
pub(crate) use service::PasswordService;
pub use typed::MAX_PASSWORD_BYTES;
