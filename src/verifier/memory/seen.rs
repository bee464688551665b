//! [`SeenTokens`]: tokens whose signature is valid, so that it is not checked again for each request.
//!
//! One fact is cached: this token, byte for byte, was signed with this key. Everything else is checked each
//! time the token is used: that the key is still trusted, time, issuer, audience, type and, by the caller,
//! revocation.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use super::marks::Marks;
use crate::verifier::keys::Keys;
use crate::verifier::proof::{Proof, Proved};

/// The default for the number of tokens that a verifier caches: 16,384.
pub const DEFAULT_CACHED_TOKENS: usize = 16_384;
/// The average size of a token, in bytes, up to which the configured number of tokens fits.
const BYTES_EACH: usize = 2048;
/// The size of an entry besides the texts of token and claims, in bytes.
const OVERHEAD: usize = 896;

/// The upper limit for the number of tokens: 16 million take 32 GiB.
const MOST: usize = 1 << 24;

/// The length below which a token is not looked up, in bytes. No token with an asymmetric signature is
/// shorter, and hardly any with an HMAC, but many texts that are not tokens are.
const SHORTEST: usize = 100;

/// The number of bytes of a token that are hashed: the end of its signature, which is as good as random.
const END: usize = 24;

/// The tokens that a verifier has seen at least twice.
///
/// Finding one takes the read lock of one shard and marks the entry as used. With moka, which records each
/// use, a look-up took a microsecond longer when ten thousand tokens were used in turn.
pub(super) struct SeenTokens {
    tokens: Cache<Known, Proved, Weight, HashedAlready>,
    /// Keyed with a secret of this process, so that nobody can construct tokens whose hashes collide.
    hasher: RandomState,
    /// Most tokens are not seen again, and keeping one costs more than a mark.
    marks: Marks,
}

/// The token that is being verified, with the hash of its end.
pub(super) struct Sight<'t> {
    hash: u64,
    token: &'t [u8],
}

/// A token in the cache, with the same hash.
struct Known {
    hash: u64,
    token: Box<[u8]>,
}

// === impl SeenTokens ===

impl SeenTokens {
    /// Makes room for this many tokens.
    pub(super) fn new(count: usize) -> Self {
        let count = count.min(MOST);
        Self {
            tokens: Cache::with(
                count,
                (count as u64).saturating_mul(BYTES_EACH as u64),
                Weight,
                HashedAlready,
                DefaultLifecycle::default(),
            ),
            hasher: RandomState::new(),
            // Enough marks that two tokens which are used in turn seldom share one.
            marks: Marks::new(count.saturating_mul(4)),
        }
    }

    /// Hashes a token. Returns `None` if it is too short to be cached.
    pub(super) fn sight<'t>(&self, token: &'t [u8]) -> Option<Sight<'t>> {
        if token.len() < SHORTEST {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&token[token.len() - END..]);
        let hash = hasher.finish();
        Some(Sight { hash, token })
    }

    /// Returns the token if it is cached and its header still names the very key that verified it.
    pub(super) fn recall(&self, sight: &Sight<'_>, keys: &Keys) -> Option<Proved> {
        let proved = self.tokens.get(sight)?;
        let Proof { key, header } = proved.facts().proof.as_ref()?;
        let key_id = header.kid.as_deref();
        let is_trusted = keys.with_key(key_id, &header.alg, |found| found.is(key));
        if is_trusted != Ok(true) {
            self.forget(sight);
            return None;
        }
        Some(proved)
    }

    /// Whether the token is cached. It does not count as a use.
    pub(super) fn remembers(&self, sight: &Sight<'_>) -> bool {
        self.tokens.contains_key(sight)
    }

    /// Whether a token whose signature was just verified is to be kept: from the second time on.
    pub(super) fn wants(&self, sight: &Sight<'_>) -> bool {
        self.marks.was_seen(sight.hash)
    }

    /// Keeps a token if it carries its proof.
    pub(super) fn keep(&self, sight: &Sight<'_>, proved: &Proved) {
        if proved.facts().proof.is_some() {
            let known = Known {
                hash: sight.hash,
                token: sight.token.into(),
            };
            self.tokens.insert(known, proved.clone());
        }
    }

    pub(super) fn forget(&self, sight: &Sight<'_>) {
        self.tokens.remove(sight);
    }
}

impl Hash for Sight<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Known> for Sight<'_> {
    /// Compares the hashes first: without the end of a token, nobody can measure how much of the rest is
    /// right.
    fn equivalent(&self, known: &Known) -> bool {
        self.hash == known.hash && *self.token == *known.token
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.token == other.token
    }
}

impl Eq for Known {}

/// Computes the size of an entry.
#[derive(Clone)]
struct Weight;

impl Weighter<Known, Proved> for Weight {
    fn weight(&self, known: &Known, proved: &Proved) -> u64 {
        let facts = proved.facts();
        // The claims are kept as text and, in part, as values of their own.
        let claims = facts.payload.json().len() * 2 + facts.further.weight();
        let bytes = known.token.len() + claims + OVERHEAD;
        // This minimum bounds the count together with the bytes.
        bytes.max(BYTES_EACH) as u64
    }
}

/// Uses the hash of the token as it is.
#[derive(Clone, Default)]
struct HashedAlready;

#[derive(Default)]
struct TheHash(u64);

impl BuildHasher for HashedAlready {
    type Hasher = TheHash;

    fn build_hasher(&self) -> TheHash {
        TheHash::default()
    }
}

impl Hasher for TheHash {
    fn write(&mut self, bytes: &[u8]) {
        // Never called: the keys of this map only write one number.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{Compact, HEADER_ROOM, Header, Payload, sign};
    use crate::keys::{Algorithm, KeySet, SigningKey, VerifyingKey};
    use crate::policy::Further;
    use crate::verifier::kind::CredentialKind;
    use crate::verifier::proof::Facts;
    use crate::verifier::typed::TypedClaims;

    fn token(key: &SigningKey, number: usize) -> Vec<u8> {
        let payload = format!(r#"{{"sub":"u{number}","exp":4000000000}}"#);
        sign(key, "at+jwt", payload.as_bytes())
            .unwrap()
            .into_bytes()
    }

    fn is_known(seen: &SeenTokens, keys: &Keys, token: &[u8]) -> bool {
        let sight = seen.sight(token).unwrap();
        seen.recall(&sight, keys).is_some()
    }

    /// Uses a token as a verifier does. Returns whether its signature had to be checked.
    fn show(seen: &SeenTokens, keys: &Keys, token: &[u8]) -> bool {
        if is_known(seen, keys, token) {
            return false;
        }
        let sight = seen.sight(token).unwrap();
        let parts = Compact::parse(token, 8192).unwrap();
        let mut room = [0; HEADER_ROOM];
        let header = parts.header_json(&mut room).unwrap();
        let header = Header::parse(&header).unwrap();
        let opened = keys.with_key(header.kid.as_deref(), &header.alg, |key| {
            let payload = parts.open(key).ok()?;
            Some((payload, seen.wants(&sight).then(|| key.clone())))
        });
        if let Ok(Some((payload, Some(key)))) = opened {
            let proved = Proved::new(Facts {
                kind: CredentialKind::OwnToken,
                typ: header.kind,
                expires_at: None,
                payload: Payload::parse(payload, &[]).unwrap(),
                further: Further::default(),
                proof: Some(Proof {
                    key,
                    header: Arc::new(header.to_owned()),
                }),
                typed: TypedClaims::default(),
                id_by_claims: std::sync::OnceLock::new(),
            });
            seen.keep(&sight, &proved);
        }
        true
    }

    fn make_known(seen: &SeenTokens, keys: &Keys, token: &[u8]) {
        // Its mark may not get a place at once.
        let known = (0..50).any(|_| !show(seen, keys, token));
        assert!(known, "the token is never cached");
    }

    fn setting(algorithm: Algorithm) -> (SigningKey, Keys, SeenTokens) {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = Keys::Fixed(KeySet::from(key.verifying_key()));
        (key, keys, SeenTokens::new(100))
    }

    #[test]
    fn a_token_is_kept_from_its_second_time_on() {
        for algorithm in [Algorithm::EdDSA, Algorithm::HS256] {
            let (key, keys, seen) = setting(algorithm);
            let token = token(&key, 1);
            let checked: Vec<_> = (0..5).map(|_| show(&seen, &keys, &token)).collect();
            assert_eq!(checked, [true, true, false, false, false]);
        }
    }

    #[test]
    fn tokens_that_are_used_in_turn_are_all_kept() {
        let (key, keys, _) = setting(Algorithm::EdDSA);
        // Twice the room, so that no shard of the cache overflows.
        let seen = SeenTokens::new(200);
        let tokens: Vec<_> = (0..100).map(|number| token(&key, number)).collect();
        let mut rounds = 0;
        while tokens
            .iter()
            .filter(|token| show(&seen, &keys, token))
            .count()
            > 0
        {
            rounds += 1;
            assert!(rounds < 50, "some tokens replace each other forever");
        }
    }

    #[test]
    fn a_token_is_dropped_with_the_very_key_that_signed_it() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        // The same key, loaded again, is not the object that the signature was checked with.
        let jwk = key.verifying_key().to_jwk().unwrap().to_string();
        let anew = Keys::Fixed(VerifyingKey::from_jwk(&jwk).unwrap().into());
        assert!(!is_known(&seen, &anew, &token));
        // The token was dropped, not only skipped.
        assert!(!is_known(&seen, &keys, &token));
        let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let none = Keys::Fixed(other.verifying_key().into());
        make_known(&seen, &keys, &token);
        assert!(!is_known(&seen, &none, &token));
    }

    #[test]
    fn a_token_with_one_other_byte_is_not_taken_for_a_known_one() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(!is_known(&seen, &keys, &changed), "{index}");
        }
        assert!(!is_known(&seen, &keys, &token[..token.len() - 1]));
    }

    #[test]
    fn a_token_with_the_end_of_a_known_one_is_not_taken_for_it() {
        let (key, keys, seen) = setting(Algorithm::HS256);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        let end = &token[token.len() - END..];
        let longer = [b"x", &*token].concat();
        let other = [&[b'A'; 200][..], end].concat();
        for forged in [longer, other] {
            let (sight, known) = (seen.sight(&forged).unwrap(), seen.sight(&token).unwrap());
            assert_eq!(sight.hash, known.hash);
            assert!(!is_known(&seen, &keys, &forged));
        }
    }

    #[test]
    fn forged_tokens_evict_nothing_and_valid_ones_are_bounded() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let kept: Vec<_> = (0..50).map(|number| token(&key, number)).collect();
        kept.iter()
            .for_each(|token| make_known(&seen, &keys, token));
        let signature = |token: &[u8]| token.iter().rposition(|&byte| byte == b'.').unwrap() + 1;
        for round in 0..20_000 {
            let mut forged = kept[round % 50].clone();
            let start = signature(&forged);
            let tail = format!("{round:010}");
            forged[start..start + 10].copy_from_slice(tail.as_bytes());
            assert!(show(&seen, &keys, &forged));
        }
        assert!(
            kept.iter().all(|token| !show(&seen, &keys, token)),
            "a forged token has evicted a valid one"
        );
        // Even many valid tokens of one client stay within the room.
        for number in 50..1000 {
            let token = token(&key, number);
            make_known(&seen, &keys, &token);
        }
        assert!(seen.tokens.len() <= 100);
        assert!(seen.tokens.weight() <= (100 * BYTES_EACH) as u64);
    }
}
