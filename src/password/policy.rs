//! Which hashes the service makes, accepts and replaces: plain functions, without threads.

use std::fmt;
#[cfg(test)]
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::password::argon2::Argon2Hash;
use crate::password::bcrypt::BcryptHash;
use crate::password::error::PasswordError;
use crate::password::hash::{MAX_HASH_BYTES, Parts, PasswordHash};
use crate::password::others::OtherHashes;
use crate::password::params::Argon2Params;
use crate::password::pool::Scratch;
use crate::password::typed::{MAX_PASSWORD_BYTES, Typed};

/// The result of verifying a password against a stored hash. None of the variants is an error.
#[derive(Clone, Debug)]
#[must_use = "a login depends on this value"]
pub enum Verification {
    /// The password is correct.
    Match {
        /// A new hash of the same password, if the stored one is weaker than those that the service makes
        /// now, or was made from another Unicode form of the password. Store it with a compare-and-swap on
        /// the old hash. Whether that succeeds makes no difference to the login.
        rehash: Option<PasswordHash>,
    },
    /// The password is wrong, or there is no such user.
    Mismatch,
    /// The stored hash cannot be used, so no password matches it. Log the reason, and refuse the login with
    /// the same response as for a [`Mismatch`](Self::Mismatch). It took the same work. The user can log in
    /// again once a new hash is stored, for example after a password reset.
    UnusableHash {
        /// The reason: [`NoPassword`](PasswordError::NoPassword),
        /// [`InvalidHash`](PasswordError::InvalidHash),
        /// [`UnsupportedAlgorithm`](PasswordError::UnsupportedAlgorithm),
        /// [`CostTooHigh`](PasswordError::CostTooHigh) or
        /// [`UnknownPepper`](PasswordError::UnknownPepper).
        reason: PasswordError,
    },
}

/// The content of a user's row.
pub(super) enum Stored {
    /// There is no such user.
    Nobody,
    Hash(PasswordHash),
    /// A hash for the application's verifiers, and the reason why this crate does not verify it.
    Other(Zeroizing<String>, PasswordError),
    Unusable(PasswordError),
}

pub(super) struct Policy {
    pub(super) params: Argon2Params,
    /// The cost, if new hashes are made with bcrypt.
    pub(super) bcrypt_cost: Option<u32>,
    pub(super) normalize: bool,
    pub(super) others: OtherHashes,
    pub(super) pepper: Option<Pepper>,
    pub(super) previous_peppers: Vec<Pepper>,
    /// Each hash that was computed, for the tests that count them.
    #[cfg(test)]
    pub(super) work: Mutex<Vec<Work>>,
}

#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// An Argon2 hash with this number of memory blocks.
    Argon2(usize),
    /// A bcrypt hash of this cost.
    Bcrypt(u32),
}

/// A secret of the application that goes into every hash. Its id is stored in the hash.
#[derive(Clone)]
pub(super) struct Pepper {
    id: Vec<u8>,
    secret: Zeroizing<Vec<u8>>,
}

// === impl Verification ===

impl Verification {
    /// Returns whether the password is correct.
    #[must_use]
    pub const fn is_match(&self) -> bool {
        matches!(self, Self::Match { .. })
    }

    /// Returns why the stored hash cannot be used, or `None` if it can be used or there is no hash.
    #[must_use]
    pub const fn unusable_hash(&self) -> Option<&PasswordError> {
        match self {
            Self::UnusableHash { reason } => Some(reason),
            Self::Match { .. } | Self::Mismatch => None,
        }
    }
}

// === impl Stored ===

impl Stored {
    /// Parses a row. A text that cannot be parsed is left to `others` if it may be a hash at all.
    pub(super) fn read(row: Option<&str>, others: &OtherHashes) -> Self {
        let Some(row) = row else {
            return Self::Nobody;
        };
        match PasswordHash::parse(row) {
            Ok(hash) => Self::Hash(hash),
            Err(reason)
                if is_foreign(&reason) && row.len() <= MAX_HASH_BYTES && !others.is_empty() =>
            {
                Self::Other(Zeroizing::new(row.to_owned()), reason)
            }
            Err(reason) => Self::Unusable(reason),
        }
    }
}

impl From<Option<&PasswordHash>> for Stored {
    fn from(hash: Option<&PasswordHash>) -> Self {
        hash.cloned().map_or(Self::Nobody, Self::Hash)
    }
}

// === impl Policy ===

impl Policy {
    /// Refuses a password that cannot be hashed.
    pub(super) fn check_new(&self, password: &Typed) -> Result<(), PasswordError> {
        let password = password.to_hash();
        if password.is_empty() {
            return Err(PasswordError::Empty);
        }
        if password.len() > MAX_PASSWORD_BYTES {
            let max = MAX_PASSWORD_BYTES;
            return Err(PasswordError::TooLong { max });
        }
        if self.bcrypt_cost.is_some() {
            BcryptHash::check(password.as_bytes())
        } else {
            Ok(())
        }
    }

    pub(super) fn make(
        &self,
        password: &Typed,
        scratch: &mut Scratch,
    ) -> Result<PasswordHash, PasswordError> {
        self.check_new(password)?;
        let password = password.to_hash().as_bytes();
        #[cfg(test)]
        self.note(&self.dummy());
        match self.bcrypt_cost {
            Some(cost) => BcryptHash::make(cost, password).map(PasswordHash::from),
            None => Argon2Hash::make(self.params, self.pepper.as_ref(), password, scratch)
                .map(PasswordHash::from),
        }
    }

    /// Tries each form of `password` against `stored`, or against a dummy if there is nothing to try it
    /// against.
    ///
    /// It tries the same number of forms whatever `stored` is, until one matches, so the work reveals nothing
    /// about it.
    pub(super) fn verify(
        &self,
        password: &Typed,
        stored: &Stored,
        scratch: &mut Scratch,
    ) -> Result<Verification, PasswordError> {
        let mut refusal = Verification::Mismatch;
        for form in password.forms() {
            if let Some(refused) = self.try_form(form, stored, scratch)? {
                refusal = refused;
                continue;
            }
            // The login succeeds whatever becomes of the new hash.
            let rehash = (self.is_outdated(stored) || form != password.to_hash())
                .then(|| self.make(password, scratch));
            return Ok(Verification::Match {
                rehash: rehash.and_then(Result::ok),
            });
        }
        Ok(refusal)
    }

    /// Returns the result for the case that this form of the password does not match.
    fn try_form(
        &self,
        form: &str,
        stored: &Stored,
        scratch: &mut Scratch,
    ) -> Result<Option<Verification>, PasswordError> {
        let refusal = match stored {
            Stored::Hash(hash) => {
                let matches = self.matches(form.as_bytes(), hash.parts(), scratch)?;
                return Ok((!matches).then_some(Verification::Mismatch));
            }
            Stored::Nobody => Verification::Mismatch,
            Stored::Unusable(reason) => unusable(reason.clone()),
            Stored::Other(hash, reason) => match self.others.judge(form, hash) {
                Ok(Some(true)) => return Ok(None),
                Ok(Some(false)) => Verification::Mismatch,
                Ok(None) => unusable(reason.clone()),
                Err(panicked) => unusable(panicked),
            },
        };
        self.matches(form.as_bytes(), &self.dummy(), scratch)?;
        Ok(Some(refusal))
    }

    fn is_outdated(&self, stored: &Stored) -> bool {
        match stored {
            Stored::Hash(hash) => self.needs_rehash(hash),
            Stored::Other(..) => true,
            Stored::Nobody | Stored::Unusable(_) => false,
        }
    }

    pub(super) fn needs_rehash(&self, stored: &PasswordHash) -> bool {
        match (stored.parts(), self.bcrypt_cost) {
            (Parts::Bcrypt(hash), Some(cost)) => hash.cost() < cost,
            (Parts::Bcrypt(_), None) => true,
            (Parts::Argon2(_), Some(_)) => false,
            (Parts::Argon2(hash), None) => {
                hash.is_weaker_than(self.params)
                    || hash.key_id() != self.pepper.as_ref().map(Pepper::id)
            }
        }
    }

    /// Returns the memory blocks that are needed for `stored` and for the hash that may replace it.
    pub(super) fn blocks(&self, stored: &Stored) -> usize {
        let stored = match stored {
            Stored::Hash(hash) => match hash.parts() {
                Parts::Argon2(hash) => hash.blocks(),
                Parts::Bcrypt(_) => 0,
            },
            Stored::Nobody | Stored::Other(..) | Stored::Unusable(_) => 0,
        };
        stored.max(self.params.blocks())
    }

    /// Replaces a hash that this service cannot verify by the reason.
    pub(super) fn admit(&self, stored: Stored, budget_blocks: usize) -> Stored {
        let Stored::Hash(hash) = &stored else {
            return stored;
        };
        match self.pepper_of(hash.parts()) {
            Err(reason) => Stored::Unusable(reason),
            Ok(_) if self.blocks(&stored) > budget_blocks => {
                Stored::Unusable(PasswordError::CostTooHigh)
            }
            Ok(_) => stored,
        }
    }

    /// Returns the pepper that `stored` was made with.
    pub(super) fn pepper_of(&self, stored: &Parts) -> Result<Option<&Pepper>, PasswordError> {
        let Parts::Argon2(hash) = stored else {
            return Ok(None);
        };
        let Some(id) = hash.key_id() else {
            return Ok(None);
        };
        let mut known = self.pepper.iter().chain(&self.previous_peppers);
        known
            .find(|pepper| pepper.id == id)
            .map(Some)
            .ok_or(PasswordError::UnknownPepper)
    }

    fn matches(
        &self,
        password: &[u8],
        stored: &Parts,
        scratch: &mut Scratch,
    ) -> Result<bool, PasswordError> {
        let pepper = self.pepper_of(stored)?;
        #[cfg(test)]
        self.note(stored);
        match stored {
            Parts::Argon2(hash) => hash.matches(pepper, password, scratch),
            Parts::Bcrypt(hash) => Ok(hash.matches(password)),
        }
    }

    #[cfg(test)]
    fn note(&self, hash: &Parts) {
        let work = match hash {
            Parts::Argon2(hash) => Work::Argon2(hash.blocks()),
            Parts::Bcrypt(hash) => Work::Bcrypt(hash.cost()),
        };
        self.work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(work);
    }

    fn dummy(&self) -> Parts {
        match self.bcrypt_cost {
            Some(cost) => Parts::Bcrypt(BcryptHash::dummy(cost)),
            None => Parts::Argon2(Argon2Hash::dummy(self.params, self.pepper.as_ref())),
        }
    }
}

fn unusable(reason: PasswordError) -> Verification {
    Verification::UnusableHash { reason }
}

/// Returns whether an error of the parser can mean that the hash is from another system.
fn is_foreign(reason: &PasswordError) -> bool {
    matches!(
        reason,
        PasswordError::UnsupportedAlgorithm | PasswordError::InvalidHash { .. }
    )
}

// === impl Pepper ===

impl Pepper {
    pub(super) fn new(id: &str, secret: &[u8]) -> Self {
        Self {
            id: id.as_bytes().to_vec(),
            secret: Zeroizing::new(secret.to_vec()),
        }
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper([redacted])")
    }
}
