//! Checks the origins of pages, as browsers send them in `Origin` (RFC 6454), and the names of cookies.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::ORIGIN;

/// Whether the request has exactly one `Origin`, which is one of `origins`, compared byte by byte.
pub(crate) fn is_from(headers: &HeaderMap, origins: &[Box<str>]) -> bool {
    let mut values = headers.get_all(ORIGIN).iter();
    match (values.next(), values.next()) {
        (Some(origin), None) => origins
            .iter()
            .any(|ours| ours.as_bytes() == origin.as_bytes()),
        _ => false,
    }
}

/// Checks that an origin is written as browsers send it, or says what is wrong. `http` is accepted only for
/// pages on this machine.
pub(crate) fn check_origin(origin: &str) -> Result<Scheme, String> {
    let shown = shown(origin);
    let parts = parse_origin(origin).ok_or_else(|| {
        format!(
            "`{shown}` is not an origin in the form that browsers send: write \
             `https://app.example` or `https://app.example:8443`, in lower case, without a path, a \
             slash at the end or a default port"
        )
    })?;
    match parts {
        ("https", _) => Ok(Scheme::Https),
        (_, host) if is_loopback(host) => Ok(Scheme::LocalHttp),
        _ => Err(format!(
            "the origin `{shown}` is plain http, but a token must not be sent unencrypted: serve \
             the page over https"
        )),
    }
}

/// The scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Https,
    /// `http` on this machine.
    LocalHttp,
}

/// Returns the scheme and the host of an origin (RFC 6454 section 6.2).
fn parse_origin(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_good = port.is_none_or(|port| {
        let number = port.parse::<u16>().ok();
        number.is_some_and(|number| number != default_port && number.to_string() == port)
    });
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_is_good = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_string() == v6),
        None => !host.is_empty() && host.bytes().all(is_host_byte),
    };
    (port_is_good && host_is_good).then_some((scheme, host))
}

/// Whether a host is this machine (RFC 6761 section 6.3).
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether a byte can be in a host name as browsers send it: in lower case, with Punycode for non-ASCII
/// names.
const fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_')
}

/// Whether a text is a token in the sense of RFC 9110 section 5.6.2, which the names of cookies and of
/// WebSocket protocols must be.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Escapes and shortens a text from the configuration for an error message.
pub(crate) fn shown(text: &str) -> String {
    text.escape_default().take(256).collect()
}
