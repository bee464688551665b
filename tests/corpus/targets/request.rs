//! The token of a request, wherever it is: an independent reader of the headers finds the token that the layer
//! has found, and no other one.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::LazyLock;

use http::header::{
    AUTHORIZATION, COOKIE, HeaderName, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_jwt_auth::credential::{CredentialClaims, CredentialVerifier};
use tower_jwt_auth::layer::TokenSource;
use tower_jwt_auth::refresh_cookie::RefreshCookie;
use tower_jwt_auth::{AuthError, JwtAuthLayer};

use super::challenge_reader::Challenge;
use super::first_line;
use super::ready::ready;

const PAGE: &str = "https://app.example";
const X_TOKEN: HeaderName = HeaderName::from_static("x-token");

thread_local! {
    /// The credentials that the layer has passed to the verifier.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Records each credential, and accepts it.
#[derive(Debug)]
struct Notes;

impl CredentialVerifier for Notes {
    fn handles(&self, _: &str) -> bool {
        true
    }

    async fn verify_credential(&self, _: &str) -> Result<CredentialClaims, AuthError> {
        CredentialClaims::builder("somebody").build()
    }

    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        SEEN.with_borrow_mut(|seen| seen.push(credential.to_owned()));
        Some(CredentialClaims::builder("somebody").build())
    }
}

static LAYER: LazyLock<JwtAuthLayer> = LazyLock::new(|| {
    JwtAuthLayer::for_credentials(Notes)
        .token_source(TokenSource::cookie("token", [PAGE]).unwrap())
        .token_source(TokenSource::header(X_TOKEN).unwrap())
        .token_source(TokenSource::websocket_pair("bearer").unwrap())
        .token_source(TokenSource::dangerous_query("access_token").unwrap())
});

static COOKIE_OF_REFRESH: LazyLock<RefreshCookie> =
    LazyLock::new(|| RefreshCookie::new([PAGE]).unwrap());

/// Reads lines of a letter that names a header and of its value: `a` for Authorization, `c` for Cookie, `o` for
/// Origin, `s` for Sec-Fetch-Site, `x` for X-Token, `w` for Sec-WebSocket-Protocol, `u` for Upgrade. `p` makes
/// the request a POST, `l` lets bad cookies pass, and `q` is the query.
pub(super) fn run(data: &[u8]) {
    let mut request = Request::new(());
    let (mut lenient, mut rest) = (false, data);
    while !rest.is_empty() {
        let (line, next) = first_line(rest);
        rest = next;
        let Some((letter, value)) = line.split_first() else {
            continue;
        };
        let name = match letter {
            b'a' => AUTHORIZATION,
            b'c' => COOKIE,
            b'o' => ORIGIN,
            b's' => HeaderName::from_static("sec-fetch-site"),
            b'x' => X_TOKEN,
            b'w' => SEC_WEBSOCKET_PROTOCOL,
            b'u' => UPGRADE,
            b'p' => {
                *request.method_mut() = Method::POST;
                continue;
            }
            b'l' => {
                lenient = true;
                continue;
            }
            b'q' => {
                let query = String::from_utf8_lossy(value);
                if let Ok(uri) = format!("/?{query}").parse() {
                    *request.uri_mut() = uri;
                }
                continue;
            }
            _ => continue,
        };
        // The server trims the white space around a value (RFC 9110 section 5.5).
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            request.headers_mut().append(name, value);
        }
    }
    check_refresh_cookie(request.headers());
    check_layer(request, lenient);
}

fn check_layer(request: Request<()>, lenient: bool) {
    let mut layer = LAYER.clone();
    if lenient {
        layer = layer.optional_ignoring_bad_cookies();
    }
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let found = Found::in_request(&request);
    SEEN.with_borrow_mut(Vec::clear);
    let response = ready(layer.layer(inner).call(request)).unwrap();
    let seen = SEEN.with_borrow(Clone::clone);
    match &*seen {
        [] => {
            // A plain request with one good token is never refused.
            let plain = found.others.is_empty() && found.cookies.is_empty();
            assert!(
                !(plain && found.authorizations == 1 && found.is_plain_bearer()),
                "{found:?}"
            );
        }
        [token] => {
            let token = token.as_bytes();
            assert!(!token.is_empty());
            let holds = |all: &[Vec<u8>]| all.iter().any(|one| *one == token);
            let bearer = usize::from(!found.bearer.is_empty());
            // Two tokens in the request are an error. A cookie that does not count is not a token.
            assert!(bearer + found.others.len() <= 1, "{found:?}");
            if bearer + found.others.len() == 1 {
                assert!(holds(&found.bearer) || holds(&found.others), "{found:?}");
                assert!(
                    lenient || !found.cookies_count || found.cookies.is_empty(),
                    "{found:?}"
                );
            } else {
                assert!(found.cookies_count, "{found:?}");
                assert!(found.cookies.iter().all(|one| *one == token), "{found:?}");
            }
        }
        more => panic!("two tokens: {more:?}"),
    }
    let status = response.status();
    // A bad cookie may pass, but nothing else that is bad.
    let only_cookies = found.authorizations == 0 && found.others.is_empty();
    let expected: &[StatusCode] = if seen.is_empty() && lenient && !only_cookies {
        &[
            StatusCode::OK,
            StatusCode::UNAUTHORIZED,
            StatusCode::BAD_REQUEST,
        ]
    } else if seen.is_empty() && !lenient {
        &[StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST]
    } else {
        &[StatusCode::OK, StatusCode::BAD_REQUEST]
    };
    assert!(expected.contains(&status), "{status} for {found:?}");
    for value in response.headers().get_all(WWW_AUTHENTICATE) {
        assert!(Challenge::read(value.as_bytes()).is_some(), "{value:?}");
    }
}

/// What an independent reader finds in the headers.
#[derive(Debug)]
struct Found {
    /// The number of `Authorization` headers, of any scheme.
    authorizations: usize,
    bearer: Vec<Vec<u8>>,
    /// The tokens in the sources that always count.
    others: Vec<Vec<u8>>,
    cookies: Vec<Vec<u8>>,
    cookies_count: bool,
}

// === impl Found ===

impl Found {
    fn in_request(request: &Request<()>) -> Self {
        let headers = request.headers();
        let all = |name: &HeaderName| -> Vec<&[u8]> {
            let values = headers.get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect()
        };
        let mut bearer = Vec::new();
        for value in all(&AUTHORIZATION) {
            let scheme = value.get(..7).unwrap_or_default();
            if scheme.eq_ignore_ascii_case(b"bearer ") {
                bearer.push(value[7..].trim_ascii().to_vec());
            }
        }
        let mut others: Vec<Vec<u8>> = all(&X_TOKEN).into_iter().map(<[u8]>::to_vec).collect();
        let protocols: Vec<_> = all(&SEC_WEBSOCKET_PROTOCOL)
            .into_iter()
            .filter(|value| value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')))
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .collect();
        let markers = protocols
            .iter()
            .enumerate()
            .filter(|(_, one)| **one == b"bearer");
        for (at, _) in markers {
            others.push(protocols.get(at + 1).copied().unwrap_or_default().to_vec());
        }
        for pair in request.uri().query().unwrap_or_default().split('&') {
            if let Some(("access_token", value)) = pair.split_once('=') {
                others.push(value.into());
            }
        }
        let origins = all(&ORIGIN);
        let is_from_page = origins == [PAGE.as_bytes()];
        let is_safe = request.method() == Method::GET && !headers.contains_key(UPGRADE);
        Self {
            authorizations: all(&AUTHORIZATION).len(),
            bearer,
            others,
            cookies: cookies(headers, "token"),
            cookies_count: is_safe || is_from_page,
        }
    }

    /// Returns whether the one token consists of characters of a `b64token` (RFC 6750 section 2.1).
    fn is_plain_bearer(&self) -> bool {
        let Some(token) = self.bearer.first() else {
            return false;
        };
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        !token.is_empty() && token.iter().all(is_plain)
    }
}

/// Returns the values of the cookies with this name that are not empty (RFC 6265 section 5.4).
fn cookies(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for header in headers.get_all(COOKIE) {
        for pair in header.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let at = pair.iter().position(|byte| *byte == b'=');
            if let Some(at) = at
                && pair[..at] == *name.as_bytes()
                && at + 1 < pair.len()
                && std::str::from_utf8(pair).is_ok()
            {
                found.push(pair[at + 1..].to_vec());
            }
        }
    }
    found
}

fn check_refresh_cookie(headers: &HeaderMap) {
    let cookie = &*COOKIE_OF_REFRESH;
    let values = cookies(headers, cookie.name());
    match cookie.read(headers) {
        Ok(Some(value)) => {
            let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
            assert_eq!(origins, [PAGE]);
            assert!(values.iter().all(|one| *one == value.as_bytes()));
            assert!(!values.is_empty());
        }
        Ok(None) => assert!(values.is_empty(), "{values:?}"),
        Err(_) => assert!(!values.is_empty()),
    }
}
