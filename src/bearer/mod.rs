//! [`TokenSource`]: the places in which a request can carry its token, read strictly (RFC 6750 section 2).

mod cookie;
mod find;

pub(crate) use cookie::find_cookie;
pub(crate) use find::{Carrier, Cookies, Credential, find_token, has_dpop_scheme};

use std::sync::Arc;

use http::header::{
    AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL,
};

use crate::error::{AuthError, AuthErrorKind, ConfigError, Reason};
use crate::origin::{check_origin, is_from, is_token, shown};
use find::{RequestHead, holds_a_separator, only_one, two_tokens};

/// A place besides the `Authorization` header in which a request may carry its token.
///
/// The header is always read. A request that carries tokens in two places is refused with 400 (RFC 6750
/// section 2), even if both are valid, except by a layer that
/// [ignores bad cookies](crate::JwtAuthLayer::optional_ignoring_bad_cookies). Two cookies with the same name
/// and value count as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSource {
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Cookie(CookieSource),
    Header { name: HeaderName },
    WebSocketProtocol { prefix: Box<str> },
    WebSocketPair { marker: Box<str> },
    Query { parameter: Box<str> },
}

/// A cookie, and the pages that may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CookieSource {
    pub(crate) name: Arc<str>,
    origins: Box<[Box<str>]>,
}

// === impl TokenSource ===

impl TokenSource {
    /// Reads the token from the cookie `name`. Other hosts cannot set a cookie whose name begins with
    /// `__Host-`.
    ///
    /// `origins` are the origins of your own pages, such as `https://app.example`, written as browsers
    /// send them.
    ///
    /// # Security
    ///
    /// A browser also sends cookies with requests that other sites cause (cross-site request forgery). For
    /// every method except GET, HEAD, OPTIONS and TRACE, and for each WebSocket handshake, the cookie is
    /// ignored unless the `Origin` of the request is one of `origins`. Keep GET free of side effects, and set
    /// the cookie with `Secure; HttpOnly; SameSite=Lax; Path=/`.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - `origins` is empty;
    /// - an origin is not written as browsers send it, for example with a slash at the end, so that it would
    ///   never match;
    /// - an origin has the scheme `http` and is not on this machine;
    /// - `name` is not a valid cookie name (RFC 6265 section 4.1.1).
    ///
    /// ```
    /// use tower_jwt_auth::layer::TokenSource;
    ///
    /// assert!(TokenSource::cookie("__Host-token", ["https://app.example"]).is_ok());
    /// let error = TokenSource::cookie("__Host-token", ["https://app.example/"]).unwrap_err();
    /// assert!(error.to_string().contains("without a path, a slash at the end"));
    /// ```
    pub fn cookie<O: Into<String>>(
        name: impl Into<String>,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        if !is_token(&name) {
            return Err(ConfigError::invalid(format!(
                "the cookie name `{}` is empty or contains a character that is not allowed in one: \
                 use letters, digits, `-` and `_`, such as `__Host-token`",
                shown(&name)
            )));
        }
        let mut ours: Vec<Box<str>> = Vec::new();
        for origin in origins {
            let origin = origin.into();
            check_origin(&origin).map_err(ConfigError::invalid)?;
            ours.push(origin.into());
        }
        if ours.is_empty() {
            return Err(ConfigError::invalid(format!(
                "the token source for the cookie `{name}` has no origins, so the cookie would be ignored in \
                 every POST: list the origins of your pages, such as `https://app.example`"
            )));
        }
        Ok(Self::at(Place::Cookie(CookieSource {
            name: name.into(),
            origins: ours.into(),
        })))
    }

    /// Reads the token from the header `name`, for a service behind a gateway that authenticates users
    /// and adds a signed token: `Cf-Access-Jwt-Assertion` of Cloudflare Access, or
    /// `X-Goog-IAP-JWT-Assertion` of Google IAP.
    ///
    /// The header must occur at most once, and its value must be the bare token with no scheme before it.
    /// Anything else is refused with 400.
    ///
    /// # Security
    ///
    /// The gateway must remove this header from client requests before it adds its own, and the service must
    /// be reachable only through the gateway. The token is verified in any case, so a client that bypasses
    /// the gateway can only use a token that it already has.
    ///
    /// # Errors
    ///
    /// Fails if `name` is not a header name, or is `Authorization` (which is always read),
    /// `Proxy-Authorization`, or `Cookie` or `Sec-WebSocket-Protocol` (which have sources of their own).
    ///
    /// ```
    /// use tower_jwt_auth::layer::TokenSource;
    ///
    /// assert!(TokenSource::header("Cf-Access-Jwt-Assertion").is_ok());
    /// assert!(TokenSource::header("Authorization").is_err());
    /// ```
    pub fn header(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        let not_a_name = |_| {
            ConfigError::invalid(format!(
                "`{}` is not a header name: write one such as `Cf-Access-Jwt-Assertion`",
                shown(name)
            ))
        };
        let name = name.parse::<HeaderName>().map_err(not_a_name)?;
        let instead = [
            (AUTHORIZATION, "it is always read, so leave it out"),
            (
                PROXY_AUTHORIZATION,
                "it is for proxies (RFC 9110 section 11.7.2)",
            ),
            (COOKIE, "use `TokenSource::cookie`"),
            (SEC_WEBSOCKET_PROTOCOL, "use `TokenSource::websocket_pair`"),
        ];
        if let Some((_, instead)) = instead.iter().find(|(other, _)| *other == name) {
            return Err(ConfigError::invalid(format!(
                "`{name}` cannot be a token source for a bare token: {instead}"
            )));
        }
        Ok(Self::at(Place::Header { name }))
    }

    /// Reads the token from the entry of `Sec-WebSocket-Protocol` that begins with `prefix`, such as
    /// `bearer.`. The token is the rest of the entry.
    ///
    /// Scripts in a browser can set no other header on a WebSocket handshake:
    /// `new WebSocket(url, ["chat.v2", "bearer." + token])`. The client must offer a second protocol for the
    /// server to select, because the server must never echo the token. If the client sends `bearer` and the
    /// token as two entries, use [`websocket_pair`](Self::websocket_pair).
    ///
    /// # Errors
    ///
    /// Fails if `prefix` is empty, or contains a character that is not allowed in the name of a protocol
    /// (RFC 6455 section 4.1).
    pub fn websocket_protocol(prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = protocol(prefix.into(), "bearer.")?;
        Ok(Self::at(Place::WebSocketProtocol { prefix }))
    }

    /// Reads the token from the entry of `Sec-WebSocket-Protocol` that follows the entry `marker`, such as
    /// `bearer` in `new WebSocket(url, ["bearer", token])`.
    ///
    /// The server must select the marker as the protocol, and never the token: browsers close the connection
    /// if the server selects none of the protocols that they offered.
    ///
    /// # Errors
    ///
    /// Fails if `marker` is empty, or contains a character that is not allowed in the name of a protocol
    /// (RFC 6455 section 4.1).
    pub fn websocket_pair(marker: impl Into<String>) -> Result<Self, ConfigError> {
        let marker = protocol(marker.into(), "bearer")?;
        Ok(Self::at(Place::WebSocketPair { marker }))
    }

    /// Reads the token from a parameter of the query, such as `access_token` (RFC 6750 section 2.3).
    ///
    /// # Security
    ///
    /// URLs end up in logs, browser histories and `Referer` headers, and the token with them. OAuth 2.1
    /// forbids this. Use it only for clients that cannot send the token in any other way.
    ///
    /// # Errors
    ///
    /// Fails if `parameter` is empty, or contains a character other than letters, digits, `-`, `.`, `_` and
    /// `~`. Clients would encode any other character.
    pub fn dangerous_query(parameter: impl Into<String>) -> Result<Self, ConfigError> {
        let parameter = parameter.into();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if parameter.is_empty() || !parameter.bytes().all(is_plain) {
            return Err(ConfigError::invalid(format!(
                "`{}` cannot be the name of a query parameter with a token: use letters, digits, \
                 `-`, `.`, `_` and `~`, such as `access_token`",
                shown(&parameter)
            )));
        }
        let parameter = parameter.into();
        Ok(Self::at(Place::Query { parameter }))
    }

    const fn at(place: Place) -> Self {
        Self { place }
    }

    const fn carrier(&self) -> Carrier {
        match self.place {
            Place::Cookie(_) => Carrier::Cookie,
            Place::Header { .. } => Carrier::Header,
            Place::WebSocketProtocol { .. } | Place::WebSocketPair { .. } => {
                Carrier::WebSocketProtocol
            }
            Place::Query { .. } => Carrier::Query,
        }
    }

    fn cookie_source(&self) -> Option<&CookieSource> {
        match &self.place {
            Place::Cookie(cookie) => Some(cookie),
            _ => None,
        }
    }

    fn find<'r>(&self, request: &RequestHead<'r>) -> Result<Option<&'r str>, AuthError> {
        match &self.place {
            Place::Cookie(cookie) => cookie.find(request),
            Place::Header { name } => bare_token(request, name),
            Place::WebSocketProtocol { prefix } => {
                only_one(protocols(request).filter_map(|one| one.strip_prefix(&**prefix)))
            }
            Place::WebSocketPair { marker } => after_marker(protocols(request), marker),
            Place::Query { parameter } => {
                let query = request.uri.query().unwrap_or_default();
                only_one(
                    query
                        .split('&')
                        .filter_map(|pair| pair.strip_prefix(&**parameter)?.strip_prefix('=')),
                )
            }
        }
    }
}

// === impl CookieSource ===

impl CookieSource {
    fn find<'r>(&self, request: &RequestHead<'r>) -> Result<Option<&'r str>, AuthError> {
        find_cookie(request.headers, &self.name)
    }

    /// Whether the request is harmless, or was caused by a page of one of the configured origins.
    fn counts_in(&self, request: &RequestHead<'_>) -> bool {
        request.is_safe() || is_from(request.headers, &self.origins)
    }
}

/// Returns the value of a header, which must occur at most once and contain one token without a scheme.
fn bare_token<'r>(
    request: &RequestHead<'r>,
    name: &HeaderName,
) -> Result<Option<&'r str>, AuthError> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed(&Reason {
            code: "two_token_headers",
            message: "the request has the header with the token twice",
        }));
    }
    let token = value.to_str().map(str::trim_ascii).unwrap_or_default();
    if token.is_empty() || holds_a_separator(token.as_bytes()) {
        return Err(malformed(&Reason {
            code: "not_a_bare_token",
            message: "the header with the token does not contain one bare token: it must have no scheme such as \
             `Bearer`",
        }));
    }
    Ok(Some(token))
}

/// Returns the entries of `Sec-WebSocket-Protocol`, in order.
fn protocols<'r>(request: &RequestHead<'r>) -> impl Iterator<Item = &'r str> {
    let values = request.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = values.filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .map(str::trim_ascii)
}

fn after_marker<'r>(
    mut protocols: impl Iterator<Item = &'r str>,
    marker: &str,
) -> Result<Option<&'r str>, AuthError> {
    if !protocols.any(|protocol| protocol == marker) {
        return Ok(None);
    }
    let token = protocols
        .next()
        .filter(|token| !token.is_empty() && *token != marker);
    if protocols.any(|protocol| protocol == marker) {
        return Err(two_tokens());
    }
    token.map(Some).ok_or_else(|| {
        malformed(&Reason {
            code: "websocket_marker_without_token",
            message: "no token follows the marker in `Sec-WebSocket-Protocol`",
        })
    })
}

/// Checks that a WebSocket protocol can have this name, or a name that begins with it.
fn protocol(text: String, example: &str) -> Result<Box<str>, ConfigError> {
    if is_token(&text) {
        return Ok(text.into());
    }
    Err(ConfigError::invalid(format!(
        "`{}` cannot be in the name of a WebSocket protocol: use letters, digits, `-`, `.` and `_`, \
         such as `{example}`",
        shown(&text)
    )))
}

fn malformed(reason: &'static Reason) -> AuthError {
    AuthError::new(AuthErrorKind::MalformedRequest).because(reason)
}
