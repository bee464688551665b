//! The refresh cookie: its form, which pages may use it, and when it is removed.

#[cfg(feature = "axum")]
mod in_axum;
mod origins;
mod read;
mod set;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tower_jwt_auth::ConfigError;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::refresh_cookie::RefreshCookie;

use crate::support::{request, tokens};

const OURS: &str = "https://app.example";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

fn cookie() -> RefreshCookie {
    RefreshCookie::new([OURS]).unwrap()
}

fn pair() -> TokenPair {
    tokens().pair("alice").issue().unwrap()
}

fn read(cookie: &RefreshCookie, headers: &[(&str, &str)]) -> String {
    verdict(cookie, request(headers).headers())
}

/// The token, `none`, or the status and code of the error.
fn verdict(cookie: &RefreshCookie, headers: &HeaderMap) -> String {
    match cookie.read(headers) {
        Ok(token) => token.unwrap_or("none").to_owned(),
        Err(error) => format!("{} {}", error.status().as_u16(), error.code()),
    }
}

fn names_the_problem(built: Result<RefreshCookie, ConfigError>, words: &[&str]) {
    let error = built.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{error}: lacks `{word}`");
    }
}

fn clock_at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
