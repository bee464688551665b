//! [`Typed`]: a password as it was typed, and in the form that is hashed.

use std::iter::once;

use unicode_normalization::char::is_public_assigned;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

use crate::password::error::PasswordError;

/// The longest password, in bytes, that is hashed: 1024. That is enough for any passphrase, and too short to
/// keep the machine busy.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The largest factor by which Normalization Form C lengthens a text in UTF-8, and about the largest by which
/// it shortens one (UAX #15 section 14.1).
const MOST_BY_NFC: usize = 3;

/// A password in memory, which is wiped on drop.
///
/// It has two forms if it was typed in another form than the one that is hashed, because old hashes may be of
/// what was typed. How often it is tried depends only on what was typed.
pub(super) struct Typed {
    as_typed: Zeroizing<String>,
    /// The normal form, if it differs.
    normal: Option<Zeroizing<String>>,
}

// === impl Typed ===

impl Typed {
    /// Copies a password if one of its forms is short enough.
    pub(super) fn read(password: &str, normalize: bool) -> Result<Self, PasswordError> {
        let too_long = PasswordError::TooLong {
            max: MAX_PASSWORD_BYTES,
        };
        let most = if normalize { MOST_BY_NFC } else { 1 } * MAX_PASSWORD_BYTES;
        if password.len() > most {
            return Err(too_long);
        }
        let typed = Self {
            as_typed: Zeroizing::new(password.to_owned()),
            normal: if normalize { nfc(password) } else { None },
        };
        if typed.forms().all(|form| form.len() > MAX_PASSWORD_BYTES) {
            return Err(too_long);
        }
        Ok(typed)
    }

    /// Returns the form from which a new hash is made.
    pub(super) fn to_hash(&self) -> &str {
        self.normal.as_ref().unwrap_or(&self.as_typed)
    }

    /// Returns the forms from which a stored hash may have been made. The form that was typed comes first,
    /// because old hashes are of that one.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        once(&self.as_typed)
            .chain(&self.normal)
            .map(|form| form.as_str())
    }
}

/// Counts the code points of the form that [`Typed`] would hash.
pub(super) fn count(password: &str, normalize: bool) -> usize {
    let short = password.len() <= MOST_BY_NFC * MAX_PASSWORD_BYTES;
    match nfc(password).filter(|_| normalize && short) {
        Some(normal) => normal.chars().count(),
        None => password.chars().count(),
    }
}

/// Returns the Normalization Form C of `text` if it differs, by the process for stabilized strings (UAX #15
/// section 12.1): a text that contains code points which this version of Unicode does not assign stays as it
/// is, because a later version could normalize it differently.
fn nfc(text: &str) -> Option<Zeroizing<String>> {
    if text.is_ascii() || is_nfc(text) || !text.chars().all(is_public_assigned) {
        return None;
    }
    // With enough capacity, so that growing leaves no copy behind.
    let mut normal = Zeroizing::new(String::with_capacity(MOST_BY_NFC * text.len()));
    normal.extend(text.nfc());
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_normalization_changes_has_two_forms() {
        for text in ["", "abc", "é", "Ω", "한", "🔑", "ﬁ", "²", "Å"] {
            let typed = Typed::read(text, true).unwrap();
            assert_eq!(typed.forms().count(), 1, "{text}");
            assert_eq!(typed.to_hash(), text);
        }
        for (text, normal) in [
            ("e\u{301}", "é"),
            ("\u{2126}", "Ω"),
            ("\u{212b}", "Å"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
        ] {
            let typed = Typed::read(text, true).unwrap();
            assert!(typed.forms().eq([text, normal]), "{text}");
            assert_eq!(typed.to_hash(), normal);
            let typed = Typed::read(text, false).unwrap();
            assert!(typed.forms().eq([text]), "{text}");
            assert_eq!(typed.to_hash(), text);
        }
    }

    #[test]
    fn unassigned_code_points_leave_a_password_as_it_was_typed() {
        let typed = Typed::read("e\u{301}\u{378}", true).unwrap();
        assert!(typed.forms().eq(["e\u{301}\u{378}"]));
    }

    #[test]
    fn the_memory_of_the_normal_form_never_grows() {
        // The largest expansion: one code point of 4 bytes becomes three code points of 4 bytes.
        for text in ["\u{1d160}", "\u{fb2c}", "\u{1f82}", "\u{958}"] {
            let text = text.repeat(100);
            let normal = nfc(&text);
            let (length, capacity) = normal.map_or((0, 0), |n| (n.len(), n.capacity()));
            assert!(length <= capacity && capacity <= 3 * text.len(), "{text}");
        }
    }

    #[test]
    fn either_form_may_be_the_one_that_is_short_enough() {
        let shrinks = "e\u{301}".repeat(500);
        assert_eq!((shrinks.len(), count(&shrinks, true)), (1500, 500));
        assert!(Typed::read(&shrinks, true).is_ok());
        assert!(Typed::read(&shrinks, false).is_err());
        let grows = "\u{fb2c}".repeat(341);
        let typed = Typed::read(&grows, true).unwrap();
        assert!(typed.to_hash().len() > MAX_PASSWORD_BYTES);
        assert!(Typed::read(&"é".repeat(513), true).is_err());
    }
}
