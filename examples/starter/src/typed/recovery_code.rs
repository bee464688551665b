//! [`RecoveryCode`]: a code that users have saved in case they lose the phone.

use super::{Malformed, meant};

const DIGITS: usize = 32;
const GROUP: usize = 8;
const EXPECTED: Malformed = Malformed {
    expected: "A recovery code has 32 characters, each one of 0 to 9 and a to f, in four groups; \
               spaces, dashes and capitals do not matter. This did not count as an attempt.",
};

/// 128 bits in hexadecimal digits, in four groups with dashes between them, as they are shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecoveryCode(String);

// === impl RecoveryCode ===

impl RecoveryCode {
    /// Makes a code from random bits.
    pub(crate) fn new(bits: u128) -> Self {
        Self::grouped(&format!("{bits:032x}"))
    }

    /// Parses a code. It contains no letters o, i and l, so these are misread digits.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let read = |c: char| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            c => c,
        };
        let digits: String = meant(text).map(read).take(DIGITS + 1).collect();
        let good = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| Self::grouped(&digits)).ok_or(EXPECTED)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn grouped(digits: &str) -> Self {
        let mut code = String::with_capacity(DIGITS + 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && place % GROUP == 0 {
                code.push('-');
            }
            code.push(digit);
        }
        Self(code)
    }
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown_and_as_it_is_typed() {
        let code = RecoveryCode::new(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(code.as_str(), "01234567-89abcdef-fedcba98-76543210");
        for text in [
            code.as_str(),
            "0123456789ABCDEFFEDCBA9876543210",
            " O1234567 89abcdef\u{2013}fedcba98\n765432lo",
        ] {
            assert_eq!(RecoveryCode::parse(text), Ok(code.clone()), "{text}");
        }
        for text in [
            "",
            "123456",
            "g1234567-89abcdef-fedcba98-76543210",
            &"0".repeat(33),
        ] {
            assert!(RecoveryCode::parse(text).is_err(), "{text}");
        }
    }
}
