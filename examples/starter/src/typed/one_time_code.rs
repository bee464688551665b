//! [`OneTimeCode`]: the six digits of an authenticator app or an SMS.

use super::{Malformed, meant};

const DIGITS: usize = 6;
const EXPECTED: Malformed = Malformed {
    expected: "A code has six digits, such as 123456; spaces and dashes between them do not matter. \
               This did not count as an attempt.",
};

/// Six digits, without the separators that were typed with them.
pub(crate) struct OneTimeCode(String);

// === impl OneTimeCode ===

impl OneTimeCode {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let code: String = meant(text).take(DIGITS + 1).collect();
        let good = code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
        good.then_some(Self(code)).ok_or(EXPECTED)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits() {
        for text in ["123456", " 123-456\n", "1 2 3 4 5 6", "\u{ff11}23456"] {
            assert_eq!(
                OneTimeCode::parse(text).unwrap().as_str(),
                "123456",
                "{text}"
            );
        }
        for text in [
            "",
            "12345",
            "1234567",
            "12345a",
            "\u{2460}23456",
            "+123456",
            "12345\u{e9}",
        ] {
            assert!(OneTimeCode::parse(text).is_err(), "{text}");
        }
        let code = OneTimeCode::parse("123456").unwrap();
        assert!(!format!("{code:?}").contains("123456"));
    }
}
