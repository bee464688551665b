//! [`Address`]: checks the URLs to which requests are sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;

use super::exchange::shown;

/// What is allowed besides https to public hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressRules {
    /// Whether plain http to this machine is allowed.
    pub(crate) loopback: bool,
    /// Whether hosts in private networks and this machine are allowed.
    pub(crate) private: bool,
    /// Hosts, by their names in lower case, to which plain http is allowed, even in private networks.
    pub(crate) plain_http: Arc<[Box<str>]>,
}

/// A URL to which requests may be sent, as far as its text can tell.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    uri: Uri,
}

// === impl AddressRules ===

impl AddressRules {
    /// Whether connections to this IP address are allowed.
    pub(super) fn allow(&self, host: IpAddr) -> bool {
        self.private || is_public(host) || (self.loopback && host.to_canonical().is_loopback())
    }

    /// Whether the host is one of those to which plain http is allowed.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.plain_http.iter().any(|one| **one == *host)
    }

    /// Allows plain http to this host.
    pub(crate) fn add_plain_http(&mut self, host: &str) {
        let host = host.to_ascii_lowercase().into();
        self.plain_http = self.plain_http.iter().cloned().chain([host]).collect();
    }
}

// === impl Address ===

impl Address {
    /// Reads an absolute URL.
    ///
    /// # Errors
    ///
    /// Says which URL is wrong, why, and what to do.
    pub(crate) fn parse(text: &str, rules: &AddressRules) -> Result<Self, String> {
        Self::read(text, rules).map_err(|reason| format!("`{}` {reason}", without_password(text)))
    }

    fn read(text: &str, rules: &AddressRules) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("is empty: expected a URL such as `https://idp.example`");
        }
        if text.trim() != text {
            return Err("begins or ends with white space: remove it");
        }
        if text.contains('#') {
            return Err("has a fragment: remove the `#` and what follows it");
        }
        let uri: Uri = text.parse().map_err(|_| {
            "is not a URL: expected one such as `https://idp.example`, without quotes and spaces"
        })?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is not an absolute https URL: begin it with `https://`");
        };
        if authority.as_str().contains('@') {
            return Err("has a user name or a password in it: remove them");
        }
        let host = authority.host();
        if host.is_empty() {
            return Err("names no host: expected a URL such as `https://idp.example`");
        }
        let port = authority.as_str().strip_prefix(host);
        let port = port.and_then(|rest| rest.strip_prefix(':'));
        if port.is_some_and(|port| !port.is_empty() && port.parse::<u16>().is_err()) {
            return Err("has a port that is not a number from 0 to 65535: correct or remove it");
        }
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        // `localhost` always means this machine (RFC 6761 section 6.3).
        let loopback = host.eq_ignore_ascii_case("localhost")
            || ip.is_some_and(|ip| ip.to_canonical().is_loopback());
        match scheme {
            "https" => {}
            "http" if (loopback && rules.loopback) || rules.names(host) => {}
            "http" if loopback => {
                return Err(
                    "is plain http: for a server on this machine, call `allow_loopback()` on its builder \
                     (for a provider's keys: `RemoteJwks::builder`, and `remote_jwks` in place of `discover`)",
                );
            }
            "http" => {
                return Err(
                    "must be https, but is plain http: anybody on the way could change an unencrypted response",
                );
            }
            _ => return Err("must be https: no other scheme is supported"),
        }
        if !rules.names(host) && ip.is_some_and(|ip| !rules.allow(ip)) {
            return Err(PRIVATE);
        }
        Ok(Self { uri })
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether both have the same scheme, host and port (RFC 6454 section 4).
    pub(super) fn has_origin_of(&self, other: &Self) -> bool {
        self.origin() == other.origin()
    }

    /// Whether this is the origin of that URL.
    pub(super) fn is_origin_of(&self, uri: &Uri) -> bool {
        self.origin() == origin(uri)
    }

    fn origin(&self) -> (Option<&str>, String, Option<u16>) {
        origin(&self.uri)
    }
}

fn origin(uri: &Uri) -> (Option<&str>, String, Option<u16>) {
    let scheme = uri.scheme_str();
    let default = if scheme == Some("http") { 80 } else { 443 };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (scheme, host, uri.port_u16().or(Some(default)))
}

/// Removes a user name and a password from a URL for an error message.
fn without_password(text: &str) -> String {
    let text = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}...{}", &text[..scheme + 3], &text[at..])
        }
        (None, Some(at)) => format!("...{}", &text[at..]),
        _ => text.to_owned(),
    };
    shown(&text, 256)
}

pub(super) const PRIVATE: &str =
    "leads to a private address: call `allow_private_network()` if that is intended";

/// Whether an IP address belongs to a host on the Internet. The special ones of RFC 6890 do not.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18); // benchmarks
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, .., g, h] = ip.segments();
    // The IPv4 address in a translated address (RFC 6052) or a 6to4 address (RFC 3056).
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) => is_public_v4(v4(g, h)),
        (0x2002, high) => is_public_v4(v4(high, ip.segments()[2])),
        (0x2001, 0xdb8) | (0x2001, 0) => false,
        // Global unicast is 2000::/3. No other addresses are assigned to public hosts.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING_MORE: (bool, bool) = (false, false);
    const LOOPBACK: (bool, bool) = (true, false);
    const PRIVATE_TOO: (bool, bool) = (false, true);

    fn rules((loopback, private): (bool, bool)) -> AddressRules {
        AddressRules {
            loopback,
            private,
            ..AddressRules::default()
        }
    }

    fn good(text: &str, allowed: (bool, bool)) -> bool {
        Address::parse(text, &rules(allowed)).is_ok()
    }

    #[test]
    fn plain_http_is_allowed_only_to_named_hosts() {
        let mut named = AddressRules::default();
        named.add_plain_http("Keycloak.auth.svc");
        named.add_plain_http("10.0.0.7");
        let good = |text: &str| Address::parse(text, &named).is_ok();
        for text in [
            "http://keycloak.auth.svc:8080/realms/staff",
            "http://KEYCLOAK.auth.svc/",
            "http://10.0.0.7/jwks",
            "https://10.0.0.7/jwks",
        ] {
            assert!(good(text), "{text}");
        }
        for text in [
            "http://auth.svc/",
            "http://keycloak.auth.svc.evil.example/",
            "http://10.0.0.8/jwks",
            "https://10.0.0.8/jwks",
            "ftp://keycloak.auth.svc/",
        ] {
            assert!(!good(text), "{text}");
        }
    }

    #[test]
    fn only_https_is_allowed_unless_loopback_is_enabled() {
        for text in [
            "https://idp.example",
            "https://idp.example:8443/x?y=z",
            "HTTPS://IDP.example/",
        ] {
            assert!(good(text, NOTHING_MORE), "{text}");
        }
        for text in [
            "http://idp.example",
            "ftp://idp.example",
            "file:///etc/passwd",
            "idp.example",
            "/x",
            "",
            "https://",
            "https://user:pass@idp.example",
            "https://idp.example#x",
            "https://idp example",
        ] {
            assert!(!good(text, NOTHING_MORE) && !good(text, LOOPBACK), "{text}");
        }
        for text in [
            "http://localhost:3000",
            "http://127.0.0.1/x",
            "http://[::1]:9",
            "http://LOCALHOST",
        ] {
            assert!(!good(text, NOTHING_MORE), "{text}");
            assert!(good(text, LOOPBACK), "{text}");
        }
        assert!(!good("http://localhost.evil.example", LOOPBACK));
    }

    #[test]
    fn private_hosts_are_allowed_only_if_enabled() {
        for host in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
        ] {
            let text = format!("https://{host}/jwks");
            assert!(!good(&text, NOTHING_MORE), "{host}");
            assert!(good(&text, PRIVATE_TOO), "{host}");
        }
        for host in [
            "8.8.8.8",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::808:808]",
        ] {
            assert!(
                good(&format!("https://{host}/jwks"), NOTHING_MORE),
                "{host}"
            );
        }
        // Allowing this machine does not allow its network.
        assert!(good("http://127.0.0.1/", LOOPBACK));
        assert!(!good("https://10.0.0.1/", LOOPBACK));
    }

    #[test]
    fn a_port_must_be_a_number() {
        for port in ["", ":", ":443", ":65535"] {
            let text = format!("https://idp.example{port}/keys");
            assert!(good(&text, NOTHING_MORE), "{text}");
        }
        for port in [":keys", ":65536", ":4 3", ":-1"] {
            let text = format!("https://idp.example{port}/keys");
            assert!(!good(&text, NOTHING_MORE), "{text}");
        }
        assert!(good("https://[2606:4700::1111]:8443/", NOTHING_MORE));
        assert!(!good("https://[2606:4700::1111]:x/", NOTHING_MORE));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| {
            let read = |text| Address::parse(text, &rules(LOOPBACK)).unwrap();
            read(a).has_origin_of(&read(b))
        };
        assert!(same("https://idp.example/a", "https://IDP.example:443/b?c"));
        assert!(!same("https://idp.example", "https://idp.example:444"));
        assert!(!same("https://idp.example", "https://keys.idp.example"));
        assert!(!same("http://localhost", "https://localhost"));
    }
}
