//! [`SeenTokens`]: tokens whose signature was found good, so that showing one again costs none.
//!
//! One fact is remembered: this very token was signed with this very key. Everything else is
//! judged anew each time a token comes: whether the key is still there, time, issuer, audience, type
//! and, by the caller, revocation.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::single::Keys;
use super::verified::{Proof, VerifiedToken};
use crate::codec::Registered;
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::VerifyingKey;

/// How many tokens a verifier remembers unless said otherwise.
pub const DEFAULT_CACHED_TOKENS: usize = 16_384;
/// What a token may weigh on average, in bytes, before there is room for fewer.
const BYTES_EACH: usize = 2048;
/// What an entry weighs besides the texts of token and claims.
const OVERHEAD: usize = 768;

/// Sixteen million are 32 GiB: nobody means more.
const MOST: usize = 1 << 24;

/// No token with an asymmetric signature is shorter, and hardly one with an HMAC; much of what strangers
/// send is.
const SHORTEST: usize = 100;

/// The tokens that a verifier has seen twice or more; its own, shared with no other.
///
/// To find one takes the lock of a part, for reading, and marks the entry as used: with moka, which keeps
/// account of who was used when, ten thousand tokens in rotation cost a microsecond more each.
pub(super) struct SeenTokens {
    tokens: Cache<Box<[u8]>, VerifiedToken, Weight, EndOfToken>,
    hasher: EndOfToken,
    /// Whether tokens of HMAC keys are kept as well, which save little more than reading their claims.
    with_hmac: bool,
    /// A mark for each token that was seen once: most are not seen again, and keeping one costs
    /// more than a mark. A mark decides on nothing but that.
    marks: Box<[AtomicU16]>,
    /// Counts the marks that met that of another token.
    met: AtomicU32,
}

// === impl SeenTokens ===

impl SeenTokens {
    /// Room for so many tokens.
    pub(super) fn new(count: usize, with_hmac: bool) -> Self {
        let count = count.min(MOST);
        let hasher = EndOfToken(RandomState::new());
        // So many that those of tokens which take turns seldom meet.
        let marks = count.saturating_mul(8).next_power_of_two();
        Self {
            tokens: Cache::with(
                count,
                (count as u64).saturating_mul(BYTES_EACH as u64),
                Weight,
                hasher.clone(),
                DefaultLifecycle::default(),
            ),
            hasher,
            with_hmac,
            met: AtomicU32::new(0),
            marks: (0..marks).map(|_| AtomicU16::new(0)).collect(),
        }
    }

    /// Judges a token that is known byte by byte, without its signature; none if it is not known, or
    /// no longer signed with a key that is trusted.
    pub(super) fn judge(
        &self,
        token: &[u8],
        keys: &Keys,
        judge: impl FnOnce(Option<&str>, &Registered<'_>, &str) -> Result<(), AuthError>,
    ) -> Option<Result<VerifiedToken, AuthError>> {
        if token.len() < SHORTEST {
            return None;
        }
        let seen = self.tokens.get(token)?;
        let Proof { key, header } = seen.proof()?;
        let key_id = header.kid.as_deref();
        let is_trusted = keys.with_key(key_id, &header.alg, |found| found.is(key));
        if is_trusted != Ok(true) {
            self.tokens.remove(token);
            return None;
        }
        let verdict = judge(header.typ.as_deref(), &seen.registered(), seen.payload());
        if matches!(&verdict, Err(error) if error.kind() == AuthErrorKind::Expired) {
            self.tokens.remove(token);
        }
        Some(verdict.map(|()| seen))
    }

    /// The key, if a token that it has just verified is to be kept: from its second time on.
    pub(super) fn wants(&self, token: &[u8], key: &VerifyingKey) -> Option<VerifyingKey> {
        if token.len() < SHORTEST || (key.algorithm().is_symmetric() && !self.with_hmac) {
            return None;
        }
        let hash = self.hasher.hash_one(token);
        let mark = (hash >> 48) as u16 | 1;
        let place = self.marks.get(hash as usize & (self.marks.len() - 1))?;
        let found = place.load(Ordering::Relaxed);
        if found == mark {
            return Some(key.clone());
        }
        if found == 0 || self.gives_way() {
            place.store(mark, Ordering::Relaxed);
        }
        None
    }

    /// Whether a mark takes the place of another token's: half of the times, in no order that
    /// repeats. If each did, tokens that take turns would push each other out for ever.
    fn gives_way(&self) -> bool {
        const GOLDEN: u32 = 0x9e37_79b9; // 2^32 divided by the golden ratio
        let met = self.met.fetch_add(1, Ordering::Relaxed);
        met.wrapping_mul(GOLDEN) >> 31 == 1
    }

    /// Keeps a token that has its proof with it.
    pub(super) fn keep(&self, token: &[u8], verified: &VerifiedToken) {
        self.tokens.insert(token.into(), verified.clone());
    }
}

/// What of the room a token takes.
#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, VerifiedToken> for Weight {
    fn weight(&self, token: &Box<[u8]>, seen: &VerifiedToken) -> u64 {
        // The claims are there as text and, in parts, on their own.
        let bytes = token.len() + seen.payload().len() * 2 + OVERHEAD;
        // Nothing weighs less: so the count is bounded together with the bytes.
        bytes.max(BYTES_EACH) as u64
    }
}

/// Hashes the end of a token, which is the end of a signature and as good as random. Which
/// token it is, is told by comparing all of it.
#[derive(Clone)]
struct EndOfToken(RandomState);

struct EndHasher(<RandomState as BuildHasher>::Hasher);

const END: usize = 24;

impl BuildHasher for EndOfToken {
    type Hasher = EndHasher;

    fn build_hasher(&self) -> EndHasher {
        EndHasher(self.0.build_hasher())
    }
}

impl Hasher for EndHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[bytes.len().saturating_sub(END)..]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::codec::{Compact, HEADER_ROOM, Header, sign};
    use crate::keys::{Algorithm, KeySet, SigningKey};
    use crate::verifier::verified::Elsewhere;

    fn token(key: &SigningKey, number: usize) -> Vec<u8> {
        let payload = format!(r#"{{"sub":"u{number}","exp":4000000000}}"#);
        sign(key, "at+jwt", payload.as_bytes())
            .unwrap()
            .into_bytes()
    }

    /// Shows a token as a verifier does; tells whether its signature had to be checked.
    fn show(seen: &SeenTokens, keys: &Keys, token: &[u8]) -> bool {
        if seen.judge(token, keys, |_, _, _| Ok(())).is_some() {
            return false;
        }
        let parts = Compact::parse(token, 8192).unwrap();
        let mut room = [0; HEADER_ROOM];
        let header = parts.header_json(&mut room).unwrap();
        let header = Header::parse(&header).unwrap();
        let opened = keys.with_key(header.kid.as_deref(), &header.alg, |key| {
            let payload = parts.open(key).ok()?;
            Some((payload, seen.wants(token, key)))
        });
        if let Ok(Some((payload, Some(key)))) = opened {
            let places = Registered::parse(&payload, &[]).unwrap().places(&payload);
            let header = Arc::new(header.to_owned());
            let proof = Proof { key, header };
            let verified = VerifiedToken::new(payload, places, Elsewhere::default(), Some(proof));
            seen.keep(token, &verified.unwrap());
        }
        true
    }

    fn make_known(seen: &SeenTokens, keys: &Keys, token: &[u8]) {
        // Its mark may have to wait for a place.
        let known = (0..50).any(|_| !show(seen, keys, token));
        assert!(known, "it never comes to be known");
    }

    fn setting(algorithm: Algorithm) -> (SigningKey, Keys, SeenTokens) {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = Keys::Fixed(KeySet::from(key.verifying_key()));
        (key, keys, SeenTokens::new(100, false))
    }

    #[test]
    fn a_token_is_kept_from_its_second_time_on_and_an_hmac_only_where_it_is_wanted() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        let checked: Vec<_> = (0..5).map(|_| show(&seen, &keys, &token)).collect();
        assert_eq!(checked, [true, true, false, false, false]);
        let (key, keys, seen) = setting(Algorithm::HS256);
        let token = self::token(&key, 1);
        assert!((0..5).all(|_| show(&seen, &keys, &token)));
        assert_eq!(seen.tokens.len(), 0);
        let seen = SeenTokens::new(100, true);
        let checked: Vec<_> = (0..5).map(|_| show(&seen, &keys, &token)).collect();
        assert_eq!(checked, [true, true, false, false, false]);
    }

    #[test]
    fn tokens_that_take_turns_all_come_to_be_known() {
        let (key, keys, _) = setting(Algorithm::EdDSA);
        // So many that none of the cache's parts has more than its share.
        let seen = SeenTokens::new(200, false);
        let tokens: Vec<_> = (0..100).map(|number| token(&key, number)).collect();
        let mut rounds = 0;
        while tokens
            .iter()
            .filter(|token| show(&seen, &keys, token))
            .count()
            > 0
        {
            rounds += 1;
            assert!(rounds < 50, "some push each other out for ever");
        }
    }

    #[test]
    fn everything_but_the_signature_is_judged_each_time() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        let judged = Cell::new(0);
        for _ in 0..10 {
            let verdict = seen.judge(&token, &keys, |typ, claims, payload| {
                judged.set(judged.get() + 1);
                assert_eq!(typ, Some("at+jwt"));
                assert_eq!(claims.sub.value().unwrap(), "u1");
                assert!(payload.contains("u1"));
                Err(AuthErrorKind::InvalidAudience.into())
            });
            let refused = verdict.unwrap().unwrap_err();
            assert_eq!(refused.kind(), AuthErrorKind::InvalidAudience);
        }
        assert_eq!(judged.get(), 10);
    }

    #[test]
    fn a_token_goes_with_the_very_key_that_signed_it() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        // The same key, loaded anew: good, but it was not what the signature was checked with.
        let jwk = key.verifying_key().to_jwk().unwrap().to_string();
        let anew = Keys::Fixed(VerifyingKey::from_jwk(&jwk).unwrap().into());
        assert!(seen.judge(&token, &anew, |_, _, _| Ok(())).is_none());
        // Forgotten, not only passed over.
        assert!(seen.judge(&token, &keys, |_, _, _| Ok(())).is_none());
        let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let none = Keys::Fixed(other.verifying_key().into());
        make_known(&seen, &keys, &token);
        assert!(seen.judge(&token, &none, |_, _, _| Ok(())).is_none());
    }

    #[test]
    fn a_token_that_has_expired_makes_room() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        let judge = |kind: AuthErrorKind| seen.judge(&token, &keys, |_, _, _| Err(kind.into()));
        for (kind, left) in [
            (AuthErrorKind::InvalidAudience, 1),
            (AuthErrorKind::Expired, 0),
        ] {
            assert_eq!(judge(kind).unwrap().unwrap_err().kind(), kind);
            assert_eq!(seen.tokens.len(), left);
        }
    }

    #[test]
    fn no_other_byte_is_taken_for_the_same_token() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        make_known(&seen, &keys, &token);
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(
                seen.judge(&changed, &keys, |_, _, _| Ok(())).is_none(),
                "{index}"
            );
        }
        assert!(
            seen.judge(&token[..token.len() - 1], &keys, |_, _, _| Ok(()))
                .is_none()
        );
    }

    #[test]
    fn forged_tokens_push_nothing_out_and_good_ones_have_bounds() {
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
            "all are still known"
        );
        // Whoever holds many good tokens gets no more room than there is.
        for number in 50..1000 {
            let token = token(&key, number);
            make_known(&seen, &keys, &token);
        }
        assert!(seen.tokens.len() <= 100);
        assert!(seen.tokens.weight() <= (100 * BYTES_EACH) as u64);
    }
}
