//! [`Email`]: an address in the one spelling that the database knows.

use std::net::Ipv4Addr;

use lettre::Address;

use super::{normalized, to_ascii, trimmed};

/// The longest address that SMTP can carry (RFC 5321 section 4.5.3.1.3, erratum 1690).
const MAX_BYTES: usize = 254;
/// The longest text that can become one: full-width characters have three bytes.
const MAX_TYPED_BYTES: usize = 3 * MAX_BYTES;

/// An email address that an email can be sent to, in lower case, without what surrounded it where it was
/// copied. Full-width characters are ASCII, and accents are composed, as in RFC 8265 section 3.3.
///
/// It is judged by the parser of the library that sends emails. A domain in another script is kept in ASCII
/// (IDNA 2008, as `xn--...`), so that it has one spelling and any mail server takes it. In front of the `@` there
/// is ASCII only: other letters would need SMTPUTF8 (RFC 6531) of every server on the way.
///
/// Only its form is looked at. That it exists, and belongs to the user, is known when a message
/// to it has been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

// === impl Email ===

impl Email {
    /// The address, or nothing if the text cannot be one.
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
        // Between quotation marks (RFC 5321 section 4.1.2) there could be nearly anything, and many servers
        // take none of it.
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

    /// An address as it stands in the table of users.
    pub(crate) fn stored(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without white space, brackets and `mailto:`, as in `<ada@example.com>`.
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
    fn what_cannot_be_an_address_is_none() {
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
