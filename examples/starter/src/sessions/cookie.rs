//! The cookies of a browser: the refresh token, and a mark of the browser. Scripts cannot read them.

use axum::http::header::{COOKIE, InvalidHeaderValue};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Browsers accept a cookie with this prefix only from this host, over TLS, and for all paths (RFC 6265bis
/// section 4.1.3.2). No other site and no subdomain can set it.
pub(super) const REFRESH: &str = "__Host-refresh";
/// Random bits that distinguish this browser from others; see [`Client::mark`](super::Client::mark).
pub(super) const DEVICE: &str = "__Host-device";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
/// The length of the random mark: 128 bits.
const DEVICE_BYTES: usize = 16;

/// Returns the value of the cookie, or `None` if there is none, or more than one.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter();
    let mut found = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(other, value)| *other == name && !value.is_empty())
        .map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then(|| first.to_owned())
}

/// Returns the device cookie, if it is one that [`new_device`] made.
pub(super) fn device(headers: &HeaderMap) -> Option<String> {
    let device = read(headers, DEVICE)?;
    let bytes = URL_SAFE_NO_PAD.decode(&device).ok()?;
    (bytes.len() == DEVICE_BYTES).then_some(device)
}

pub(super) fn new_device() -> Option<String> {
    let mut bytes = [0; DEVICE_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the header that sets a cookie for this many seconds.
pub(super) fn set(
    name: &str,
    value: &str,
    seconds: u64,
) -> Result<HeaderValue, InvalidHeaderValue> {
    let cookie = format!("{name}={value}; Max-Age={seconds}; {ATTRIBUTES}");
    let mut cookie = HeaderValue::try_from(cookie)?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

pub(super) fn remove() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static(
            "__Host-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
        ),
        HeaderValue::from_static(
            "__Host-device=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|line| (COOKIE, HeaderValue::from_static(line)));
        lines.collect()
    }

    #[test]
    fn the_cookie_is_found_unless_it_occurs_twice() {
        let read = |lines: &[&'static str]| super::read(&headers(lines), REFRESH);
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
    fn device_cookies_are_random_and_foreign_values_are_ignored() {
        let (one, other) = (new_device().unwrap(), new_device().unwrap());
        assert_ne!(one, other);
        let line = HeaderValue::try_from(format!("{DEVICE}={one}")).unwrap();
        let sent = HeaderMap::from_iter([(COOKIE, line)]);
        assert_eq!(device(&sent), Some(one));
        for line in ["__Host-device=short", "__Host-device=\"; x", "device=x"] {
            assert_eq!(device(&headers(&[line])), None, "{line}");
        }
    }

    #[test]
    fn all_cookies_have_the_attributes_that_the_prefix_requires() {
        let set = [REFRESH, DEVICE].map(|name| set(name, "a", 7).unwrap());
        for (cookie, name) in set
            .into_iter()
            .chain(remove())
            .zip([REFRESH, DEVICE].repeat(2))
        {
            let cookie = cookie.to_str().unwrap().to_owned();
            assert!(
                cookie.starts_with(&format!("{name}=")) && cookie.ends_with(ATTRIBUTES),
                "{cookie}"
            );
        }
        assert!(super::set(REFRESH, "a\nb", 7).is_err());
    }
}
