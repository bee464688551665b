//! [`Email`]: an email address in the single spelling that the database uses.

use std::net::Ipv4Addr;

use lettre::Address;

use super::{normalized, to_ascii, trimmed};

/// The longest address that SMTP can carry, in bytes (RFC 5321 section 4.5.3.1.3, erratum 1690).
const MAX_BYTES: usize = 254;
/// The longest text that can become an address, in bytes. Full-width characters have three.
const MAX_TYPED_BYTES: usize = 3 * MAX_BYTES;

/// An email address in lower case, to which an email can be sent, without anything that was copied along
/// with it. Full-width characters become ASCII, and accents are composed, as in RFC 8265 section 3.3.
///
/// The parser is that of the library that sends emails. A domain in another script is stored in ASCII (IDNA
/// 2008, as `xn--...`), so that it has one spelling and any mail server accepts it. Before the `@` only
/// ASCII is allowed, because other characters would need SMTPUTF8 (RFC 6531) on every server on the way.
///
/// Only the format is checked. Whether the address exists, and belongs to the user, is known once a link
/// that was sent to it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

// === impl Email ===

impl Email {
    /// Parses an address. Returns `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = unwrapped(text);
        if address.len() > MAX_TYPED_BYTES {
            return None;
        }
        let address: String = address.chars().map(to_ascii).collect();
        let address = normalized(&address).to_lowercase();
        let (local, domain) = address.rsplit_once('@')?;
        let domain = idna::domain_to_ascii_strict(domain).ok()?;
        // Between quotation marks (RFC 5321 section 4.1.2) almost anything would be possible, and many
        // servers refuse it.
        let is_plain = local.is_ascii() && !local.contains(['"', '\\']);
        // A domain that mail servers look up, and not an IP address.
        let has_name = domain.parse::<Ipv4Addr>().is_err();
        let address = format!("{local}@{domain}");
        let good = is_plain
            && has_name
            && address.len() <= MAX_BYTES
            && address.parse::<Address>().is_ok();
        good.then_some(Self(address))
    }

    /// Wraps an address from the table of users.
    pub(crate) fn stored(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// Returns the address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Removes white space, brackets and `mailto:`, as in `<ada@example.com>`.
fn unwrapped(text: &str) -> &str {
    let text = trimmed(text);
    let inside = text.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    let text = trimmed(inside.unwrap_or(text));
    match text.split_at_checked("mailto:".len()) {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("mailto:") => address,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Email, MAX_BYTES};

    #[test]
    fn one_address_has_one_spelling() {
        for text in [
            "  Ada@Example.COM\n",
            "\u{feff}ada@example.com\u{a0}",
            "<ada@example.com>",
            "MAILTO:ada@example.com",
            "\u{ff21}da\u{ff20}example\u{ff0e}com",
        ] {
            let email = Email::parse(text).unwrap();
            assert_eq!(email.as_str(), "ada@example.com", "{text:?}");
        }
        let composed = Email::parse("a@\u{fc}.c").unwrap();
        assert_eq!(Email::parse("a@u\u{308}.c"), Some(composed));
    }

    #[test]
    fn malformed_addresses_are_refused() {
        let domain = [63, 63, 57].map(|length| "d".repeat(length)).join(".");
        let local = "a".repeat(64);
        let longest = format!("{local}@{domain}.com");
        let long = format!("{local}@d{domain}.com");
        for text in [
            "", "@", "ada", "ada@", "@b.c", "a@b@c", "a b@c.d", "a@.c", "a@c.", "a\0@b.c", &long,
        ] {
            assert_eq!(Email::parse(text), None, "{text:?}");
        }
        assert_eq!(longest.len(), MAX_BYTES);
        assert!(Email::parse(&longest).is_some());
    }
}
