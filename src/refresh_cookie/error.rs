//! [`RefreshCookieError`]: why a refresh cookie was not read or not set.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

/// The reason why a [`RefreshCookie`](crate::refresh_cookie::RefreshCookie) was not read or not set.
///
/// A handler may return it. With the feature `axum` it is a response, with a JSON body in the form
/// of RFC 6749 section 5.2 and `Cache-Control: no-store`. That response never removes the cookie,
/// and never contains text that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshCookieError {
    /// The request has no `Origin`. Browsers send one with every POST. A client that is not a
    /// browser should send its refresh token in the body instead. The status is 403.
    MissingOrigin,
    /// The request is from a page of another origin, or of another site. The status is 403.
    CrossOrigin,
    /// The request has two cookies of this name with different values. The status is 400.
    DuplicateCookie,
    /// The refresh token is too long for a cookie, whose name and value may have 4096 bytes
    /// together. The status is 500.
    TokenTooLong,
    /// The refresh token is empty, or contains a character that is not allowed in a cookie. This
    /// crate issues no such token. The status is 500.
    MalformedToken,
}

// === impl RefreshCookieError ===

impl RefreshCookieError {
    /// Returns the status of the response: 400, 403 or 500.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.verdict().0
    }

    /// Returns the error code of the response: `invalid_request`, `cross_origin` or `server_error`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.verdict().1
    }

    /// Returns the JSON body of the response: `error` and `error_description`.
    #[must_use]
    pub fn body(self) -> String {
        let description = match self {
            Self::MissingOrigin => "This request needs the header `Origin`.",
            Self::CrossOrigin => "Only a page of this service may use its refresh cookie.",
            Self::DuplicateCookie => "The request carries two refresh cookies.",
            Self::TokenTooLong | Self::MalformedToken => "The request could not be processed.",
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    const fn verdict(self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingOrigin | Self::CrossOrigin => (StatusCode::FORBIDDEN, "cross_origin"),
            Self::DuplicateCookie => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::TokenTooLong | Self::MalformedToken => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
            }
        }
    }
}

impl fmt::Display for RefreshCookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingOrigin => {
                "the request has no `Origin`, which setting or reading the refresh cookie \
                 requires: use POST from a page, and let proxies pass the header on"
            }
            Self::CrossOrigin => {
                "the request is not from a page that may use the refresh cookie: if the page is \
                 yours, pass its origin to `RefreshCookie::new`, and serve it from the same site"
            }
            Self::DuplicateCookie => "the request carries two refresh cookies",
            Self::TokenTooLong => {
                "the refresh token is too long for a cookie: browsers keep at most 4096 bytes of its name and \
                 value, so open the session with fewer scopes"
            }
            Self::MalformedToken => {
                "the refresh token is empty, or contains a character that is not allowed in a \
                 cookie"
            }
        })
    }
}

impl StdError for RefreshCookieError {}
