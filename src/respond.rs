//! Responses for axum: token pairs, new API keys, the errors of sessions, API keys and passwords, and
//! the refresh cookie.

use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::credential::api_keys::{ApiKey, ApiKeyError, NewApiKey};
use crate::dpop::DpopError;
use crate::issuer::{AccessTokenResponse, TokenPair};
use crate::layer::retry_after;
#[cfg(feature = "password")]
use crate::password::PasswordError;
use crate::refresh_cookie::{RefreshCookie, RefreshCookieError};
use crate::sessions::SessionError;

impl IntoResponse for TokenPair {
    /// Returns status 200 with the pair as JSON, and `Cache-Control: no-store` (RFC 6749 section
    /// 5.1).
    fn into_response(self) -> Response {
        tokens(&self)
    }
}

impl IntoResponse for AccessTokenResponse {
    /// Returns status 200 with the access token as JSON, and `Cache-Control: no-store` (RFC 6749
    /// section 5.1).
    fn into_response(self) -> Response {
        tokens(&self)
    }
}

impl IntoResponse for SessionError {
    /// Returns the [status](SessionError::status), the JSON [body](SessionError::body),
    /// `Cache-Control: no-store` (RFC 6749 section 5.2), the [headers](SessionError::headers) of DPoP if a
    /// proof was refused, and `Retry-After` if the status is 503. The error is in the extensions of the
    /// response, so that a middleware can log it.
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        if self.status().is_server_error() {
            let source = std::error::Error::source(&self);
            tracing::warn!(kind = ?self.kind(), ?source, "{self}");
        } else {
            tracing::debug!(kind = ?self.kind(), "{self}");
        }
        let mut response = refusal(self.status(), self.body(), self.retry_after());
        response.headers_mut().extend(self.headers());
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for DpopError {
    /// Returns the [status](DpopError::status), the JSON [body](DpopError::body), `Cache-Control: no-store`,
    /// the [headers](DpopError::headers) of DPoP, and `Retry-After` if the status is 503. The error is in the
    /// extensions of the response, so that a middleware can log it.
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        if self.status().is_server_error() {
            let source = std::error::Error::source(&self);
            tracing::warn!(reason = self.reason(), ?source, "{self}");
        } else {
            tracing::debug!(reason = self.reason(), "{self}");
        }
        let mut response = refusal(self.status(), self.body(), self.retry_after());
        response.headers_mut().extend(self.headers());
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for NewApiKey {
    /// Returns status 201 with the text of the key as `key` and what its
    /// [description](NewApiKey::description) contains, as JSON, and `Cache-Control: no-store`. It is the
    /// only response that contains the key.
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            key: &'a str,
            #[serde(flatten)]
            description: &'a ApiKey,
        }
        let body = serde_json::to_string(&Body {
            key: self.text(),
            description: self.description(),
        });
        match body {
            Ok(body) => json(StatusCode::CREATED, body),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl IntoResponse for ApiKeyError {
    /// Returns the [status](ApiKeyError::status), the JSON [body](ApiKeyError::body),
    /// `Cache-Control: no-store`, and `Retry-After` if the status is 503. The error is in the extensions
    /// of the response, so that a middleware can log it.
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        if self.status().is_server_error() {
            let source = std::error::Error::source(&self);
            tracing::warn!(kind = ?self.kind(), ?source, "{self}");
        } else {
            tracing::debug!(kind = ?self.kind(), "{self}");
        }
        let mut response = refusal(self.status(), self.body(), self.retry_after());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(feature = "password")]
impl IntoResponse for PasswordError {
    /// Returns the [status](PasswordError::status), the JSON [body](PasswordError::body),
    /// `Cache-Control: no-store`, and `Retry-After` if the status is 503. The error is in the
    /// extensions of the response, so that a middleware can log it.
    ///
    /// A 401 has no `WWW-Authenticate`, because no authentication scheme describes a password in a
    /// body.
    fn into_response(self) -> Response {
        // The operator has to repair a stored hash that cannot be used, whatever the response says.
        #[cfg(feature = "tracing")]
        if self.status() == StatusCode::BAD_REQUEST {
            tracing::debug!("{self}");
        } else {
            tracing::warn!("{self}");
        }
        let mut response = refusal(self.status(), self.body(), self.retry_after());
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for RefreshCookieError {
    /// Returns the [status](RefreshCookieError::status), the JSON
    /// [body](RefreshCookieError::body) and `Cache-Control: no-store`. The error is in the
    /// extensions of the response, so that a middleware can log it. The response does not remove
    /// the cookie.
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        if self.status().is_server_error() {
            tracing::warn!(kind = ?self, "{self}");
        } else {
            tracing::debug!(kind = ?self, "{self}");
        }
        let mut response = refusal(self.status(), self.body(), None);
        response.extensions_mut().insert(self);
        response
    }
}

// === impl RefreshCookie ===

/// Responses for axum (feature `axum`).
impl RefreshCookie {
    /// Returns the response to a login or a refresh: status 200, the refresh token in the cookie,
    /// and the [rest of the pair](TokenPair::without_refresh_token) as JSON, with
    /// `Cache-Control: no-store`.
    ///
    /// If the refresh token does not fit into a cookie, it returns the response of
    /// [`RefreshCookieError`], with status 500.
    #[must_use]
    pub fn respond(&self, pair: TokenPair) -> Response {
        match self.set(&pair) {
            Ok(cookie) => with_cookie(tokens(&pair.without_refresh_token()), cookie),
            Err(error) => error.into_response(),
        }
    }

    /// Returns the response to a session error. It removes the cookie if the session
    /// [is over](Self::clear_after), and leaves it in place after an outage.
    #[must_use]
    pub fn reject(&self, error: SessionError) -> Response {
        let clear = self.clear_after(&error);
        let response = error.into_response();
        match clear {
            Some(clear) => with_cookie(response, clear),
            None => response,
        }
    }

    /// Returns the response to a logout: status 204. It removes the cookie.
    #[must_use]
    pub fn clear_response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        forbid_storing(&mut response);
        with_cookie(response, self.clear())
    }
}

fn tokens(body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => json(StatusCode::OK, body),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn refusal(status: StatusCode, body: String, after: Option<Duration>) -> Response {
    let mut response = json(status, body);
    if let Some(after) = after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, retry_after(after));
    }
    response
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    forbid_storing(&mut response);
    response
}

/// RFC 6749 section 5.1 requires both headers. `Pragma` is for HTTP/1.0 caches.
fn forbid_storing(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}
