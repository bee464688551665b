//! [`PasswordServiceBuilder`]: the settings of a password service, checked once.

use std::collections::HashSet;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::error::ConfigError;
use crate::password::bcrypt;
use crate::password::error::Unfit;
use crate::password::others::OtherHashes;
use crate::password::params::Argon2Params;
use crate::password::policy::{Pepper, Policy};
use crate::password::pool::Limits;
use crate::password::service::PasswordService;

/// Builds a [`PasswordService`]. All settings are optional, and the defaults are secure.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::{ConfigError, PasswordService};
///
/// let passwords = PasswordService::builder()
///     .workers(2)
///     .queue_limit(16)
///     .max_wait(Duration::from_millis(500))
///     .build()?;
///
/// let starved = PasswordService::builder().memory_budget(1024).build();
/// assert!(starved.unwrap_err().to_string().contains("raise memory_budget()"));
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct PasswordServiceBuilder {
    argon2: Argon2Params,
    bcrypt_cost: Option<u32>,
    workers: Option<usize>,
    memory_budget: u64,
    queue_limit: usize,
    max_wait: Duration,
    pepper: Option<Pepper>,
    previous_peppers: Vec<Pepper>,
    normalize: bool,
    others: OtherHashes,
    weak_allowed: bool,
}

/// The default memory budget for all hashing: 256 MiB, enough for 13 hashes of the default parameters at
/// once.
pub const DEFAULT_MEMORY_BUDGET: u64 = 256 * 1024 * 1024;

/// The default number of passwords that may wait for a worker: 64, about a second of work for one core.
pub const DEFAULT_QUEUE_LIMIT: usize = 64;

/// The default time for which a password may wait for a worker: 2 seconds. After a longer wait, most users
/// have left.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(2);

/// The OWASP minimum for bcrypt.
const MIN_BCRYPT_COST: u32 = 10;

// === impl PasswordServiceBuilder ===

impl PasswordServiceBuilder {
    pub(super) const fn new() -> Self {
        Self {
            argon2: Argon2Params::DEFAULT,
            bcrypt_cost: None,
            workers: None,
            memory_budget: DEFAULT_MEMORY_BUDGET,
            queue_limit: DEFAULT_QUEUE_LIMIT,
            max_wait: DEFAULT_MAX_WAIT,
            pepper: None,
            previous_peppers: Vec::new(),
            normalize: true,
            others: OtherHashes::new(),
            weak_allowed: false,
        }
    }

    /// Sets the cost of new hashes. Stored hashes that cost less are replaced at login.
    pub const fn argon2(mut self, params: Argon2Params) -> Self {
        self.argon2 = params;
        self
    }

    /// Sets how many passwords are hashed at the same time. The default is the number of cores, or fewer if
    /// the memory budget is too small for that many.
    pub const fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Sets the memory, in bytes, that all workers together may use for hashing: [`DEFAULT_MEMORY_BUDGET`] by
    /// default. A stored hash that needs more than this is not verified.
    pub const fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Sets how many passwords may wait for a worker: [`DEFAULT_QUEUE_LIMIT`] by default. Any further ones
    /// are refused at once.
    pub const fn queue_limit(mut self, count: usize) -> Self {
        self.queue_limit = count;
        self
    }

    /// Sets how long a password may wait for a worker: [`DEFAULT_MAX_WAIT`] by default.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Mixes a secret of the application (a pepper) into every new hash, so that a stolen table is useless
    /// without the secret. The pepper's id of 1 to 8 bytes is stored in the hash.
    ///
    /// # Security
    ///
    /// Keep the secret (32 random bytes or more) out of the database. **If you lose it, you lose every
    /// password**, so back it up. Hashes that were made without a pepper still verify, and are replaced at
    /// login. Programs in other languages cannot verify a peppered hash without the secret, and many cannot
    /// read the `keyid` parameter that contains the id.
    pub fn pepper(mut self, id: &str, secret: &[u8]) -> Self {
        self.pepper = Some(Pepper::new(id, secret));
        self
    }

    /// Adds a pepper that was used before. Its hashes still verify, and are replaced at login. Call it again
    /// to add more. Keep each pepper until no stored hash contains its id: without it, those hashes cannot be
    /// verified.
    pub fn previous_pepper(mut self, id: &str, secret: &[u8]) -> Self {
        self.previous_peppers.push(Pepper::new(id, secret));
        self
    }

    /// Makes new hashes with bcrypt (`$2b$`, cost 10 to 16) instead of Argon2id, for a database that is also
    /// read by programs that support nothing else.
    ///
    /// # Security
    ///
    /// bcrypt is weaker: it resists graphics cards less, and passwords of more than 72 bytes are
    /// refused. Stored Argon2 hashes still verify and are left as they are.
    pub const fn make_bcrypt_hashes(mut self, cost: u32) -> Self {
        self.bcrypt_cost = Some(cost);
        self
    }

    /// Sets whether passwords are converted to Unicode Normalization Form C (NFC) before they are counted and
    /// hashed: `true` by default.
    ///
    /// One system sends an `é` as one code point, another as two: `e` and an accent. Without normalization,
    /// the same password would be two different ones. NIST SP 800-63B-4 section 3.1.1.2 recommends NFC, and
    /// RFC 8265 section 4.2.2 requires it. The compatibility form NFKC, which earlier revisions named, would
    /// also treat `²` as `2` and `ﬁ` as `fi`, which makes passwords weaker.
    ///
    /// A hash of a password that was not normalized still verifies if the user types the password in the same
    /// form, and is then replaced by a hash of the normal form. Turn this off if another program verifies the
    /// same hashes and does not normalize.
    ///
    /// # Security
    ///
    /// A password that is not typed in its normal form is tried in both forms. That is twice the work, also
    /// for an unknown user and for an unusable hash, so the response time does not reveal which users exist.
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    ///
    /// let passwords = PasswordService::new();
    /// let row = passwords.hash_blocking("cafe\u{301} au lait")?; // typed on one system
    /// let typed = "caf\u{e9} au lait"; // and on another
    /// assert!(passwords.verify_stored_blocking(typed, Some(row.as_str()))?.is_match());
    /// assert_eq!(passwords.char_count("cafe\u{301} au lait"), passwords.char_count(typed));
    /// # Ok::<(), tower_jwt_auth::password::PasswordError>(())
    /// ```
    pub const fn normalize_unicode(mut self, on: bool) -> Self {
        self.normalize = on;
        self
    }

    /// Adds a verifier for stored hashes that this crate does not read, such as those of PBKDF2 or scrypt, or
    /// bcrypt hashes of a digest.
    ///
    /// `verifier(password, stored)` returns whether the password is correct, or `None` if it does not know
    /// this kind of hash. In that case the verifier that was added next is asked. After a match, the service
    /// replaces the hash by one of the password **as it was typed**: if the verifier digests the password
    /// first, that digest plays no part in the new hash.
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    /// use tower_jwt_auth::password::Verification;
    ///
    /// # fn legacy_digest(password: &str) -> String { format!("{}!", password.len()) }
    /// let passwords = PasswordService::builder()
    ///     .other_hashes(|password, stored| {
    ///         let digest = stored.strip_prefix("legacy$")?; // `None` for other kinds of hashes
    ///         Some(legacy_digest(password) == digest)
    ///     })
    ///     .build()?;
    ///
    /// let row = Some("legacy$13!");
    /// let Verification::Match { rehash: Some(new) } =
    ///     passwords.verify_stored_blocking("correct horse", row)?
    /// else {
    ///     panic!("the password is right");
    /// };
    /// assert!(new.as_str().starts_with("$argon2id$"));
    /// assert!(!passwords.verify_stored_blocking("wrong", row)?.is_match());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Only [`verify_stored`](PasswordService::verify_stored) and its blocking counterpart ask it, and only
    /// about a stored text of at most 512 bytes that is neither a hash that this crate can read nor a marker
    /// for "no password". It runs on the workers of the service, and keeps one busy for as long as it takes.
    ///
    /// # Security
    ///
    /// Return `None` for costs that are out of range, so that a manipulated row cannot keep a worker busy,
    /// and compare in constant time. The service computes a hash **in addition**, so a fast
    /// verifier does not reveal which users exist. A slow one may do so until its users have logged in once.
    /// A panic counts as an unusable hash.
    pub fn other_hashes(
        mut self,
        verifier: impl Fn(&str, &str) -> Option<bool> + Send + Sync + 'static,
    ) -> Self {
        self.others.add(verifier);
        self
    }

    /// Accepts parameters below the OWASP minimum, so that a test suite is fast.
    ///
    /// # Security
    ///
    /// For tests only: an attacker can crack such hashes within hours.
    pub const fn dangerous_weak_parameters(mut self) -> Self {
        self.weak_allowed = true;
        self
    }

    /// Checks the settings and builds the service. No thread is started before the first password.
    ///
    /// # Errors
    ///
    /// Fails if a setting is invalid, for example if the parameters are below the OWASP minimum. The
    /// [`ConfigError`] says what to change.
    pub fn build(self) -> Result<PasswordService, ConfigError> {
        self.check()?;
        Ok(self.start())
    }

    fn check(&self) -> Result<(), Unfit> {
        self.argon2.check(self.weak_allowed)?;
        self.check_bcrypt()?;
        self.check_peppers()?;
        self.check_limits()
    }

    /// Starts a service whose settings were checked, or are the defaults.
    pub(super) fn start(self) -> PasswordService {
        let limits = Limits {
            workers: self.chosen_workers(),
            queue: self.queue_limit,
            wait: self.max_wait,
            blocks: self.budget_blocks(),
            kept: self.argon2.blocks(),
        };
        let policy = Policy {
            params: self.argon2,
            bcrypt_cost: self.bcrypt_cost,
            normalize: self.normalize,
            others: self.others,
            pepper: self.pepper,
            previous_peppers: self.previous_peppers,
            #[cfg(test)]
            work: Default::default(),
        };
        PasswordService::start(policy, limits)
    }

    fn check_bcrypt(&self) -> Result<(), Unfit> {
        let (min, max) = (
            if self.weak_allowed {
                4
            } else {
                MIN_BCRYPT_COST
            },
            bcrypt::MAX_COST,
        );
        match self.bcrypt_cost {
            Some(cost) if !(min..=max).contains(&cost) => Err(Unfit::BcryptCost { min, max }),
            Some(_) if self.pepper.is_some() => Err(Unfit::PepperWithBcrypt),
            Some(_) | None => Ok(()),
        }
    }

    fn check_peppers(&self) -> Result<(), Unfit> {
        let mut ids = HashSet::new();
        for pepper in self.pepper.iter().chain(&self.previous_peppers) {
            if !(1..=8).contains(&pepper.id().len()) {
                return Err(Unfit::PepperId);
            }
            if !ids.insert(pepper.id()) {
                return Err(Unfit::DuplicatePepper);
            }
            if pepper.secret().len() < 32 {
                return Err(Unfit::PepperTooShort);
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Unfit> {
        let workers = self.chosen_workers();
        if workers == 0 {
            return Err(Unfit::NoWorkers);
        }
        if self.max_wait.is_zero() {
            return Err(Unfit::NoWait);
        }
        let blocks = workers.saturating_mul(self.argon2.blocks());
        if blocks > self.budget_blocks() {
            let needed = (blocks as u64).saturating_mul(1024);
            return Err(Unfit::MemoryBudget { needed });
        }
        Ok(())
    }

    fn chosen_workers(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            let cores = available_parallelism().map_or(1, NonZero::get);
            cores
                .min(self.budget_blocks() / self.argon2.blocks().max(1))
                .max(1)
        })
    }

    /// The budget in blocks of 1 KiB, the unit of Argon2.
    fn budget_blocks(&self) -> usize {
        usize::try_from(self.memory_budget / 1024).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
