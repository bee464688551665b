//! [`Origin`]: scheme, host and port of a site, as browsers send it.

use std::fmt;

use axum::http::{HeaderValue, Uri};

/// The origin of a page (RFC 6454), such as `https://app.example.com`. It includes the port unless that is
/// the default port of the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

// === impl Origin ===

impl Origin {
    /// Parses `http://` or `https://`, a host, and an optional port. Only a slash may follow. Returns `None` for
    /// any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let usual_port = match uri.scheme_str()? {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || uri.query().is_some() || uri.path() != "/" {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || host.contains('*') || text.contains('#') {
            return None;
        }
        let given = authority.as_str()[authority.host().len()..].strip_prefix(':');
        let port = given.map(str::parse::<u16>).transpose().ok()?;
        let port = port.filter(|port| *port != usual_port);
        let scheme = uri.scheme_str()?;
        Some(Self(match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }

    /// Returns whether the origin uses TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Returns the text as browsers send it in the header `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelled_as_browsers_spell_it() {
        for (text, origin) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), origin, "{text}");
        }
    }

    #[test]
    fn malformed_origins_are_refused() {
        for text in [
            "",
            "*",
            "null",
            "app.example.com",
            "ftp://app.example.com",
            "https://",
            "https://*.example.com",
            "https://app.example.com/path",
            "https://app.example.com?query",
            "https://app.example.com#part",
            "https://user@app.example.com",
            "https://app.example.com:port",
            "https://app.example.com:99999",
            "https://a.example.com https://b.example.com",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
