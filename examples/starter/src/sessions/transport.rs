//! [`Transport`]: how a client keeps its refresh token: by itself, or in a cookie.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Serialize;
use tower_jwt_auth::issuer::TokenPair;
use utoipa::ToSchema;

use super::cookie;
use crate::app::App;
use crate::config::Origin;
use crate::problem::Problem;

const TRANSPORT: HeaderName = HeaderName::from_static("token-transport");
/// The header in which browsers say which site a request comes from. Scripts cannot set it.
const FETCH_SITE: &str = "sec-fetch-site";

/// How the client receives and sends its refresh token.
///
/// A client that does not ask for a cookie never gets one. With `Token-Transport: cookie`, the refresh
/// token goes into a cookie that scripts cannot read. Another site cannot send such a request: the header
/// needs a preflight, which is not granted, `Origin` must be that of this service, and the cookie is
/// `SameSite=Strict`.
#[derive(Debug)]
pub(crate) enum Transport {
    /// In the JSON of requests and responses.
    Body,
    /// In a cookie: for pages of this service.
    Cookie {
        refresh_token: Option<String>,
        /// Distinguishes this browser from others; see [`Client::mark`](super::Client::mark).
        device: Option<String>,
    },
}

/// A pair of tokens (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// The lifetime of the access token, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Missing with `Token-Transport: cookie`, because the token is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// The lifetime of the refresh token, in seconds.
    refresh_expires_in: u64,
    #[serde(skip)]
    #[schema(ignore)]
    cookies: Vec<HeaderValue>,
}

// === impl Transport ===

impl Transport {
    pub(super) fn device(&self) -> Option<&str> {
        match self {
            Self::Body => None,
            Self::Cookie { device, .. } => device.as_deref(),
        }
    }

    /// Puts a pair of tokens into the format that the client has chosen.
    pub(crate) fn deliver(&self, pair: TokenPair) -> Result<Tokens, Problem> {
        let mut tokens = Tokens {
            access_token: pair.access_token,
            token_type: pair.token_type,
            expires_in: pair.expires_in,
            refresh_token: None,
            refresh_expires_in: pair.refresh_expires_in,
            cookies: Vec::new(),
        };
        let Self::Cookie { device, .. } = self else {
            tokens.refresh_token = Some(pair.refresh_token);
            return Ok(tokens);
        };
        let seconds = pair.refresh_expires_in;
        let refresh = cookie::set(cookie::REFRESH, &pair.refresh_token, seconds);
        let device = device.clone().or_else(cookie::new_device);
        let device = device.and_then(|device| cookie::set(cookie::DEVICE, &device, seconds).ok());
        let refresh = refresh.map_err(|error| Problem::internal(&error))?;
        tokens.cookies.push(refresh);
        tokens.cookies.extend(device);
        Ok(tokens)
    }

    /// Returns the response to a client that has been logged out.
    pub(crate) fn logged_out(&self) -> Response {
        self.without_cookies(StatusCode::NO_CONTENT.into_response())
    }

    /// Returns the response to a failed refresh. Only `invalid_grant` means that the token is not valid any
    /// more. After any other error, such as an outage, the browser can try again with the same token.
    pub(crate) fn refuse(&self, problem: Problem) -> Response {
        let is_over = problem.is_invalid_grant();
        let response = problem.into_response();
        match is_over {
            true => self.without_cookies(response),
            false => response,
        }
    }

    fn without_cookies(&self, response: Response) -> Response {
        match self {
            Self::Body => response,
            Self::Cookie { .. } => (with_cookies(cookie::remove()), response).into_response(),
        }
    }
}

impl FromRequestParts<App> for Transport {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let headers = &parts.headers;
        match headers.get(TRANSPORT) {
            None => return Ok(Self::Body),
            Some(transport) if transport == "cookie" => {}
            Some(_) => {
                let detail = "`Token-Transport` must be `cookie` or missing.";
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    detail,
                ));
            }
        }
        if !is_own_page(headers, app.parts().operations.public_url.as_ref()) {
            let detail = "Only the pages of this service may use its cookie.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail));
        }
        Ok(Self::Cookie {
            refresh_token: cookie::read(headers, cookie::REFRESH),
            device: cookie::device(headers),
        })
    }
}

impl IntoResponse for Tokens {
    fn into_response(mut self) -> Response {
        let cookies = std::mem::take(&mut self.cookies);
        (with_cookies(cookies), Json(self)).into_response()
    }
}

fn with_cookies<C: IntoIterator<Item = HeaderValue>>(
    cookies: C,
) -> AppendHeaders<impl IntoIterator<Item = (HeaderName, HeaderValue)>> {
    AppendHeaders(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)))
}

/// Returns whether the browser says that the request comes from a page of this service. A request without
/// these headers is refused, because every browser sends `Origin` with a POST.
fn is_own_page(headers: &HeaderMap, public_url: Option<&Origin>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(FETCH_SITE).unwrap_or("same-origin");
    let Some(origin) = text(ORIGIN.as_str()) else {
        return false;
    };
    let own = match (public_url, text(HOST.as_str())) {
        (Some(own), _) => own.as_str() == origin,
        // Without `PUBLIC_URL`, which only happens in development.
        (None, Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from == host),
        (None, None) => false,
    };
    own && site == "same-origin"
}
