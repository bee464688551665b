//! [`Phone`]: a phone number in the single spelling that gateways accept.

use super::meant;

/// A phone number in the format E.164, such as `+4915112345678`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone(String);

// === impl Phone ===

impl Phone {
    /// Parses a phone number. Returns `None` if the text is not a number with a country code. `00` stands
    /// for `+`, and a zero in parentheses is left out, as in calls from abroad.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let typed: String = meant(text).take(64).collect();
        let typed = typed.strip_prefix("tel:").unwrap_or(&typed);
        let typed = typed.replacen("(0)", "", 1).replace(['(', ')'], "");
        let digits = typed
            .strip_prefix('+')
            .or_else(|| typed.strip_prefix("00"))?;
        let good = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (8..=15).contains(&digits.len())
            && !digits.starts_with('0');
        good.then(|| Self(format!("+{digits}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_spelling() {
        for text in [
            "+4915112345678",
            " +49 (151) 123-45678 ",
            "+49 (0)151 / 12345678",
            "0049.151.12345678",
            "tel:+49-151-12345678",
            "\u{ff0b}4915112345678",
        ] {
            let phone = Phone::parse(text).map(Phone::into_string);
            assert_eq!(phone.as_deref(), Some("+4915112345678"), "{text}");
        }
    }

    #[test]
    fn malformed_phone_numbers_are_refused() {
        for text in [
            "",
            "+",
            "015112345678",
            "+0151123456",
            "+0049151123456",
            "+4915",
            "+491511234567890123",
            "+49 151 call me",
            "++4915112345678",
            "4915112345678",
            "+4915112345678\0",
        ] {
            assert_eq!(Phone::parse(text), None, "{text}");
        }
    }
}
