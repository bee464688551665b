//! [`LinkSecret`]: the secret of a link, or of a login that is not complete.

use super::is_invisible;

/// The length of 256 bits in base64url without padding.
const CHARS: usize = 43;

/// A secret of 256 random bits, without white space that an email program has added.
pub(crate) struct LinkSecret(String);

// === impl LinkSecret ===

impl LinkSecret {
    /// Parses a secret. Returns `None` if the text cannot be one, so that nothing is looked up.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let kept = |c: &char| !c.is_whitespace() && !is_invisible(*c);
        let secret: String = text.chars().filter(kept).take(CHARS + 1).collect();
        let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let good = secret.len() == CHARS && secret.bytes().all(in_alphabet);
        good.then_some(Self(secret))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_in_a_secret_is_ignored() {
        let secret = format!("{}-_", "Aa0".repeat(13) + "xy");
        let typed = format!(" {}\r\n {}\u{a0}", &secret[..20], &secret[20..]);
        assert_eq!(LinkSecret::parse(&typed).unwrap().as_str(), secret);
        for text in [
            "",
            "x",
            &secret[1..],
            &format!("{secret}A"),
            &secret.replace('-', "="),
        ] {
            assert!(LinkSecret::parse(text).is_none(), "{text}");
        }
    }
}
