//! `Token-Transport: cookie`: the same routes for a page that must not hold a refresh token.
//!
//! A client that does not send this header is never asked for a cookie and never given one. With it,
//! whatever answers a pair of tokens puts the refresh token into the cookie, and `/auth/refresh` and
//! `/auth/logout` take it from there. Another site cannot send such a request: the header needs a preflight, which we do
//! not grant; `Origin` must be our own; and the cookie is `SameSite=Strict`.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::cookie;
use crate::problem::Problem;
use crate::{App, Origin};

const TRANSPORT: HeaderName = HeaderName::from_static("token-transport");
const IN_COOKIE: &str = "cookie";
/// What the browser itself says of who asks; no script can set it.
const FETCH_SITE: &str = "sec-fetch-site";
const REFRESH_PATH: &str = "/auth/refresh";
const LOGOUT_PATH: &str = "/auth/logout";
const LOGOUT_ALL_PATH: &str = "/auth/logout-all";
/// Far more than a pair of tokens.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The layer.
pub(crate) async fn in_cookie(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    match request.headers().get(TRANSPORT) {
        None => return next.run(request).await,
        Some(transport) if transport == IN_COOKIE => {}
        Some(_) => {
            let detail = "`Token-Transport` must be `cookie`, or not be there.";
            return Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
                .into_response();
        }
    }
    if !is_own_page(request.headers(), app.operations.public_url.as_ref()) {
        let detail = "Only a page of this service may use its cookie.";
        return Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail).into_response();
    }
    let path = request.uri().path().to_owned();
    let device = cookie::device(request.headers());
    let has_bearer = request.headers().contains_key(AUTHORIZATION);
    let token = cookie::read(request.headers(), cookie::REFRESH);
    match (path.as_str(), token) {
        (REFRESH_PATH | LOGOUT_PATH, Some(token)) => put_into_body(&mut request, &token),
        // Nobody is logged in here, which is not an error.
        (REFRESH_PATH, None) => return StatusCode::NO_CONTENT.into_response(),
        (LOGOUT_PATH, None) if !has_bearer => return StatusCode::NO_CONTENT.into_response(),
        _ => {}
    }
    let response = next.run(request).await;
    let is_success = response.status().is_success();
    let is_over = match path.as_str() {
        LOGOUT_PATH | LOGOUT_ALL_PATH => is_success,
        // Only this verdict says that the token is worth nothing any more. After any other error,
        // such as too many requests or an outage, the browser comes back with the same token.
        REFRESH_PATH => Problem::is_invalid_grant(&response),
        _ => false,
    };
    if is_over {
        return with_cookies(response, cookie::remove());
    }
    if is_success {
        return put_into_cookies(response, device).await;
    }
    response
}

/// Whether the request asks for its tokens in cookies.
pub(super) fn is_in_cookie(headers: &HeaderMap) -> bool {
    headers
        .get(TRANSPORT)
        .is_some_and(|transport| transport == IN_COOKIE)
}

/// Whether the browser says that the request is from a page of ours. One that says nothing is refused:
/// every browser sends `Origin` with a POST.
fn is_own_page(headers: &HeaderMap, public_url: Option<&Origin>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(FETCH_SITE).unwrap_or("same-origin");
    let Some(origin) = text(ORIGIN.as_str()) else {
        return false;
    };
    let own = match (public_url, text(HOST.as_str())) {
        (Some(own), _) => own.as_str() == origin,
        // Only where nobody says who we are: while trying things out.
        (None, Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from == host),
        (None, None) => false,
    };
    own && site == "same-origin"
}

fn put_into_body(request: &mut Request, token: &str) {
    let body = json!({ "refresh_token": token }).to_string();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    *request.body_mut() = Body::from(body);
}

/// Moves the refresh token of a pair into its cookie, and sets the device cookie beside it. Any
/// other answer stays as it is.
async fn put_into_cookies(response: Response, device: Option<String>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ANSWER_BYTES).await else {
        let detail = "The answer is too large to have its token taken out.";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Problem::new(status, "internal", detail).into_response();
    };
    let Some((refresh, seconds, rest)) = taken_out(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    parts.headers.remove(CONTENT_LENGTH);
    let device = device.or_else(cookie::new_device);
    let device = device.and_then(|device| cookie::set(cookie::DEVICE, &device, seconds));
    let response = Response::from_parts(parts, Body::from(rest));
    with_cookies(response, [refresh].into_iter().chain(device))
}

/// The cookie, how long it lives, and the rest of the body.
fn taken_out(body: &Bytes) -> Option<(HeaderValue, u64, String)> {
    let mut pair: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let token = pair.remove("refresh_token")?;
    let seconds = pair.get("refresh_expires_in").and_then(Value::as_u64);
    let seconds = seconds.unwrap_or_default();
    let cookie = cookie::set(cookie::REFRESH, token.as_str()?, seconds)?;
    Some((cookie, seconds, Value::Object(pair).to_string()))
}

fn with_cookies(
    mut response: Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
