//! A request must name exactly one host (RFC 9112 section 3.2). If it names two, a proxy may have used the
//! other one.

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Version};

use crate::problem::Problem;

/// Returns the problem of a request with several or malformed `Host` headers, or without one in HTTP/1.1.
pub(super) fn refused() -> Problem {
    let detail = "Send exactly one `Host` header, with a host name and perhaps a port.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
}

pub(super) fn is_good(headers: &HeaderMap, version: Version) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host.as_bytes();
            let plain = !host.iter().any(|byte| matches!(byte, b'@' | b','));
            host.is_empty() || (plain && Authority::try_from(host).is_ok())
        }
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_must_name_exactly_one_host() {
        let good = |hosts: &[&str], version| {
            let values = hosts.iter().map(|host| (HOST, host.parse().unwrap()));
            is_good(&values.collect::<HeaderMap>(), version)
        };
        for host in ["a.example", "a.example:3000", "[::1]:3000", "127.0.0.1", ""] {
            assert!(good(&[host], Version::HTTP_11), "{host}");
        }
        for hosts in [
            &["a.example", "a.example"][..],
            &["a.example", "b.example"],
            &[],
        ] {
            assert!(!good(hosts, Version::HTTP_11), "{hosts:?}");
        }
        for host in ["a b", "a/b", "x@a.example", "a,b"] {
            assert!(!good(&[host], Version::HTTP_11), "{host}");
        }
        assert!(good(&[], Version::HTTP_10));
    }
}
