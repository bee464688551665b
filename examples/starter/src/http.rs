//! Requests to other services: with a time limit, and without following redirects.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn client(timeout: Duration) -> Result<Client, Error> {
    Ok(Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .redirect(Policy::none())
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        .build()?)
}

/// Parses the base URL of a service. The error does not repeat it, because it may contain a password.
pub(crate) fn base_url(name: &str, text: &str) -> Result<String, Error> {
    let url = reqwest::Url::parse(text).map_err(|_| format!("{name} is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(format!("{name} must start with https:// or http://").into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Reads the body. Fails if it is larger than `max_bytes`.
pub(crate) async fn text(mut answer: Response, max_bytes: usize) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > max_bytes {
            return Err("the response is too long".into());
        }
    }
    Ok(String::from_utf8(body)?)
}
