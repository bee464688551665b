//! Where a request's token is: [`TokenSource`], and the strict reading of each (RFC 6750 section 2).

use http::header::{AUTHORIZATION, COOKIE, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Method, Request, Uri};

use crate::error::{AuthError, AuthErrorKind};

/// A place besides the `Authorization` header where a request may carry its token.
///
/// The header is always read. A request that carries tokens in two places is refused with
/// 400 (RFC 6750 section 2), whatever the tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSource {
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Cookie {
        name: Box<str>,
        origins: Box<[Box<str>]>,
    },
    WebSocketProtocol {
        prefix: Box<str>,
    },
    Query {
        parameter: Box<str>,
    },
}

// === impl TokenSource ===

impl TokenSource {
    /// The cookie `name`: one that begins with `__Host-` cannot be set by another host.
    ///
    /// `origins` are the origins of your own pages, such as `https://app.example`.
    ///
    /// # Security
    ///
    /// A browser sends cookies along with requests that other sites cause. For every method
    /// but GET, HEAD, OPTIONS and TRACE, and for each WebSocket handshake, the cookie counts
    /// only if the request's `Origin` is one of `origins`; otherwise the request is treated
    /// as one without a token. Keep GET free of side effects, and set the cookie with
    /// `Secure; HttpOnly; SameSite=Lax; Path=/`.
    pub fn cookie<O: Into<String>>(
        name: impl Into<String>,
        origins: impl IntoIterator<Item = O>,
    ) -> Self {
        let origins = origins
            .into_iter()
            .map(|origin| origin.into().into())
            .collect();
        Self {
            place: Place::Cookie {
                name: name.into().into(),
                origins,
            },
        }
    }

    /// An entry of `Sec-WebSocket-Protocol` that begins with `prefix`, such as `bearer.`; the
    /// token is what follows. Browsers can set no other header on a WebSocket handshake. The
    /// client must offer a second protocol for the server to select: never echo the token.
    pub fn websocket_protocol(prefix: impl Into<String>) -> Self {
        Self {
            place: Place::WebSocketProtocol {
                prefix: prefix.into().into(),
            },
        }
    }

    /// A parameter of the query, such as `access_token` (RFC 6750 section 2.3).
    ///
    /// # Security
    ///
    /// Addresses end up in logs, histories and `Referer` headers, and the token with them.
    /// OAuth 2.1 forbids it. Only for clients that can send nothing else.
    pub fn dangerous_query(parameter: impl Into<String>) -> Self {
        Self {
            place: Place::Query {
                parameter: parameter.into().into(),
            },
        }
    }

    fn find<'r>(&self, request: &RequestHead<'r>) -> Result<Option<&'r str>, AuthError> {
        match &self.place {
            Place::Cookie { name, origins } => {
                let found = find_cookie(request.headers, name)?;
                let trusted = || is_from(request.headers, origins);
                Ok(found.filter(|_| request.is_safe() || trusted()))
            }
            Place::WebSocketProtocol { prefix } => {
                let values = request.headers.get_all(SEC_WEBSOCKET_PROTOCOL);
                let offered = values.iter().filter_map(|value| value.to_str().ok());
                only_one(
                    offered
                        .flat_map(|value| value.split(','))
                        .filter_map(|protocol| protocol.trim().strip_prefix(&**prefix)),
                )
            }
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

/// What of a request is looked at.
struct RequestHead<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
}

impl RequestHead<'_> {
    /// Whether a page of another site may cause it with no harm done.
    fn is_safe(&self) -> bool {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        safe.contains(self.method) && !self.headers.contains_key(UPGRADE)
    }
}

/// The request's one token, whatever it is made of; none if it carries none.
pub(crate) fn find_token<'r, B>(
    request: &'r Request<B>,
    sources: &[TokenSource],
) -> Result<Option<&'r [u8]>, AuthError> {
    let mut found = authorization(request.headers())?;
    if sources.is_empty() {
        return Ok(found);
    }
    let head = RequestHead {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    for source in sources {
        let another = source.find(&head)?;
        if found.is_some() && another.is_some() {
            return Err(malformed("the request carries two tokens"));
        }
        found = found.or(another.map(str::as_bytes));
    }
    Ok(found)
}

/// `Authorization: Bearer <token>` (RFC 6750 section 2.1): the scheme in any case, one or more spaces.
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, AuthError> {
    const SCHEME: &[u8] = b"bearer";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed("the request has two Authorization headers"));
    }
    let value = value.as_bytes();
    let Some((scheme, rest)) = value.split_at_checked(SCHEME.len()) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Ok(None); // another scheme: not our credentials
    }
    let token = match rest {
        [] => return Err(malformed("the Authorization header names no token")),
        [b' ', token @ ..] => token.trim_ascii(),
        [b'\t' | b',', ..] => return Err(malformed("the Authorization header is malformed")),
        _ => return Ok(None), // a longer scheme that begins alike
    };
    if token.is_empty() {
        return Err(malformed("the Authorization header names no token"));
    }
    // Without a way out in the middle, this is done for many bytes at once.
    let several = token.iter().fold(false, |several, byte| {
        several | matches!(byte, b',' | b' ' | b'\t')
    });
    if several {
        return Err(malformed(
            "the Authorization header holds more than one token",
        ));
    }
    Ok(Some(token))
}

/// The cookie of this name, which must be spelled exactly; none if it is empty or not text. The only
/// error is that there are two.
pub(crate) fn find_cookie<'r>(
    headers: &'r HeaderMap,
    name: &str,
) -> Result<Option<&'r str>, AuthError> {
    // Bytes: a cookie of somebody else may be in any encoding.
    let values = headers.get_all(COOKIE).iter();
    let pairs = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
    only_one(pairs.filter_map(|pair| {
        let value = pair
            .trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")?;
        std::str::from_utf8(value)
            .ok()
            .filter(|value| !value.is_empty())
    }))
}

/// Whether the request's one `Origin` is among ours, byte for byte.
pub(crate) fn is_from(headers: &HeaderMap, origins: &[Box<str>]) -> bool {
    let mut values = headers.get_all(ORIGIN).iter();
    match (values.next(), values.next()) {
        (Some(origin), None) => origins
            .iter()
            .any(|ours| ours.as_bytes() == origin.as_bytes()),
        _ => false,
    }
}

fn only_one<'r>(mut found: impl Iterator<Item = &'r str>) -> Result<Option<&'r str>, AuthError> {
    let first = found.next();
    if first.is_some() && found.next().is_some() {
        return Err(malformed("the request carries two tokens"));
    }
    Ok(first)
}

fn malformed(message: &'static str) -> AuthError {
    AuthError::new(AuthErrorKind::MalformedRequest).because(message)
}
