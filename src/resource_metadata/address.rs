//! [`Address`]: checks the identifier of a resource, and derives the URL of its metadata.

use crate::error::ConfigError;
use crate::origin::{check_origin, shown};

use super::WELL_KNOWN_PATH;

/// The path and the URL of a resource's metadata.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) path: String,
    pub(super) url: String,
}

// === impl Address ===

impl Address {
    /// Inserts the well-known path between the host and the path of the resource (RFC 9728 section 3.1).
    pub(super) fn of(resource: &str) -> Result<Self, ConfigError> {
        let (origin, rest) = split(resource).map_err(|fault| {
            let shown = shown(resource);
            ConfigError::invalid(format!("the resource identifier `{shown}` {fault}"))
        })?;
        let (path, query) = rest
            .find('?')
            .map_or((rest, ""), |mark| rest.split_at(mark));
        let path = if path == "/" { "" } else { path };
        let path = format!("{WELL_KNOWN_PATH}{path}");
        let url = format!("{origin}{path}{query}");
        Ok(Self { path, url })
    }
}

/// Whether a text is a URL that a client can fetch, with https, or with http on this machine.
pub(super) fn is_url(text: &str) -> bool {
    split(text).is_ok()
}

/// Splits a URL into its origin and the rest. Fails with what is wrong.
fn split(url: &str) -> Result<(&str, &str), &'static str> {
    let authority = url.find("://").map_or(0, |colon| colon + 3);
    let end = url[authority..].find(['/', '?', '#']);
    let (origin, rest) = url.split_at(end.map_or(url.len(), |end| authority + end));
    if check_origin(origin).is_err() {
        return Err(if origin.starts_with("http://") {
            "is plain http: it must be https, except on this machine, as in `http://127.0.0.1:3000/mcp` \
             (RFC 9728 section 1.2)"
        } else {
            "must begin as in `https://api.example` or `https://api.example:8443`: with https, the host \
             in lower case, no user name and no default port, because clients compare it byte for byte"
        });
    }
    if rest.contains('#') {
        return Err("has a fragment: leave out the `#` and what follows it (RFC 9728 section 1.2)");
    }
    if !rest.bytes().all(is_url_byte) {
        return Err(
            "contains a character that cannot be in a URL: percent-encode it (RFC 3986 section 2.1)",
        );
    }
    Ok((origin, rest))
}

/// Whether a byte can be in a path or a query (RFC 3986 sections 3.3 and 3.4).
const fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
        )
        || matches!(byte, b'+' | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?')
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn the_well_known_path_is_inserted_after_the_host() {
        // RFC 9728 section 3.1: a slash that follows the host and ends the identifier is removed.
        const AT: &str = "/.well-known/oauth-protected-resource";
        for (resource, path, url) in [
            (
                "https://a.example",
                AT.to_owned(),
                format!("https://a.example{AT}"),
            ),
            (
                "https://a.example/",
                AT.to_owned(),
                format!("https://a.example{AT}"),
            ),
            (
                "https://a.example:8443/mcp",
                format!("{AT}/mcp"),
                format!("https://a.example:8443{AT}/mcp"),
            ),
            (
                "https://a.example/b/mcp/",
                format!("{AT}/b/mcp/"),
                format!("https://a.example{AT}/b/mcp/"),
            ),
            (
                "https://a.example/mcp?t=1",
                format!("{AT}/mcp"),
                format!("https://a.example{AT}/mcp?t=1"),
            ),
            (
                "https://a.example?t=1",
                AT.to_owned(),
                format!("https://a.example{AT}?t=1"),
            ),
            (
                "http://127.0.0.1:3000/mcp",
                format!("{AT}/mcp"),
                format!("http://127.0.0.1:3000{AT}/mcp"),
            ),
        ] {
            let expected = Address { path, url };
            assert_eq!(Address::of(resource).unwrap(), expected, "{resource}");
        }
    }

    #[test]
    fn an_identifier_that_clients_cannot_compare_is_refused() {
        for (resource, told) in [
            ("http://a.example/mcp", "is plain http"),
            ("https://a.example/mcp#top", "has a fragment"),
            ("https://a.example#top", "has a fragment"),
            ("https://a.example/m cp", "percent-encode it"),
            ("https://a.example/{tenant}", "percent-encode it"),
            ("https://a.example/caf\u{e9}", "percent-encode it"),
            ("https://A.example/mcp", "in lower case"),
            ("https://a.example:443/mcp", "no default port"),
            ("https://me@a.example/mcp", "no user name"),
            ("a.example/mcp", "with https"),
            ("urn:notes", "with https"),
            ("ftp://a.example", "with https"),
            ("https://", "must begin"),
            ("", "must begin"),
        ] {
            let error = Address::of(resource).unwrap_err().to_string();
            assert!(error.contains(told), "{resource}: {error}");
        }
    }
}
