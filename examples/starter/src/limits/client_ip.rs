//! [`ClientIp`]: the address of the client, also behind trusted proxies.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::app::App;
use crate::config::variable;
use crate::error::Error;

/// The address that counts as one client. For IPv6, it is the first 64 bits, because a client usually has all
/// addresses that begin with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientIp(pub(crate) IpAddr);

/// The proxies in front of the service, whose headers about the client are trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether it was logged that an unknown machine sends the headers of a proxy.
    is_logged: Arc<AtomicBool>,
}

/// The headers in which proxies name the client.
const FORWARDING: [HeaderName; 3] = [
    FORWARDED_FOR,
    FORWARDED,
    HeaderName::from_static("x-real-ip"),
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

// === impl TrustedProxies ===

impl TrustedProxies {
    pub(crate) fn from_env() -> Result<Self, Error> {
        Self::parse(&variable("TRUSTED_PROXIES")?.unwrap_or_default())
    }

    /// Parses addresses and networks such as `10.0.0.0/8`, separated by spaces or commas, or `none`.
    ///
    /// # Errors
    ///
    /// Fails if one of them is not an address or a network.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text == "none" {
            return Ok(Self::default());
        }
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let network = |word: &str| {
            let network = word.parse::<IpNet>().ok();
            network
                .or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from))
                .ok_or_else(|| {
                    format!("TRUSTED_PROXIES: {word} is not a network, such as 10.0.0.0/8")
                })
        };
        Ok(Self {
            networks: words.map(network).collect::<Result<_, _>>()?,
            is_logged: Arc::default(),
        })
    }

    /// Returns whether one of the networks is so large that it contains clients as well.
    pub(crate) fn has_almost_everybody(&self) -> bool {
        self.networks.iter().any(|network| match network {
            IpNet::V4(network) => network.prefix_len() < 8,
            IpNet::V6(network) => network.prefix_len() < 16,
        })
    }

    /// Returns who sent the request. Without a trusted proxy, `X-Forwarded-For` is only what the client
    /// claims, and is ignored.
    pub(crate) fn client(&self, request: &Request) -> ClientIp {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        // Without an address, all clients count as one and are limited together.
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.0.ip());
        let peer = peer.to_canonical();
        self.notice(peer, request.headers());
        ClientIp(block(self.behind(peer, request.headers())))
    }

    /// Logs once that there seems to be an unknown proxy. A client can send such a header as well.
    fn notice(&self, peer: IpAddr, headers: &HeaderMap) {
        if self.trusts(peer) {
            return;
        }
        let Some(header) = FORWARDING
            .into_iter()
            .find(|name| headers.contains_key(name))
        else {
            return;
        };
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "unknown_proxy",
                %peer,
                %header,
                "a request with the header of a proxy comes from an address that is not in TRUSTED_PROXIES: \
                 if that is your proxy, add it, because all clients behind it count as one now and can lock \
                 each other out; if not, a client has forged the header, which is ignored (logged once)"
            );
        }
    }

    /// Goes from the right, where the nearest proxy wrote, to the first address that is not one of our
    /// proxies.
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let named = lines.iter().rev().flat_map(|line| {
            let line = line.to_str().unwrap_or("unreadable");
            line.rsplit(',')
        });
        let mut client = peer;
        for name in named {
            if !self.trusts(client) {
                break;
            }
            match address(name.trim()) {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Parses an address. Some proxies add the port, or put an IPv6 address in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(inside) = inside {
        return inside.parse().ok().map(IpAddr::V6);
    }
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse().or(with_port).ok()
}

fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

impl FromRequestParts<App> for ClientIp {
    type Rejection = Infallible;

    /// Returns the address that the middleware has found.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let unknown = Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        Ok(parts.extensions.get().copied().unwrap_or(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut request = Request::default();
        for line in forwarded {
            request
                .headers_mut()
                .append(FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 7);
        request.extensions_mut().insert(ConnectInfo(peer));
        let ClientIp(ip) = TrustedProxies::parse(proxies).unwrap().client(&request);
        ip.to_string()
    }

    #[test]
    fn forwarded_headers_of_clients_are_ignored() {
        assert_eq!(client("", "1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_a_proxy() {
        let proxies = "10.0.0.0/8, fd00::/8 192.0.2.7";
        assert_eq!(
            client(proxies, "10.0.0.1", &["9.9.9.9, 1.2.3.4"]),
            "1.2.3.4"
        );
        let chain = ["9.9.9.9, 1.2.3.4, 10.2.2.2", "fd00::1, 192.0.2.7"];
        assert_eq!(client(proxies, "::ffff:10.0.0.1", &chain), "1.2.3.4");
        assert_eq!(client(proxies, "10.0.0.1", &["1.2.3.4:567"]), "1.2.3.4");
        for ipv6 in [
            "2001:db8:1:2::3",
            "[2001:db8:1:2::3]",
            "[2001:db8:1:2::3]:567",
        ] {
            assert_eq!(client(proxies, "10.0.0.1", &[ipv6]), "2001:db8:1:2::");
        }
        assert_eq!(client(proxies, "10.0.0.1", &["[1.2.3.4]"]), "10.0.0.1");
        // An unreadable entry ends the chain, because a client can have written everything to its left.
        assert_eq!(client(proxies, "10.0.0.1", &["1.2.3.4, x"]), "10.0.0.1");
        assert_eq!(
            client(proxies, "10.0.0.1", &["1.2.3.4, x, 10.0.0.9"]),
            "10.0.0.9"
        );
        assert_eq!(client(proxies, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_client_is_identified_by_its_network() {
        assert_eq!(client("", "2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in ["10.0.0.0/33", "localhost", "10.0.0.0/8;::1"] {
            assert!(TrustedProxies::parse(text).is_err(), "{text}");
        }
    }
}
