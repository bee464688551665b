//! [`client_mark`]: what tells the client that refreshes from a thief.

use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderValue};

use super::cookie;
use super::transport::is_in_cookie;

/// The mark of a client, from which the crate keeps a digest beside its session.
///
/// A refresh token that was replaced a moment ago is still accepted: from another tab, or after
/// a lost response. With the mark it is accepted only from the client that replaced it. Whoever
/// stole the token, and sends another `User-Agent` or not the browser's device cookie, does not
/// get the next token but ends the session.
///
/// The device cookie is for browsers ([`Token-Transport: cookie`](super::in_cookie)), of which
/// many have the same `User-Agent`. A header that is absent counts as an empty one: without any
/// mark, a thief would only have to leave both out.
pub(crate) fn client_mark(headers: &HeaderMap) -> Vec<u8> {
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let device = is_in_cookie(headers).then(|| cookie::device(headers));
    let device = device.flatten().unwrap_or_default();
    // No header has a NUL in it, so two clients have one mark only if both parts are the same.
    [agent.unwrap_or_default(), b"\0", device.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSPORT: (&str, &str) = ("token-transport", "cookie");
    const DEVICE: (&str, &str) = ("cookie", "__Host-device=AAAAAAAAAAAAAAAAAAAAAA");

    fn mark(headers: &[(&'static str, &'static str)]) -> Vec<u8> {
        let headers = headers
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        client_mark(&headers.collect())
    }

    #[test]
    fn every_client_has_a_mark_and_other_headers_give_another() {
        let agent = ("user-agent", "a");
        let marks = [
            mark(&[]),
            mark(&[agent]),
            mark(&[("user-agent", "b")]),
            mark(&[TRANSPORT, DEVICE]),
            mark(&[agent, TRANSPORT, DEVICE]),
        ];
        for (number, one) in marks.iter().enumerate() {
            assert!(!one.is_empty());
            assert!(!marks[..number].contains(one), "{number}");
        }
    }

    #[test]
    fn without_the_transport_the_cookie_is_not_looked_at() {
        assert_eq!(mark(&[DEVICE]), mark(&[]));
        assert_eq!(mark(&[TRANSPORT]), mark(&[]));
    }
}
