//! Finds the one token of a request (RFC 6750 section 2).

use http::header::{AUTHORIZATION, UPGRADE};
use http::{HeaderMap, Method, Request, Uri};

use super::{CookieSource, TokenSource, malformed};
use crate::challenge::Scheme;
use crate::error::{AuthError, Reason};

/// What a request carries.
#[derive(Debug)]
pub(crate) struct Found<'r, 's> {
    pub(crate) token: Option<Credential<'r, 's>>,
    /// A bad cookie that is ignored, and why; only with [`Cookies::BadOnesCountAsNone`].
    pub(crate) bad_cookie: Option<(&'s CookieSource, AuthError)>,
    /// Why something that looks like a credential is ignored.
    pub(crate) hint: Option<&'static Reason>,
}

/// A credential of any kind, not verified yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential<'r, 's> {
    pub(crate) token: &'r [u8],
    /// The source of the credential, if that is a cookie.
    pub(crate) cookie: Option<&'s CookieSource>,
    pub(crate) carrier: Carrier,
    /// The index of its source; `None` for the `Authorization` header.
    pub(crate) source: Option<usize>,
    /// The scheme of the `Authorization` header; `Bearer` for all other sources.
    pub(crate) scheme: Scheme,
}

/// The place of a token in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    None,
    Authorization,
    Cookie,
    Header,
    WebSocketProtocol,
    Query,
}

/// How to treat a request with a bad cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// Refuse it.
    AreStrict,
    /// Treat it as a request without the cookie. A token in any other place takes precedence over a cookie.
    BadOnesCountAsNone,
}

/// The parts of a request in which a token can be.
pub(super) struct RequestHead<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
}

// === impl Carrier ===

impl Carrier {
    /// Returns a stable name for metric labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::Header => "header",
            Self::WebSocketProtocol => "websocket_protocol",
            Self::Query => "query",
        }
    }
}

// === impl RequestHead ===

impl RequestHead<'_> {
    /// Whether the request is harmless even if a page of another site has caused it.
    pub(super) fn is_safe(&self) -> bool {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        safe.contains(self.method) && !self.headers.contains_key(UPGRADE)
    }
}

/// Finds the one token of a request. Fails if the request carries two tokens, or a malformed one.
pub(crate) fn find_token<'r, 's, B>(
    request: &'r Request<B>,
    sources: &'s [TokenSource],
    cookies: Cookies,
    takes_dpop: bool,
) -> Result<Found<'r, 's>, AuthError> {
    let Authorization {
        mut token,
        scheme,
        hint,
    } = authorization(request.headers(), takes_dpop)?;
    let mut carrier = Carrier::Authorization;
    let mut from = None;
    let mut found = Found {
        token: None,
        bad_cookie: None,
        hint,
    };
    if !sources.is_empty() {
        let head = RequestHead {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        };
        for (index, source) in sources.iter().enumerate() {
            if source.cookie_source().is_none()
                && let Some(another) = source.find(&head)?
            {
                token = only(token, Some(another.as_bytes()))?;
                carrier = source.carrier();
                from = Some(index);
            }
        }
        if token.is_none() || cookies == Cookies::AreStrict {
            find_in_cookies(&head, sources, cookies, &mut found)?;
        }
    }
    if let Some(token) = token {
        if found.token.is_some() {
            return Err(two_tokens());
        }
        found.token = Some(Credential {
            token,
            cookie: None,
            carrier,
            source: from,
            scheme,
        });
    }
    Ok(found)
}

fn find_in_cookies<'r, 's>(
    head: &RequestHead<'r>,
    sources: &'s [TokenSource],
    cookies: Cookies,
    found: &mut Found<'r, 's>,
) -> Result<(), AuthError> {
    for (index, source) in sources.iter().enumerate() {
        let Some(source) = source.cookie_source() else {
            continue;
        };
        if !source.counts_in(head) {
            if source.find(head).is_ok_and(|cookie| cookie.is_some()) {
                found.hint = Some(&Reason {
                    code: "cookie_of_foreign_page",
                    message: "the request carries the cookie, but no `Origin` that \
                              `TokenSource::cookie` names, so the cookie does not count",
                });
            }
            continue;
        }
        let problem = match source.find(head) {
            Ok(None) => continue,
            Ok(Some(text)) if found.token.is_none() => {
                found.token = Some(Credential {
                    token: text.as_bytes(),
                    cookie: Some(source),
                    carrier: Carrier::Cookie,
                    source: Some(index),
                    scheme: Scheme::Bearer,
                });
                continue;
            }
            Ok(Some(_)) => two_tokens(),
            Err(error) => error,
        };
        if cookies == Cookies::AreStrict {
            return Err(problem);
        }
        found.bad_cookie = Some((source, problem));
    }
    if found.bad_cookie.is_some() {
        found.token = None;
    }
    Ok(())
}

/// Returns the token that is present. Fails if there are two.
fn only<T>(one: Option<T>, other: Option<T>) -> Result<Option<T>, AuthError> {
    match (one, other) {
        (Some(_), Some(_)) => Err(two_tokens()),
        (one, other) => Ok(one.or(other)),
    }
}

/// Returns the token that is found, if any. Fails if there is a second one, or if the token is empty.
pub(super) fn only_one<'r>(
    mut found: impl Iterator<Item = &'r str>,
) -> Result<Option<&'r str>, AuthError> {
    let first = found.next();
    match only(first, found.next())? {
        Some("") => Err(malformed(&Reason {
            code: "empty_token",
            message: "the request has an empty token in its query or in `Sec-WebSocket-Protocol`",
        })),
        found => Ok(found),
    }
}

pub(super) fn two_tokens() -> AuthError {
    malformed(&Reason {
        code: "two_tokens",
        message: "the request carries two tokens",
    })
}

struct Authorization<'r> {
    token: Option<&'r [u8]>,
    scheme: Scheme,
    hint: Option<&'static Reason>,
}

/// Reads `Authorization: Bearer <token>` (RFC 6750 section 2.1) or, if DPoP is enabled, `DPoP <token>` (RFC
/// 9449 section 7.1). The scheme may be in upper or lower case, followed by one or more spaces.
fn authorization(headers: &HeaderMap, takes_dpop: bool) -> Result<Authorization<'_>, AuthError> {
    let nothing = |hint| Authorization {
        token: None,
        scheme: Scheme::Bearer,
        hint,
    };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(nothing(None));
    };
    if values.next().is_some() {
        return Err(malformed(&Reason {
            code: "two_authorization_headers",
            message: "the request has two Authorization headers",
        }));
    }
    let other_scheme = nothing(Some(&Reason {
        code: "other_scheme",
        message: "the Authorization header does not begin with `Bearer` and a space (or with `DPoP`, where the \
                  layer checks proofs)",
    }));
    let value = value.as_bytes();
    let after = |scheme: Scheme| {
        let (start, rest) = value.split_at_checked(scheme.as_str().len())?;
        start
            .eq_ignore_ascii_case(scheme.as_str().as_bytes())
            .then_some((scheme, rest))
    };
    let found = after(Scheme::Bearer).or_else(|| after(Scheme::Dpop).filter(|_| takes_dpop));
    let Some((scheme, rest)) = found else {
        return Ok(other_scheme); // credentials that this layer does not read
    };
    let token = match rest {
        [] => {
            return Err(malformed(&Reason {
                code: "authorization_without_token",
                message: "the Authorization header names no token",
            }));
        }
        [b' ', token @ ..] => token.trim_ascii(),
        [b'\t' | b',', ..] => {
            return Err(malformed(&Reason {
                code: "malformed_authorization",
                message: "the Authorization header is malformed",
            }));
        }
        _ => return Ok(other_scheme), // a longer scheme with the same beginning
    };
    if token.is_empty() {
        return Err(malformed(&Reason {
            code: "authorization_without_token",
            message: "the Authorization header names no token",
        }));
    }
    if holds_a_separator(token) {
        return Err(malformed(&Reason {
            code: "several_tokens_in_authorization",
            message: "the Authorization header contains more than one token",
        }));
    }
    Ok(Authorization {
        token: Some(token),
        scheme,
        hint: None,
    })
}

/// Whether a request uses DPoP: by the scheme of its `Authorization` header or, if it has none, by a proof.
pub(crate) fn has_dpop_scheme(headers: &HeaderMap) -> bool {
    match headers.get(AUTHORIZATION) {
        Some(value) => {
            let scheme = Scheme::Dpop.as_str().as_bytes();
            let start = value.as_bytes().get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        }
        None => headers.contains_key("dpop"),
    }
}

/// Whether a text contains a comma, a space or a tab, which would separate two tokens.
pub(super) fn holds_a_separator(text: &[u8]) -> bool {
    memchr::memchr3(b',', b' ', b'\t', text).is_some()
}
