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
/// Make one at startup and clone it: clones share their threads and their limits. The threads
/// start at the first password and end when the last clone is dropped. The async methods need no
/// particular runtime, and the `_blocking` twins need none.
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
/// A future that is dropped before its work has started takes the work out of the queue. Later,
/// the work goes on and keeps its worker busy: dropping requests buys nobody more of the machine.
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
    /// A service with the defaults: [`Argon2Params::DEFAULT`](crate::password::Argon2Params::DEFAULT),
    /// a worker for each core, 256 MiB, 64 waiting for at most 2 s.
    #[must_use]
    pub fn new() -> Self {
        PasswordServiceBuilder::new().start()
    }

    /// Sets up a service that differs from the defaults.
    pub const fn builder() -> PasswordServiceBuilder {
        PasswordServiceBuilder::new()
    }

    /// Hashes a new password with a fresh salt.
    ///
    /// The whole password counts: it is not trimmed, case-folded or cut, only
    /// [normalized](PasswordServiceBuilder::normalize_unicode). How long it must be, and which ones
    /// are too common, is the application's to say: [`char_count`](Self::char_count) counts for it.
    ///
    /// # Errors
    ///
    /// [`TooLong`](PasswordError::TooLong) over [`MAX_PASSWORD_BYTES`](crate::password::MAX_PASSWORD_BYTES),
    /// [`Empty`](PasswordError::Empty), [`Overloaded`](PasswordError::Overloaded) or
    /// [`Internal`](PasswordError::Internal); and with
    /// [`make_bcrypt_hashes`](PasswordServiceBuilder::make_bcrypt_hashes) also
    /// [`BcryptTooLong`](PasswordError::BcryptTooLong) and [`NulByte`](PasswordError::NulByte).
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        self.inner.pool.run(self.hash_job(password)?).await
    }

    /// Verifies a password against the hash as the user's row holds it, or against nothing if
    /// there is no such user.
    ///
    /// This is the call for a login. It reads the hash itself, so that a row whose hash is empty,
    /// a mark such as `!`, damaged or of another system costs the same work as a wrong password:
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
    ///             eprintln!("{reason}"); // and the user's id, but refuse as above
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
    /// [`TooLong`](PasswordError::TooLong), [`Overloaded`](PasswordError::Overloaded) or
    /// [`Internal`](PasswordError::Internal). Neither a wrong password nor an unusable hash is an
    /// error.
    ///
    /// # Security
    ///
    /// Call it for an unknown user too, with `None`: it then does the work of a current hash, so
    /// that the time of an answer does not tell which users exist. Users whose hash is still an
    /// old one take another time until they have logged in once.
    ///
    /// Pass what the user typed and never a digest of it: a new hash is made of what is passed. For
    /// stored hashes of a digest there is
    /// [`other_hashes`](PasswordServiceBuilder::other_hashes).
    ///
    /// bcrypt reads 72 bytes of a password. Whoever logs in with a longer one against an old
    /// bcrypt hash gets it replaced by a hash of **all** that was typed.
    pub async fn verify_stored(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::read(stored, &self.inner.policy.others))?;
        self.inner.pool.run(job).await.inspect(log)
    }

    /// Verifies a password against a hash that was read before, or against nothing if there is no
    /// such user.
    ///
    /// At a login, prefer [`verify_stored`](Self::verify_stored), which takes the row as it is:
    /// whoever [parses](PasswordHash::parse) it first must see to it that a row that cannot be
    /// read takes as long as a wrong password.
    ///
    /// # Errors
    ///
    /// As [`verify_stored`](Self::verify_stored).
    pub async fn verify(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::from(stored))?;
        self.inner.pool.run(job).await.inspect(log)
    }

    /// [`hash`](Self::hash) for threads: it blocks until the hash is made, within the same limits.
    ///
    /// Not for async tasks, whose thread it would hold up.
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
    /// As [`hash`](Self::hash).
    pub fn hash_blocking(&self, password: &str) -> Result<PasswordHash, PasswordError> {
        self.inner.pool.run_blocking(self.hash_job(password)?)
    }

    /// [`verify_stored`](Self::verify_stored) for threads: it blocks until the password is judged,
    /// within the same limits.
    ///
    /// # Errors
    ///
    /// As [`verify_stored`](Self::verify_stored).
    pub fn verify_stored_blocking(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::read(stored, &self.inner.policy.others))?;
        self.inner.pool.run_blocking(job).inspect(log)
    }

    /// [`verify`](Self::verify) for threads: it blocks until the password is judged, within the
    /// same limits.
    ///
    /// # Errors
    ///
    /// As [`verify_stored`](Self::verify_stored).
    pub fn verify_blocking(
        &self,
        password: &str,
        stored: Option<&PasswordHash>,
    ) -> Result<Verification, PasswordError> {
        let job = self.verify_job(password, Stored::from(stored))?;
        self.inner.pool.run_blocking(job).inspect(log)
    }

    /// Counts the characters of a password as it is hashed, for a rule on its length.
    ///
    /// Each Unicode code point is one character, as NIST SP 800-63B-4 section 3.1.1.2 has it, and
    /// they are counted after [normalization](PasswordServiceBuilder::normalize_unicode): the count
    /// does not hang on the system that the password was typed on.
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

    /// Whether a hash made today would be stronger, or carry another pepper.
    ///
    /// [`verify`](Self::verify) asks this by itself; here it is for counting the rows that are
    /// left. Any difference to the worse counts: algorithm, version, memory, passes, lanes, salt,
    /// tag. A stored hash that is stronger is left alone.
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

/// Tells the operator of a hash that cannot be used, since the client must not see the difference.
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
