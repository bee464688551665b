//! [`RefreshCookieError`]: why a refresh cookie was neither read nor set.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

/// Why a [`RefreshCookie`](crate::RefreshCookie) was not read or not set.
///
/// A handler may return it: with the feature `axum` it is a response, with a JSON body in the form
/// of RFC 6749 section 5.2 and `Cache-Control: no-store`. It never removes the cookie, and never
/// carries text that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshCookieError {
    /// The request has no `Origin`. Browsers send one with every POST: a client that is not a
    /// browser sends its refresh token in the body. The status is 403.
    MissingOrigin,
    /// The request is from a page of another origin, or of another site. The status is 403.
    ForeignOrigin,
    /// The request has two cookies of this name. The status is 400.
    TwoCookies,
    /// The refresh token is too long for a cookie: name and value have at most 4096 bytes. The
    /// status is 500.
    TokenTooLong,
    /// The refresh token contains a character that no cookie can, or is empty. The crate makes no
    /// such token. The status is 500.
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
            Self::MissingOrigin => "A request with the refresh cookie needs the header `Origin`.",
            Self::ForeignOrigin => "Only a page of this service may use its refresh cookie.",
            Self::TwoCookies => "The request carries two refresh cookies.",
            Self::TokenTooLong | Self::MalformedToken => "The request could not be processed.",
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    const fn verdict(self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingOrigin | Self::ForeignOrigin => (StatusCode::FORBIDDEN, "cross_origin"),
            Self::TwoCookies => (StatusCode::BAD_REQUEST, "invalid_request"),
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
                "the request carries the refresh cookie and no `Origin`: use POST from a page, and \
                 let proxies pass the header on"
            }
            Self::ForeignOrigin => {
                "the request is not from a page that may use the refresh cookie: if the page is \
                 yours, give its origin to `RefreshCookie::new`, and serve it from the same site"
            }
            Self::TwoCookies => "the request carries two refresh cookies",
            Self::TokenTooLong => {
                "the refresh token is too long for a cookie, of which browsers keep 4096 bytes: \
                 open the session with fewer scopes"
            }
            Self::MalformedToken => "the refresh token contains a character that no cookie can",
        })
    }
}

impl StdError for RefreshCookieError {}
