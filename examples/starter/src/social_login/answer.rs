//! Responses to a browser on its way to a provider or back: a redirect with a cookie.

use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};

use super::refusal::Refusal;
use crate::problem::Problem;
use crate::sessions::read_cookie;

/// The cookie must come along when the provider sends the browser back, which `SameSite=Strict` would
/// prevent. Its prefix binds it to this host, so that nobody else can plant a login in a browser (RFC
/// 6265bis section 4.1.3.2).
const NAME: &str = "__Host-login";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// A cookie that is added to those that a response already has.
type Cookie = AppendHeaders<[(HeaderName, HeaderValue); 1]>;

/// Returns the secret in the cookie.
pub(super) fn secret(headers: &HeaderMap) -> Option<String> {
    read_cookie(headers, NAME)
}

/// Sets the cookie for this many seconds.
pub(super) fn keep(secret: &str, seconds: i64) -> Result<Cookie, Problem> {
    let cookie = format!("{NAME}={secret}; Max-Age={seconds}; {ATTRIBUTES}");
    let mut cookie = HeaderValue::try_from(cookie).map_err(|error| Problem::internal(&error))?;
    cookie.set_sensitive(true);
    Ok(AppendHeaders([(SET_COOKIE, cookie)]))
}

/// Removes the cookie.
pub(super) fn remove() -> Cookie {
    let removed = "__Host-login=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";
    AppendHeaders([(SET_COOKIE, HeaderValue::from_static(removed))])
}

/// Redirects the browser.
pub(super) fn redirect(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
    }
}

/// Sends a browser to the page, which has words for the code. Other clients get the problem document.
pub(super) fn refuse(headers: &HeaderMap, provider: &str, refusal: Refusal) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        let code = refusal.code();
        return redirect(&format!("/#login-failed={code}.{provider}"));
    }
    Problem::from(refusal).into_response()
}
