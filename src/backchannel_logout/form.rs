//! Parses the form in which a provider sends its token (OpenID Connect Back-Channel Logout section 2.5).

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::error::{AuthError, AuthErrorKind, Reason};

const FORM: &str = "application/x-www-form-urlencoded";
const PARAMETER: &[u8] = b"logout_token";

/// Fails if the content type of the body is not that of a form.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), AuthError> {
    let is_form = |value: &HeaderValue| {
        let essence = value.to_str().unwrap_or_default().split(';').next();
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if is_form(value) => Ok(()),
        _ => Err(malformed(&Reason {
            code: "logout_not_a_form",
            message: "the content type of the request is not `application/x-www-form-urlencoded`",
        })),
    }
}

/// Returns the only `logout_token` of a form. Other parameters are ignored, as section 2.5 requires.
pub(super) fn logout_token(form: &[u8]) -> Result<String, AuthError> {
    let mut found = None;
    for field in form.split(|&byte| byte == b'&') {
        let at = field.iter().position(|&byte| byte == b'=');
        let (name, value) = match at {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        // A name that cannot be decoded is not this one.
        if decode(name).as_deref() != Some(PARAMETER) {
            continue;
        }
        if found.replace(value).is_some() {
            return Err(malformed(&Reason {
                code: "logout_token_twice",
                message: "the form has two `logout_token` parameters",
            }));
        }
    }
    let token = match found {
        Some(value) if !value.is_empty() => decode(value),
        _ => {
            return Err(malformed(&Reason {
                code: "no_logout_token",
                message: "the form has no `logout_token`",
            }));
        }
    };
    let token = token.and_then(|token| String::from_utf8(token.into_owned()).ok());
    token.ok_or_else(|| {
        malformed(&Reason {
            code: "malformed_form",
            message: "the `logout_token` of the form is not percent-encoded correctly",
        })
    })
}

pub(super) fn malformed(reason: &'static Reason) -> AuthError {
    AuthError::new(AuthErrorKind::MalformedRequest).because(reason)
}

/// Decodes percent-encoding. Returns `None` if a `%` is not followed by two hexadecimal digits.
fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::logout_token;

    #[test]
    fn one_token_is_found_however_the_form_is_written() {
        for form in [
            "logout_token=a.b-c_d",
            "logout_token=a%2Eb%2dc%5Fd",
            "logout%5Ftoken=a.b-c_d",
            "x=1&logout_token=a.b-c_d&y",
            "&&%zz=1&logout_token=a.b-c_d&",
            "LOGOUT_TOKEN=x&logout_token=a.b-c_d",
        ] {
            assert_eq!(logout_token(form.as_bytes()).unwrap(), "a.b-c_d", "{form}");
        }
    }

    #[test]
    fn a_form_without_exactly_one_token_is_refused() {
        for (form, reason) in [
            ("", "no_logout_token"),
            ("logout_token", "no_logout_token"),
            ("logout_token=", "no_logout_token"),
            ("token=a.b.c", "no_logout_token"),
            ("logout_token=a&logout_token=a", "logout_token_twice"),
            ("logout_token=a&logout%5ftoken=b", "logout_token_twice"),
            ("logout_token=&logout_token=a", "logout_token_twice"),
            ("logout_token=a%", "malformed_form"),
            ("logout_token=a%2", "malformed_form"),
            ("logout_token=a%+1", "malformed_form"),
            ("logout_token=%ff", "malformed_form"),
        ] {
            let refused = logout_token(form.as_bytes()).unwrap_err();
            assert_eq!(refused.reason(), reason, "{form}");
        }
    }
}
