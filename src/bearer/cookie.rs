//! Reads one of the cookies of a request (RFC 6265 section 5.4).

use http::HeaderMap;
use http::header::COOKIE;

use super::malformed;
use crate::error::{AuthError, Reason};

/// Returns the value of the cookie with exactly this name, or `None` if there is none, or if it is empty or
/// not UTF-8.
///
/// Two cookies with the same value count as one: the cookie was set for two paths. Fails only if two cookies
/// have different values.
pub(crate) fn find_cookie<'r>(
    headers: &'r HeaderMap,
    name: &str,
) -> Result<Option<&'r str>, AuthError> {
    // Works on bytes, because other cookies may have any encoding.
    let values = headers.get_all(COOKIE).iter();
    let pairs = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
    let mut found = pairs.filter_map(|pair| {
        let value = pair
            .trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")?;
        std::str::from_utf8(value)
            .ok()
            .filter(|value| !value.is_empty())
    });
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if found.any(|other| other != first) {
        return Err(malformed(&Reason {
            code: "two_cookies",
            message: "the request carries two cookies of the same name with different values",
        }));
    }
    Ok(Some(first))
}
