//! Requests to other services: with a time limit, and never to where an answer redirects.

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

/// What cannot be meant is not repeated: it may hold a password.
pub(crate) fn base_url(name: &str, text: &str) -> Result<String, Error> {
    let url = reqwest::Url::parse(text).map_err(|_| format!("{name} is no URL"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(format!("{name} must begin with https:// or http://").into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The body, unless it is larger than it should be.
pub(crate) async fn text(mut answer: Response, max_bytes: usize) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > max_bytes {
            return Err("the answer is too long".into());
        }
    }
    Ok(String::from_utf8(body)?)
}
