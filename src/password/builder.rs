//! [`PasswordServiceBuilder`]: everything that can be set, and the one place where it is checked.

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

/// Sets up a [`PasswordService`]. Everything is optional and safe to leave out.
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

/// Memory for all hashing together: 13 hashes of the default parameters at a time.
pub const DEFAULT_MEMORY_BUDGET: u64 = 256 * 1024 * 1024;

/// Passwords that may wait for a worker: about a second's work of one core.
pub const DEFAULT_QUEUE_LIMIT: usize = 64;

/// How long a password may wait for a worker: longer, and the user has gone.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(2);

/// The OWASP floor for bcrypt.
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

    /// The cost of a new hash; stored hashes that cost less are replaced at login.
    pub const fn argon2(mut self, params: Argon2Params) -> Self {
        self.argon2 = params;
        self
    }

    /// How many passwords are hashed at a time. Left out, it is the number of cores, or fewer if
    /// the memory budget does not suffice for so many.
    pub const fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// The bytes of memory that all workers together use for hashing; [`DEFAULT_MEMORY_BUDGET`]
    /// if left out. A stored hash that alone needs more is not verified.
    pub const fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// How many passwords may wait for a worker; [`DEFAULT_QUEUE_LIMIT`] if left out. Those
    /// beyond it are turned away at once.
    pub const fn queue_limit(mut self, count: usize) -> Self {
        self.queue_limit = count;
        self
    }

    /// How long a password may wait for a worker; [`DEFAULT_MAX_WAIT`] if left out.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Mixes a secret of the application into every new hash, so that a stolen table alone
    /// cannot be attacked. Its id of 1 to 8 bytes is stored in the hash.
    ///
    /// # Security
    ///
    /// Keep the secret (32 random bytes or more) out of the database. **Whoever loses it loses
    /// every password**, so back it up. Hashes made without a pepper still verify and are
    /// replaced at login. Programs in other languages cannot verify a peppered hash without the
    /// secret, and many cannot read the `keyid` that names it.
    pub fn pepper(mut self, id: &str, secret: &[u8]) -> Self {
        self.pepper = Some(Pepper::new(id, secret));
        self
    }

    /// A pepper that was in use before: its hashes verify and are replaced at login. May be
    /// called for several. Keep each until no stored hash names it: without it,
    /// those hashes cannot be verified.
    pub fn previous_pepper(mut self, id: &str, secret: &[u8]) -> Self {
        self.previous_peppers.push(Pepper::new(id, secret));
        self
    }

    /// Makes new hashes with bcrypt (`$2b$`, cost 10 to 16) instead of Argon2id, for a database
    /// that other programs read which know nothing else.
    ///
    /// # Security
    ///
    /// bcrypt is weaker: it resists graphics cards less, and passwords of more than 72 bytes are
    /// refused. Stored Argon2 hashes still verify and are left as they are.
    pub const fn make_bcrypt_hashes(mut self, cost: u32) -> Self {
        self.bcrypt_cost = Some(cost);
        self
    }

    /// Sets whether passwords are brought into Unicode Normalization Form C (NFC) before they are
    /// counted and hashed; `true` if left out.
    ///
    /// One system sends an `é` as one code point and another as two, `e` and an accent. Without
    /// normalization the same password is two passwords. NIST SP 800-63B-4 section 3.1.1.2 asks
    /// for NFC, as RFC 8265 section 4.2.2 does. The compatibility form NFKC, which earlier
    /// revisions named, would also take `²` for `2` and `ﬁ` for `fi`, and so make passwords weaker.
    ///
    /// Hashes that were made of a password as it was typed still verify where it is typed in that
    /// form, and are then replaced by one of the normal form. Turn it off if another program
    /// verifies the same hashes and does not normalize.
    ///
    /// # Security
    ///
    /// A password that is not typed in its normal form is tried in both forms: that is twice the
    /// work, for an unknown user and for an unusable hash as well, so that the time of the answer
    /// does not tell which users exist.
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

    /// Adds a verifier for stored hashes that this crate does not read, such as those of PBKDF2 or
    /// scrypt, and bcrypt hashes of a digest.
    ///
    /// `verifier(password, stored)` returns whether the password is the right one, or `None` if it
    /// does not know this kind of hash: then the next one that was added is asked. The service
    /// replaces the hash after a match, by one of the password **as it was typed**: a verifier
    /// that digests the password first has no part in the new hash.
    ///
    /// ```
    /// use tower_jwt_auth::PasswordService;
    /// use tower_jwt_auth::password::Verification;
    ///
    /// # fn legacy_digest(password: &str) -> String { format!("{}!", password.len()) }
    /// let passwords = PasswordService::builder()
    ///     .other_hashes(|password, stored| {
    ///         let digest = stored.strip_prefix("legacy$")?; // `None`: of another kind
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
    /// Only [`verify_stored`](PasswordService::verify_stored) and its blocking twin ask it, and
    /// only for a row of at most 512 bytes that is neither readable nor a mark for "no password".
    /// It runs on the workers of the service and keeps one busy for as long as it takes.
    ///
    /// # Security
    ///
    /// Let it refuse costs that are out of range with `None`, so that a poisoned row cannot keep a
    /// worker busy, and compare in constant time. It works **in addition** to a hash of the
    /// service, so a quick one does not tell which users exist; a slow one can, until its users
    /// have logged in once. A panic is refused as an unusable hash.
    pub fn other_hashes(
        mut self,
        verifier: impl Fn(&str, &str) -> Option<bool> + Send + Sync + 'static,
    ) -> Self {
        self.others.add(verifier);
        self
    }

    /// Accepts parameters under the floor, so that a test suite is fast.
    ///
    /// # Security
    ///
    /// For tests only: such hashes fall to an attacker within hours.
    pub const fn dangerous_weak_parameters(mut self) -> Self {
        self.weak_allowed = true;
        self
    }

    /// Checks everything and builds the service. No thread is started before the first password.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names what to change, above all if the parameters are under
    /// the OWASP floor.
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

    /// Starts what was checked, or what nobody changed.
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

    /// The budget in the 1 KiB blocks that Argon2 counts in.
    fn budget_blocks(&self) -> usize {
        usize::try_from(self.memory_budget / 1024).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
