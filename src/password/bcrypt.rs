//! bcrypt hashes: parsing and writing their crypt(3) strings, and computing their tags.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use zeroize::Zeroizing;

use crate::password::error::PasswordError;
use crate::password::hash::{damaged, fresh_salt, same_tag};

/// The parts of `$2b$12$` + 22 characters of salt + 31 characters of tag.
///
/// `$2a$`, `$2b$` and `$2y$` are the same function; `$2x$` is a broken one.
#[derive(Clone)]
pub(super) struct BcryptHash {
    cost: u32,
    salt: [u8; 16],
    tag: Zeroizing<[u8; 23]>,
}

/// The largest number of bytes of a password that bcrypt reads, with the terminating NUL.
const MAX_BYTES: usize = 72;

/// The highest cost that is verified: about 4 seconds of one core.
pub(super) const MAX_COST: u32 = 16;

/// Four bits of the salt's last character and two of the tag's are unused, and some old libraries set them.
/// They are ignored, as in every C implementation.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

// === impl BcryptHash ===

impl BcryptHash {
    pub(super) fn read(text: &str) -> Result<Self, PasswordError> {
        let mut fields = text.split('$').skip(2);
        let cost = fields
            .next()
            .filter(|cost| cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|cost| cost.parse().ok())
            .filter(|cost| *cost >= 4)
            .ok_or(damaged("the cost is not a number of two digits from 04 on"))?;
        let rest = fields
            .next()
            .filter(|rest| rest.len() == 53 && fields.next().is_none());
        let (salt, tag) = rest
            .and_then(|rest| rest.split_at_checked(22))
            .ok_or(damaged("the salt and the tag do not have 53 characters"))?;
        let salt = decode(salt).ok_or(damaged("the salt is not base64"))?;
        let tag = decode(tag)
            .map(Zeroizing::new)
            .ok_or(damaged("the tag is not base64"))?;
        if cost > MAX_COST {
            return Err(PasswordError::CostTooHigh);
        }
        Ok(Self { cost, salt, tag })
    }

    /// Fails if bcrypt would hash only a part of the password.
    pub(super) fn check(password: &[u8]) -> Result<(), PasswordError> {
        if password.len() > MAX_BYTES {
            Err(PasswordError::BcryptTooLong)
        } else if password.contains(&0) {
            Err(PasswordError::NulByte)
        } else {
            Ok(())
        }
    }

    pub(super) fn make(cost: u32, password: &[u8]) -> Result<Self, PasswordError> {
        let salt = fresh_salt()?;
        Ok(Self {
            cost,
            salt,
            tag: tag_of(cost, salt, password),
        })
    }

    /// Creates a hash that costs as much as a new one, and that no known password matches.
    pub(super) fn dummy(cost: u32) -> Self {
        Self {
            cost,
            salt: [0; 16],
            tag: Zeroizing::default(),
        }
    }

    pub(super) fn encode(&self) -> Zeroizing<String> {
        let mut text = format!("$2b${:02}$", self.cost);
        BASE64.encode_string(self.salt, &mut text);
        BASE64.encode_string(self.tag.as_slice(), &mut text);
        Zeroizing::new(text)
    }

    /// Returns whether `password` has this tag, by bcrypt's own rule: only the first 72 bytes count.
    ///
    /// A password that contains a NUL byte never matches, after the same work. C implementations stop at the
    /// NUL, so they would accept `"abc\0anything"` for `"abc"`. Those that read on repeat the key, so they
    /// would accept `"abc\0abc"` for `"abc"`. Neither can tell whether it is the same password.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let same = same_tag(
            self.tag.as_slice(),
            tag_of(self.cost, self.salt, password).as_slice(),
        );
        same && !password.contains(&0)
    }

    pub(super) fn cost(&self) -> u32 {
        self.cost
    }
}

fn tag_of(cost: u32, salt: [u8; 16], password: &[u8]) -> Zeroizing<[u8; 23]> {
    let mut key = Zeroizing::new([0; MAX_BYTES]);
    let read = password.len().min(MAX_BYTES);
    key[..read].copy_from_slice(&password[..read]);
    // The NUL after a shorter password is a part of the key.
    let output = Zeroizing::new(::bcrypt::bcrypt(
        cost,
        salt,
        &key[..(read + 1).min(MAX_BYTES)],
    ));
    let mut tag = Zeroizing::new([0; 23]);
    tag.copy_from_slice(&output[..23]);
    tag
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = Zeroizing::new(BASE64.decode(text).ok()?);
    bytes.as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's bcrypt 5.0.0 (`$2a$` and `$2y$`) and by libxcrypt (`$2b$`).
    const HORSE: [&str; 3] = [
        "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
    ];

    /// Made by libxcrypt from `x` repeated 100 times. It makes the same hash from 72.
    const LONG: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";

    const EMPTY: &str = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";

    fn matches(text: &str, password: &str) -> bool {
        BcryptHash::read(text).unwrap().matches(password.as_bytes())
    }

    #[test]
    fn hashes_of_other_implementations_verify() {
        for text in HORSE {
            assert!(matches(text, "correct horse"));
            assert!(!matches(text, "correct horsf"));
        }
        assert!(matches(EMPTY, ""));
        assert!(!matches(EMPTY, "x"));
    }

    #[test]
    fn a_longer_password_verifies_by_its_first_72_bytes() {
        for length in [72, 73, 100, 1024] {
            assert!(matches(LONG, &"x".repeat(length)), "{length}");
        }
        assert!(!matches(LONG, &"x".repeat(71)));
    }

    #[test]
    fn meaningless_bits_at_the_end_of_the_salt_are_ignored() {
        assert!(matches(
            &HORSE[1].replace("stuuj", "stuvj"),
            "correct horse"
        ));
    }

    #[test]
    fn a_password_with_a_nul_never_matches() {
        for password in ["\0", "\0\0", "\0x"] {
            assert!(!matches(EMPTY, password));
        }
        let abc = BcryptHash::make(4, b"abc").unwrap();
        assert!(abc.matches(b"abc"));
        for password in ["abc\0", "abc\0abc", "abc\0x"] {
            assert!(!abc.matches(password.as_bytes()));
        }
    }

    #[test]
    fn passwords_that_bcrypt_cannot_hash_whole_are_refused() {
        assert_eq!(BcryptHash::check(&[b'x'; 72]), Ok(()));
        assert_eq!(
            BcryptHash::check(&[b'x'; 73]),
            Err(PasswordError::BcryptTooLong)
        );
        assert_eq!(BcryptHash::check(b"a\0"), Err(PasswordError::NulByte));
    }

    #[test]
    fn a_new_hash_can_be_parsed() {
        let text = BcryptHash::make(5, b"hunter2").unwrap().encode();
        assert_eq!((text.len(), &text[..7]), (60, "$2b$05$"));
        assert!(matches(&text, "hunter2"));
        assert!(::bcrypt::verify("hunter2", &text).unwrap());
    }

    #[test]
    fn costs_outside_the_range_are_refused() {
        let with_cost = |cost| BcryptHash::read(&HORSE[1].replace("$04$", cost)).err();
        for cost in ["$03$", "$00$", "$4$", "$004$", "$+4$", "$ 4$", "$ab$", "$$"] {
            assert!(
                matches!(with_cost(cost), Some(PasswordError::InvalidHash { .. })),
                "{cost}"
            );
        }
        for cost in ["$17$", "$31$", "$99$"] {
            assert_eq!(with_cost(cost), Some(PasswordError::CostTooHigh));
        }
    }
}
