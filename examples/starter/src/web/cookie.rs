//! The cookie of the refresh token: the browser alone has it, and sends it to us alone.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// By this prefix a browser knows that the cookie is from this very host, over TLS, for all paths
/// (RFC 6265bis section 4.1.3.2): no other site and no subdomain can set it.
const NAME: &str = "__Host-refresh";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// The refresh token of the request, unless there are two.
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter();
    let mut found = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, value)| *name == NAME && !value.is_empty())
        .map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then(|| first.to_owned())
}

/// Kept for as long as the token is good.
pub(super) fn set(token: &str, seconds: u64) -> Option<HeaderValue> {
    let cookie = format!("{NAME}={token}; Max-Age={seconds}; {ATTRIBUTES}");
    let mut cookie = HeaderValue::try_from(cookie).ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}

pub(super) fn remove() -> HeaderValue {
    HeaderValue::from_static(
        "__Host-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_not_if_there_are_two() {
        let read = |lines: &[&'static str]| {
            let lines = lines
                .iter()
                .map(|line| (COOKIE, HeaderValue::from_static(line)));
            super::read(&lines.collect())
        };
        assert_eq!(read(&["__Host-refresh=a.b.c"]).unwrap(), "a.b.c");
        assert_eq!(read(&["x=1; __Host-refresh=a.b.c; y=2"]).unwrap(), "a.b.c");
        assert_eq!(read(&["x=1", "__Host-refresh=a.b.c"]).unwrap(), "a.b.c");
        for lines in [
            &["x=1"][..],
            &["refresh=a"],
            &["__Host-refresh="],
            &["__host-refresh=a"],
            &["__Host-refresh=a; __Host-refresh=b"],
            &["__Host-refresh=a", "__Host-refresh=b"],
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn both_cookies_have_the_attributes_that_the_prefix_demands() {
        for cookie in [set("a", 7).unwrap(), remove()] {
            let cookie = cookie.to_str().unwrap().to_owned();
            assert!(
                cookie.starts_with(NAME) && cookie.ends_with(ATTRIBUTES),
                "{cookie}"
            );
        }
        assert_eq!(set("a\nb", 7), None);
    }
}
