//! `Token-Transport: cookie`: the same routes for a page that must not hold a refresh token.
//!
//! A client that does not send this header is never asked for a cookie and never given one. With it,
//! whatever answers a pair of tokens puts the refresh token into the cookie, and `/auth/refresh` takes
//! it from there. Another site cannot send such a request: the header needs a preflight, which we do
//! not grant; `Origin` must be our own; and the cookie is `SameSite=Strict`.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::cookie;
use crate::problem::Problem;
use crate::{App, Origin};

const TRANSPORT: HeaderName = HeaderName::from_static("token-transport");
/// What the browser itself says of who asks; no script can set it.
const FETCH_SITE: &str = "sec-fetch-site";
const REFRESH_PATH: &str = "/auth/refresh";
const LOGOUT_PATHS: [&str; 2] = ["/auth/logout", "/auth/logout-all"];
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
        Some(transport) if transport == "cookie" => {}
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
    if path == REFRESH_PATH {
        let Some(token) = cookie::read(request.headers()) else {
            // Nobody is logged in here, which is no fault.
            return StatusCode::NO_CONTENT.into_response();
        };
        put_into_body(&mut request, &token);
    }
    let response = next.run(request).await;
    let status = response.status();
    let over = LOGOUT_PATHS.contains(&path.as_str()) && status.is_success();
    // What the cookie held is good for nothing any more. An outage is no such verdict.
    let refused = path == REFRESH_PATH && status.is_client_error();
    if over || refused {
        return with_cookie(response, cookie::remove());
    }
    if status.is_success() {
        return put_into_cookie(response).await;
    }
    response
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

/// Moves the refresh token of a pair into the cookie; leaves any other answer as it is.
async fn put_into_cookie(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ANSWER_BYTES).await else {
        let detail = "The answer is too large to have its token taken out.";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Problem::new(status, "internal", detail).into_response();
    };
    let Some((cookie, rest)) = taken_out(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    parts.headers.remove(CONTENT_LENGTH);
    with_cookie(Response::from_parts(parts, Body::from(rest)), cookie)
}

fn taken_out(body: &Bytes) -> Option<(HeaderValue, String)> {
    let mut pair: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let token = pair.remove("refresh_token")?;
    let seconds = pair.get("refresh_expires_in").and_then(Value::as_u64);
    let cookie = cookie::set(token.as_str()?, seconds.unwrap_or_default())?;
    Some((cookie, Value::Object(pair).to_string()))
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}
