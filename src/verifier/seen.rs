//! [`SeenTokens`]: tokens whose signature was found good, so that showing one again costs none.
//!
//! One fact is remembered: this very token was signed with this very key. Everything else is
//! judged anew each time a token comes: whether the key is still there, time, issuer, audience, type
//! and, by the caller, revocation.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::single::Keys;
use super::verified::VerifiedToken;
use crate::codec::{Header, Registered, RegisteredPlaces};
use crate::error::AuthError;
use crate::keys::VerifyingKey;

/// How many tokens a verifier remembers unless said otherwise.
pub const DEFAULT_CACHED_TOKENS: usize = 16_384;
/// What a token may weigh on average, in bytes, before there is room for fewer.
const BYTES_EACH: usize = 2048;
/// What an entry weighs besides the texts of token and claims.
const OVERHEAD: usize = 768;

/// Sixteen million are 32 GiB: nobody means more.
const MOST: usize = 1 << 24;

/// No token with an asymmetric signature is shorter; much of what strangers send is.
const SHORTEST: usize = 100;

/// The tokens that a verifier has seen twice or more; its own, shared with no other.
pub(super) struct SeenTokens {
    tokens: Cache<Box<[u8]>, Arc<SeenToken>, EndOfToken>,
    hasher: EndOfToken,
    /// A mark for each token that was seen once: most are not seen again, and keeping one costs
    /// more than a mark. A mark decides on nothing but that.
    marks: Box<[AtomicU16]>,
    /// Counts the marks that met that of another token.
    met: AtomicU32,
}

/// A token whose signature was found good.
struct SeenToken {
    note: Note,
    verified: VerifiedToken,
}

/// What is judged anew when a token comes again.
pub(super) struct Note {
    key: VerifyingKey,
    /// The same object for all tokens of a key.
    header: Arc<Header<'static>>,
    claims: RegisteredPlaces,
    lives_for: Duration,
}

// === impl SeenTokens ===

impl SeenTokens {
    /// Room for so many tokens.
    pub(super) fn new(count: usize) -> Self {
        let count = count.min(MOST);
        let hasher = EndOfToken(RandomState::new());
        // So many that those of tokens which take turns seldom meet.
        let marks = count.saturating_mul(8).next_power_of_two();
        Self {
            tokens: Cache::<Box<[u8]>, Arc<SeenToken>>::builder()
                .max_capacity((count as u64).saturating_mul(BYTES_EACH as u64))
                .weigher(|token, seen| weight(token, seen))
                .expire_after(UntilExpired)
                .build_with_hasher(hasher.clone()),
            hasher,
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
        let note = &seen.note;
        let (key_id, alg) = (note.header.kid.as_deref(), &note.header.alg);
        let is_trusted = keys.with_key(key_id, alg, |key| key.is(&note.key));
        if is_trusted != Ok(true) {
            self.tokens.invalidate(token);
            return None;
        }
        let payload = seen.verified.payload();
        let claims = note.claims.read(payload);
        let verdict = judge(note.header.typ.as_deref(), &claims, payload);
        Some(verdict.map(|()| seen.verified.clone()))
    }

    /// The key, if a token that it has just verified is to be kept: from its second time on.
    pub(super) fn wants(&self, token: &[u8], key: &VerifyingKey) -> Option<VerifyingKey> {
        // To verify an HMAC costs less than to remember it.
        if key.algorithm().is_symmetric() {
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

    pub(super) fn note(
        &self,
        key: VerifyingKey,
        header: &Arc<Header<'static>>,
        claims: &Registered<'_>,
        payload: &str,
        now: f64,
    ) -> Note {
        let left = claims
            .exp
            .value()
            .map_or(0.0, |exp| exp.as_secs_f64() - now);
        Note {
            key,
            header: Arc::clone(header),
            claims: claims.places(payload),
            lives_for: Duration::try_from_secs_f64(left).unwrap_or_default(),
        }
    }

    pub(super) fn keep(&self, token: &[u8], note: Note, verified: &VerifiedToken) {
        let verified = verified.clone();
        let seen = SeenToken { note, verified };
        self.tokens.insert(token.into(), Arc::new(seen));
    }
}

fn weight(token: &[u8], seen: &SeenToken) -> u32 {
    // The claims are there as text and, in parts, on their own.
    let bytes = token.len() + seen.verified.payload().len() * 2 + OVERHEAD;
    // Nothing weighs less: so the count is bounded together with the bytes.
    u32::try_from(bytes.max(BYTES_EACH)).unwrap_or(u32::MAX)
}

/// Takes an entry out when its token has expired, to make room: that it counts no longer is
/// decided by the verifier's own clock.
struct UntilExpired;

impl Expiry<Box<[u8]>, Arc<SeenToken>> for UntilExpired {
    fn expire_after_create(
        &self,
        _: &Box<[u8]>,
        seen: &Arc<SeenToken>,
        _: Instant,
    ) -> Option<Duration> {
        Some(seen.note.lives_for)
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

    use super::*;
    use crate::codec::{Compact, HEADER_ROOM, sign};
    use crate::error::AuthErrorKind;
    use crate::keys::{Algorithm, KeySet, SigningKey};
    use crate::verifier::verified::Kept;

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
            let claims = Registered::parse(&payload, &[]).unwrap();
            let kept = Kept::of(&claims, &payload).unwrap();
            let header = Arc::new(header.to_owned());
            let note = seen.note(key, &header, &claims, &payload, 0.0);
            drop(claims);
            seen.keep(token, note, &VerifiedToken::new(payload, kept));
            seen.tokens.run_pending_tasks();
        }
        true
    }

    fn make_known(seen: &SeenTokens, keys: &Keys, token: &[u8]) {
        for _ in 0..3 {
            show(seen, keys, token);
        }
    }

    fn setting(algorithm: Algorithm) -> (SigningKey, Keys, SeenTokens) {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = Keys::Fixed(KeySet::from(key.verifying_key()));
        (key, keys, SeenTokens::new(100))
    }

    #[test]
    fn a_token_is_kept_from_its_second_time_on_unless_it_is_an_hmac() {
        let (key, keys, seen) = setting(Algorithm::EdDSA);
        let token = token(&key, 1);
        let checked: Vec<_> = (0..5).map(|_| show(&seen, &keys, &token)).collect();
        assert_eq!(checked, [true, true, false, false, false]);
        let (key, keys, seen) = setting(Algorithm::HS256);
        let token = self::token(&key, 1);
        assert!((0..5).all(|_| show(&seen, &keys, &token)));
        assert_eq!(seen.tokens.entry_count(), 0);
    }

    #[test]
    fn tokens_that_take_turns_all_come_to_be_known() {
        let (key, keys, _) = setting(Algorithm::EdDSA);
        let seen = SeenTokens::new(200);
        let tokens: Vec<_> = (0..150).map(|number| token(&key, number)).collect();
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
        assert!(seen.tokens.entry_count() <= 100);
        assert!(seen.tokens.weighted_size() <= (100 * BYTES_EACH) as u64);
    }
}
