//! [`PublicAddress`]: the URL at which clients reach the service, and the comparison with the `htu` of a
//! proof (RFC 9449 section 4.3, RFC 3986 section 6.2.2).

use std::borrow::Cow;
use std::fmt;

use crate::error::ConfigError;
use crate::origin::{check_origin, shown};

/// The origin that clients see, and the part of the path that the service does not see.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicAddress {
    /// The normalized URL, without a slash at the end: `https://api.example/v1`.
    base: Box<str>,
}

// === impl PublicAddress ===

impl PublicAddress {
    /// Reads a URL from the configuration: an origin as browsers send it, followed by a path if the service
    /// is mounted at one.
    pub(super) fn parse(address: &str) -> Result<Self, ConfigError> {
        let wrong = |what: &str| {
            Err(ConfigError::invalid(format!(
                "the public URL `{}` {what}: write it as clients see it, such as `https://api.example` or \
                 `https://api.example/v1`",
                shown(address)
            )))
        };
        let start = address.find("://").map_or(0, |at| at + 3);
        let end = address[start..]
            .find('/')
            .map_or(address.len(), |at| start + at);
        let (origin, path) = address.split_at(end);
        if check_origin(origin).is_err() {
            return wrong(if origin.starts_with("http:") {
                "is plain http, but a token must not be sent unencrypted (plain http is accepted only for this machine)"
            } else {
                "is not an https origin in lower case without a default port, followed by a path"
            });
        }
        if path.ends_with('/') {
            return wrong("ends with a slash");
        }
        if path.contains(['?', '#']) || normal_path(path) != path {
            return wrong("has a query, a fragment, `.`, `..` or an unnecessary `%` in its path");
        }
        Ok(Self {
            base: address.into(),
        })
    }

    /// Returns the URL for a router that is mounted at this path.
    pub(super) fn under(&self, path: &str) -> Self {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return self.clone();
        }
        Self {
            base: format!("{}{}", self.base, normal_path(&format!("/{path}"))).into(),
        }
    }

    /// Whether a proof with this `htu` is for a request to this path. Query and fragment are ignored.
    pub(super) fn fits(&self, htu: &str, path: &str) -> bool {
        // The fast path for nearly every client: if the texts are equal, so are their normal forms.
        if htu.strip_prefix(&*self.base) == Some(path) && path.starts_with('/') {
            return true;
        }
        let Some(htu) = normal(htu) else {
            return false;
        };
        htu.strip_prefix(&*self.base)
            .is_some_and(|rest| path.starts_with('/') && rest == normal_path(path))
    }
}

impl fmt::Debug for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Returns the normal form of an http or https URL without query and fragment. Returns `None` if it is not
/// such a URL, or has a user name.
fn normal(address: &str) -> Option<String> {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (scheme, rest) = address[..end].split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match &*scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b']' | b':')
    };
    if host.is_empty() || !host.bytes().all(is_host) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
    if !port.is_empty() {
        let port: u16 = port.parse().ok()?;
        if port != default_port {
            normal.push(':');
            normal.push_str(&port.to_string());
        }
    }
    normal.push_str(if path.is_empty() { "/" } else { path });
    let path_at = normal.len() - path.len().max(1);
    let path = normal_path(&normal[path_at..]).into_owned();
    normal.truncate(path_at);
    normal.push_str(&path);
    Some(normal)
}

/// Returns the normal form of a path: escapes are in upper case, unnecessary ones and dot segments are
/// removed.
fn normal_path(path: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if path.bytes().all(is_plain) && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    Cow::Owned(without_dots(&escaped(path)))
}

/// Returns the byte that an escape stands for, if one begins here.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Normalizes escapes (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
///
/// If the path has a `%` that does not begin an escape, it stays as it is, and no escape is decoded. Otherwise a
/// decoded character could complete that `%` to an escape: `%3%30` would become `%30`, which is another path.
fn escaped(path: &str) -> String {
    let bytes = path.as_bytes();
    let is_well_formed = (0..bytes.len())
        .filter(|&at| bytes[at] == b'%')
        .all(|at| escape(&bytes[at..]).is_some());
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (value, length) = match escape(&bytes[at..]) {
            Some(value) => (value, 3),
            None => (byte, 1),
        };
        at += length;
        let is_unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        let is_unnecessary = length == 3 && is_unreserved && is_well_formed;
        if is_unnecessary || (length == 1 && value.is_ascii_graphic()) {
            out.push(char::from(value));
        } else {
            out.push_str(&format!("%{value:02X}"));
        }
    }
    out
}

/// Removes dot segments from a path that begins with a slash (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if is_last {
                    out.push("");
                }
            }
            _ => out.push(segment),
        }
    }
    if !path.starts_with('/') {
        return path.to_owned();
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PublicAddress, normal, normal_path};

    fn fits(base: &str, htu: &str, path: &str) -> bool {
        PublicAddress::parse(base).unwrap().fits(htu, path)
    }

    #[test]
    fn a_url_is_compared_after_normalization() {
        for htu in [
            "https://api.example/a/b",
            "HTTPS://api.example/a/b",
            "https://API.Example/a/b",
            "https://api.example:443/a/b",
            "https://api.example:0443/a/b",
            "https://api.example:/a/b",
            "https://api.example/a/./b",
            "https://api.example/x/../a/b",
            "https://api.example/../a/b",
            "https://api.example/%61/b",
            "https://api.example/x/%2e%2e/a/b",
            "https://api.example/a/b?q=1#f",
            "https://api.example/a/b?",
            "https://api.example/a/b#f?x",
        ] {
            assert!(fits("https://api.example", htu, "/a/b"), "{htu}");
        }
        for htu in [
            "",
            "/a/b",
            "api.example/a/b",
            "//api.example/a/b",
            "http://api.example/a/b",
            "wss://api.example/a/b",
            "https://api.example",
            "https://api.example/",
            "https://api.example/a/b/",
            "https://api.example/a//b",
            "https://api.example/A/b",
            "https://api.example/a%2Fb",
            "https://api.example:8443/a/b",
            "https://api.example:65979/a/b",
            "https://api.example:44 3/a/b",
            "https://user@api.example/a/b",
            "https://api.example@evil.example/a/b",
            "https://evil.example/a/b",
            "https://api.example.evil/a/b",
            "https://evil.example/?https://api.example/a/b",
            "https://api.example\\a\\b",
            " https://api.example/a/b",
            "https://api.example/a/b ",
            "https://api.example./a/b",
        ] {
            assert!(!fits("https://api.example", htu, "/a/b"), "{htu}");
        }
    }

    #[test]
    fn escapes_are_equal_in_any_case_and_if_unnecessary() {
        for (htu, path) in [
            ("https://a.example/%C3%A9", "/%c3%a9"),
            ("https://a.example/\u{e9}", "/%C3%A9"),
            ("https://a.example/~a", "/%7Ea"),
            ("https://a.example/a%2Fb", "/a%2fb"),
            ("https://a.example/100%", "/100%"),
            ("https://a.example/%3%3a", "/%3%3A"),
            ("https://a.example/%3%30", "/%3%30"),
            ("https://a.example", "/"),
            ("https://a.example?x", "/"),
            ("https://a.example/..", "/"),
        ] {
            assert!(fits("https://a.example", htu, path), "{htu} {path}");
        }
        for (htu, path) in [
            ("https://a.example/a%2Fb", "/a/b"),
            ("https://a.example/%2561", "/a"),
            ("https://a.example/%3%30", "/%30"),
            ("https://a.example/%3%30", "/0"),
            ("https://a.example/%%330", "/%30"),
            ("https://a.example/", ""),
            ("https://a.example/*", "*"),
        ] {
            assert!(!fits("https://a.example", htu, path), "{htu} {path}");
        }
    }

    #[test]
    fn a_service_may_be_mounted_at_a_path() {
        let base = "https://a.example:8443/v1";
        assert!(fits(base, "https://A.example:8443/v1/x", "/x"));
        assert!(!fits(base, "https://a.example:8443/x", "/x"));
        assert!(!fits(base, "https://a.example:8443/v1x", "x"));
        let nested = PublicAddress::parse("https://a.example")
            .unwrap()
            .under("/api/");
        assert!(nested.fits("https://a.example/api/x", "/x"));
        assert!(nested.fits("https://a.example/api/", "/"));
        let local = "http://[::1]:3000";
        assert!(fits(local, "http://[::1]:3000/x", "/x"));
        assert!(!fits(local, "http://[::1]/x", "/x"));
    }

    #[test]
    fn a_public_url_in_another_form_than_clients_see_is_refused() {
        for bad in [
            "",
            "api.example",
            "https://",
            "https://api.example/",
            "https://API.example",
            "https://api.example:443",
            "https://api.example?x",
            "https://api.example/a?x",
            "https://api.example/a/../b",
            "https://api.example/%61",
            "https://user@api.example",
            "http://api.example",
            "ftp://api.example",
            "*",
        ] {
            let error = PublicAddress::parse(bad).unwrap_err().to_string();
            assert!(error.contains("https://"), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn normalization_is_idempotent(path in "/[a-z./%0-9A-Fé ]{0,20}") {
            let once = normal_path(&path).into_owned();
            prop_assert_eq!(normal_path(&once), once.as_str());
            let address = format!("https://a.example{path}");
            if let Some(address) = normal(&address) {
                prop_assert_eq!(normal(&address), Some(address));
            }
        }
    }
}
