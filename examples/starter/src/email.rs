//! [`Email`]: an address in the one spelling that the database knows.

/// The longest address that SMTP can carry (RFC 5321 section 4.5.3.1.3, erratum 1690).
const MAX_BYTES: usize = 254;

/// An e-mail address, without white space around it and in lower case.
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
        let address = text.trim();
        if address.len() > MAX_BYTES {
            return None;
        }
        let address = address.to_lowercase();
        let (local, domain) = address.split_once('@')?;
        let good = !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !address.contains(|c: char| c.is_whitespace() || c.is_control())
            && address.len() <= MAX_BYTES;
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

#[cfg(test)]
mod tests {
    use super::Email;

    #[test]
    fn one_address_has_one_spelling() {
        let email = Email::parse("  Ada@Example.COM\n").unwrap();
        assert_eq!(email.as_str(), "ada@example.com");
    }

    #[test]
    fn what_cannot_be_an_address_is_none() {
        let long = format!("{}@example.com", "a".repeat(243));
        for text in [
            "", "@", "ada", "ada@", "@b.c", "a@b@c", "a b@c.d", "a@.c", "a@c.", "a\0@b.c", &long,
        ] {
            assert_eq!(Email::parse(text), None, "{text:?}");
        }
        assert!(Email::parse(&long[1..]).is_some());
    }
}
