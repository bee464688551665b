//! [`Joined`]: the keys of a verifier together with further keys for the same issuer.

use std::sync::Arc;
use std::time::SystemTime;

use super::keys::Keys;
use crate::clock::Clock;
use crate::error::AuthError;
use crate::keys::{KeyLookup, KeyMiss, KeySet, KeySource, KeySourceHealth, VerifyingKey};

/// Several sets of keys that act as one, so that a token is verified by the one key that it names.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) main: Keys,
    pub(super) further: Vec<FurtherKeys>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Further keys that are trusted, and until when.
#[derive(Debug, Clone)]
pub(super) struct FurtherKeys {
    pub(super) keys: KeySet,
    pub(super) until: Option<SystemTime>,
}

/// What all sets say about a token's key.
#[derive(Default)]
struct Found {
    /// A key with the id that the token names.
    named: Option<VerifyingKey>,
    /// A key that fits the token although its id is not the one that the token names, if it names any.
    fitting: Option<VerifyingKey>,
    named_is_ambiguous: bool,
    fitting_is_ambiguous: bool,
    may_be_learned: bool,
    has_other_algorithm: bool,
}

// === impl Joined ===

impl KeySource for Joined {
    fn find(&self, key_id: Option<&str>, algorithm: &str) -> KeyLookup {
        let mut found = Found::default();
        let main = self.main.with_key(key_id, algorithm, VerifyingKey::clone);
        found.add(main, key_id);
        let now = self.clock.now();
        for FurtherKeys { keys, until } in &self.further {
            if until.is_none_or(|until| now < until) {
                found.add(keys.lookup(key_id, algorithm).cloned(), key_id);
            }
        }
        found.into_lookup()
    }

    async fn refresh(&self, key_id: Option<&str>) -> Result<(), AuthError> {
        match &self.main {
            Keys::Source(source) => source.refresh(key_id).await,
            Keys::Fixed(_) => Ok(()),
        }
    }

    fn health(&self) -> Option<KeySourceHealth> {
        self.main.health()
    }
}

// === impl Found ===

impl Found {
    fn add(&mut self, lookup: Result<VerifyingKey, KeyMiss>, key_id: Option<&str>) {
        match lookup {
            Ok(key) => {
                let is_named = key_id.is_some_and(|key_id| key_id == key.key_id());
                let (place, is_ambiguous) = if is_named {
                    (&mut self.named, &mut self.named_is_ambiguous)
                } else {
                    (&mut self.fitting, &mut self.fitting_is_ambiguous)
                };
                match place {
                    Some(other) if !other.is(&key) => *is_ambiguous = true,
                    place => *place = Some(key),
                }
            }
            Err(KeyMiss::Ambiguous) if key_id.is_some() => self.named_is_ambiguous = true,
            Err(KeyMiss::Ambiguous) => self.fitting_is_ambiguous = true,
            Err(KeyMiss::UnknownKey) => self.may_be_learned = true,
            Err(KeyMiss::OtherAlgorithm) => self.has_other_algorithm = true,
            Err(KeyMiss::UnsupportedAlgorithm) => {}
        }
    }

    fn into_lookup(self) -> KeyLookup {
        // A key that merely fits counts only if no key has the id that the token names.
        match (self.named, self.fitting) {
            _ if self.named_is_ambiguous => KeyLookup::Ambiguous,
            (Some(key), _) => KeyLookup::Found(key),
            _ if self.fitting_is_ambiguous => KeyLookup::Ambiguous,
            (None, Some(key)) => KeyLookup::Found(key),
            _ if self.may_be_learned => KeyLookup::UnknownKey,
            _ if self.has_other_algorithm => KeyLookup::OtherAlgorithm,
            _ => KeyLookup::UnsupportedAlgorithm,
        }
    }
}
