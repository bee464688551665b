//! [`Thumbprint`]: the SHA-256 that identifies a key (RFC 7638) or a certificate (RFC 8705 section 3.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The SHA-256 of a public key or a certificate. It is written as base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thumbprint(pub(crate) [u8; 32]);

// === impl Thumbprint ===

impl Thumbprint {
    /// Reads a thumbprint. Returns `None` if the text is not the canonical base64url of 32 bytes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 33];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (thumbprint, _) = bytes.split_first_chunk::<32>()?;
        (length == 32).then_some(Self(*thumbprint))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 43];
        let length = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text)
            .map_err(|_| fmt::Error)?;
        let text = text.get(..length).unwrap_or_default();
        f.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Thumbprint;

    #[test]
    fn a_thumbprint_has_one_form() {
        let thumbprint = Thumbprint([0xfb; 32]);
        let text = thumbprint.to_string();
        assert_eq!(Thumbprint::parse(&text), Some(thumbprint));
        let last = text.len() - 1;
        for bad in [
            String::new(),
            text[..last].to_owned(),
            format!("{text}="),
            format!("{text}A"),
            format!("{}_", &text[..last]), // bits beyond the 32 bytes
            text.replace('-', "+").replace('_', "/"),
        ] {
            assert_eq!(Thumbprint::parse(&bad), None, "{bad}");
        }
    }
}
