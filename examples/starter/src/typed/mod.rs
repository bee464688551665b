//! What people type or copy: one type for each kind, parsed first. Separators, invisible characters and the
//! digits of other scripts make no difference.
//!
//! Cannot be removed.

mod email;
mod id;
mod link_secret;
mod one_time_code; // chapter: second-factor
mod phone; // chapter: sms
mod recovery_code; // chapter: second-factor

pub use email::Email;
pub(crate) use id::PathId;
pub(crate) use link_secret::LinkSecret;
pub(crate) use one_time_code::OneTimeCode; // chapter: second-factor
pub(crate) use phone::Phone; // chapter: sms
pub(crate) use recovery_code::RecoveryCode; // chapter: second-factor

use std::borrow::Cow;

use axum::http::StatusCode;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::problem::Problem;

/// The zeros of scripts whose digits are on keyboards. The digits one to nine follow each zero.
const ZEROS: [u32; 17] = [
    0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0,
    0xf20, 0x1040, 0x17e0, 0x1810,
];

/// Why a text cannot be a code. Nothing was looked up, and no attempt was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    expected: &'static str,
}

// === impl Malformed ===

// chapter: second-factor {
// chapter: passkeys {
impl Malformed {
    pub(crate) fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}
// chapter: passkeys }
// chapter: second-factor }

impl From<Malformed> for Problem {
    fn from(Malformed { expected }: Malformed) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed_code", expected)
    }
}

// chapter: second-factor {
/// Returns the characters without separators, and in ASCII if they have an ASCII form.
fn meant(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|&c| !is_separator(c)).map(to_ascii)
}
// chapter: second-factor }

/// Removes what surrounds an address or a link where it was copied: white space and invisible characters.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Converts a full-width character (U+FF01 to U+FF5E), or a digit of another script, to ASCII.
pub(crate) fn to_ascii(c: char) -> char {
    let code = u32::from(c);
    let ascii = match c {
        '\u{ff01}'..='\u{ff5e}' => Some(code - 0xfee0),
        _ if c.is_ascii() => None,
        _ => {
            let zero = ZEROS
                .iter()
                .find(|&&zero| (zero..zero + 10).contains(&code));
            zero.map(|zero| code - zero + u32::from('0'))
        }
    };
    ascii.and_then(char::from_u32).unwrap_or(c)
}

/// Returns the text in Normalization Form C, so that the same characters have the same code points on every
/// system.
pub(crate) fn normalized(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

// chapter: second-factor {
/// Returns whether a character is white space, a dash, or punctuation that groups digits, in any script.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || is_invisible(c)
        || matches!(
            c,
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff70}' | '\u{2019}'
        )
        || matches!(
            to_ascii(c),
            '-' | '.' | ',' | '_' | '/' | '\'' | '"' | '\u{b7}' | '\u{2022}' | '\u{fe63}'
        )
}
// chapter: second-factor }

/// Returns whether a character has no width, such as soft hyphens, zero-width characters and direction
/// marks, which are often copied along.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // chapter: second-factor {
    #[test]
    fn separators_are_removed_and_digits_of_all_scripts_kept() {
        let meant = |text| meant(text).collect::<String>();
        assert_eq!(meant("\u{202a} 12\u{a0}3\u{2014}4-5.6\u{feff}"), "123456");
        assert_eq!(
            meant("\u{ff11}\u{662}\u{6f3}\u{96a}\u{e55}\u{ff21}"),
            "12345A"
        );
        assert_eq!(meant("\u{ff0d}\u{30fc}\u{ff3f}"), "");
        assert_eq!(
            meant("1\u{0}2"),
            "1\u{0}2",
            "control characters are not separators"
        );
    }
    // chapter: second-factor }

    #[test]
    fn a_text_has_one_normal_form() {
        assert_eq!(normalized("u\u{308}"), "\u{fc}");
        assert!(matches!(normalized("\u{fc}ab"), Cow::Borrowed(_)));
    }
}
