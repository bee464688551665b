//! [`PasswordService`]: hashes and verifies passwords off the async workers.

use std::fmt;
use std::sync::Arc;

use crate::password::builder::PasswordServiceBuilder;
use crate::password::error::PasswordError;
use crate::password::hash::PasswordHash;
use crate::password::policy::{Policy, Stored, Verification};
use crate::password::pool::{Job, Limits, Pool};
use crate::password::typed::{Typed, count};

/// Hashes passwords with Argon2id and verifies Argon2 and bcrypt hashes.
///
/// Create one at startup and clone it: clones share their threads and their limits. The threads start at the
/// first password, and end when the last clone is dropped. The async methods work with any runtime, and the
/// `_blocking` ones need none.
///
/// ```
/// use tower_jwt_auth::PasswordService;
/// use tower_jwt_auth::password::Verification;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let passwords = PasswordService::new();
/// let hash = passwords.hash("correct horse battery staple").await?;
/// let row = hash.as_str().to_owned(); // a text column of the user's row
///
/// match passwords.verify_stored("correct horse battery staple", Some(&row)).await? {
///     Verification::Match { rehash: None } => {} // log in
///     Verification::Match { rehash: Some(_new) } => {} // log in, and replace the row
///     Verification::Mismatch => panic!("the password is right"),
///     Verification::UnusableHash { reason } => panic!("the row is damaged: {reason}"),
/// }
/// assert!(!passwords.verify_stored("wrong", Some(&row)).await?.is_match());
/// assert!(!passwords.verify_stored("whatever", None).await?.is_match()); // no such user
/// assert!(!passwords.verify_stored("whatever", Some("!")).await?.is_match()); // no password
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cancellation
///
/// If a future is dropped before its work has started, the work is removed from the queue. Once it has
/// started, it runs to its end and keeps its worker busy: a client gains nothing by dropping requests.
#[derive(Clone)]
pub struct PasswordService {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Arc<Policy>,
    pool: Pool,
}

// === impl PasswordService ===

impl PasswordService {
    /// Creates a service with the defaults:
    /// [`Argon2Params::DEFAULT`](crate::password::Argon2Params::DEFAULT), 256 MiB of memory, a worker for
    /// each core but at most 13 (as many as the memory is enough for), and at most 64 passwords that wait for
    /// at most 2 seconds.
    #[must_use]
    pub fn new() -> Self {
        PasswordServiceBuilder::new().start()
    }

    /// Starts building a service that differs from the defaults.
    pub const fn builder() -> PasswordServiceBuilder {
        PasswordServiceBuilder::new()
    }

    /// Hashes a new password with a fresh salt.
    ///
    /// The whole password counts: it is not trimmed, case-folded or truncated, only
    /// [normalized](PasswordServiceBuilder::normalize_unicode). The application decides how long it must be
    /// and which passwords are too common; [`char_count`](Self::char_count) returns its length.
    ///
    /// # Errors
    ///
    /// - [`TooLong`](PasswordError::TooLong): it is longer than
    ///   [`MAX_PASSWORD_BYTES`](crate::password::MAX_PASSWORD_BYTES).
    /// - [`Empty`](PasswordError::Empty): it is empty.
    /// - [`BcryptTooLong`](PasswordError::BcryptTooLong) or [`NulByte`](PasswordError::NulByte): bcrypt
    ///   cannot hash it, and the service [makes bcrypt hashes](PasswordServiceBuilder::make_bcrypt_hashes).
    /// - [`Overloaded`](PasswordError::Overloaded) or [`Internal`](PasswordError::Internal): it cannot be
    ///   hashed now.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        self.inner.pool.run(self.hash_job(password)?).await
    }

    /// Verifies a password against the hash in the user's row, or against a dummy if there is no such user.
    ///
    /// This is the call for a login. It parses the hash itself. So a hash that is empty, damaged, from
    /// another system or a marker such as `!` takes as much work as a wrong password:
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    /// use tower_jwt_auth::password::Verification;
    ///
    /// let passwords = PasswordService::new();
    /// let mut may_log_in = |row: Option<&str>| {
    ///     Ok(match passwords.verify_stored_blocking("correct horse", row)? {
    ///         Verification::Match { .. } => true,
    ///         Verification::Mismatch => false,
    ///         Verification::UnusableHash { reason } => {
    ///             eprintln!("{reason}"); // log it with the user's id, but refuse as above
    ///             false
    ///         }
    ///     })
    /// };
    /// assert!(may_log_in(Some("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"))?);
    /// assert!(!may_log_in(Some("!"))?); // no password is set
    /// assert!(!may_log_in(None)?); // no such user
    /// # Ok::<(), tower_jwt_auth::password::PasswordError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the password is [too long](PasswordError::TooLong), if the service is
    /// [overloaded](PasswordError::Overloaded), or with an [internal error](PasswordError::Internal). Neither
    /// a wrong password nor an unusable hash is an error.
    ///
    /// # Security
    ///
    /// Call it with `None` for an unknown user, too. It then does the work of a current hash, so that the
    /// response time does not reveal which users exist. Users whose hash is an old one have a different
    /// response time until they have logged in once.
    ///
    /// Pass what the user typed, never a digest of it: the new hash is made from what you pass. For stored
    /// hashes of a digest there is [`other_hashes`](PasswordServiceBuilder::other_hashes).
    ///
    /// bcrypt reads only 72 bytes of a password. If a user logs in with a longer password against an old
    /// bcrypt hash, the new hash covers **all** that was typed.
    pub async fn verify_stored(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::read(stored, &self.inner.policy.others))?;
        self.inner.pool.run(job).await.inspect(log)
    }

    /// Verifies a password against a hash that was parsed before, or against a dummy if there is no such
    /// user.
    ///
    /// For a login, prefer [`verify_stored`](Self::verify_stored), which takes the stored text. If you
    /// [parse](PasswordHash::parse) it yourself, you have to make sure that a row that cannot be parsed takes
    /// as long as a wrong password.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`verify_stored`](Self::verify_stored).
    pub async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::from(stored))?;
        self.inner.pool.run(job).await.inspect(log)
    }

    /// Does the same as [`hash`](Self::hash) for code that is not async: it blocks the thread until the hash
    /// is made, within the same limits.
    ///
    /// Do not call it in an async task, because it would block the task's thread.
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    /// use tower_jwt_auth::password::PasswordError;
    ///
    /// let passwords = PasswordService::new();
    /// let hash = passwords.hash_blocking("correct horse battery staple")?;
    /// assert!(passwords.verify_blocking("correct horse battery staple", Some(&hash))?.is_match());
    /// assert_eq!(passwords.hash_blocking("").unwrap_err(), PasswordError::Empty);
    /// # Ok::<(), PasswordError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`hash`](Self::hash).
    pub fn hash_blocking(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        self.inner.pool.run_blocking(self.hash_job(password)?)
    }

    /// Does the same as [`verify_stored`](Self::verify_stored) for code that is not async: it blocks the
    /// thread until the password is verified, within the same limits.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`verify_stored`](Self::verify_stored).
    pub fn verify_stored_blocking(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::read(stored, &self.inner.policy.others))?;
        self.inner.pool.run_blocking(job).inspect(log)
    }

    /// Does the same as [`verify`](Self::verify) for code that is not async: it blocks the thread until the
    /// password is verified, within the same limits.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`verify_stored`](Self::verify_stored).
    pub fn verify_blocking(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::from(stored))?;
        self.inner.pool.run_blocking(job).inspect(log)
    }

    /// Returns the number of characters in a password, for a rule on its length.
    ///
    /// Each Unicode code point is one character, as NIST SP 800-63B-4 section 3.1.1.2 requires. They are
    /// counted after [normalization](PasswordServiceBuilder::normalize_unicode), so the number does not
    /// depend on the system that the password was typed on.
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    ///
    /// let passwords = PasswordService::new();
    /// assert_eq!(passwords.char_count("u\u{308}ber"), 4);
    /// assert_eq!(passwords.char_count("\u{fc}ber"), 4);
    /// ```
    #[must_use]
    pub fn char_count(&self, password: &str) -> usize {
        count(password, self.inner.policy.normalize)
    }

    /// Returns whether a hash that is made now would be stronger, or have another pepper.
    ///
    /// [`verify`](Self::verify) checks this by itself. Use this method to count the rows that still have to
    /// be replaced. A hash is outdated if it is weaker in any respect: algorithm, version, memory, passes,
    /// lanes, salt or tag. A stored hash that is stronger is kept. A service that
    /// [makes bcrypt hashes](PasswordServiceBuilder::make_bcrypt_hashes) keeps every Argon2 hash, and replaces
    /// bcrypt hashes of a lower cost.
    #[must_use]
    pub fn needs_rehash(&self, stored: &PasswordHash) -> bool {
        self.inner.policy.needs_rehash(stored)
    }

    pub(super) fn start(policy: Policy, limits: Limits) -> Self {
        Self {
            inner: Arc::new(Inner {
                policy: Arc::new(policy),
                pool: Pool::new(limits),
            }),
        }
    }

    fn hash_job(&self, password: &str) -> Result<Job<PasswordHash>, PasswordError> {
        let password = Typed::read(password, self.inner.policy.normalize)?;
        let policy = Arc::clone(&self.inner.policy);
        policy.check_new(&password)?;
        Ok(Job {
            blocks: policy.blocks(&Stored::Nobody),
            work: Box::new(move |scratch| policy.make(&password, scratch)),
        })
    }

    fn verify_job(
        &self,
        password: &str,
        stored: Stored,
    ) -> Result<Job<Verification>, PasswordError> {
        let password = Typed::read(password, self.inner.policy.normalize)?;
        let policy = Arc::clone(&self.inner.policy);
        let stored = policy.admit(stored, self.inner.pool.budget_blocks());
        Ok(Job {
            blocks: policy.blocks(&stored),
            work: Box::new(move |scratch| policy.verify(&password, &stored, scratch)),
        })
    }
}

impl Default for PasswordService {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PasswordService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordService")
            .field("argon2", &self.inner.policy.params)
            .field("pepper", &self.inner.policy.pepper)
            .finish_non_exhaustive()
    }
}

/// Logs a hash that cannot be used, for the operator: the client must not see the difference.
fn log(_verification: &Verification) {
    #[cfg(feature = "tracing")]
    match _verification.unusable_hash() {
        None => {}
        Some(PasswordError::NoPassword) => tracing::debug!("{}", PasswordError::NoPassword),
        Some(reason) => tracing::warn!("{reason}"),
    }
}

#[cfg(test)]
mod tests;
