//! [`exchange`]: one request to a provider, with limits, and [`FetchError`]: why there was no usable answer.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::client::{BoxError, DynHttpClient};
use crate::body::ReadError;
use crate::sync::timeout;

/// The longest document that is read, in bytes. The largest documents of providers have about 20 KiB.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// The longest time for a request, including the connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The `Accept` header of requests for documents.
pub(super) const ACCEPT_DOCUMENT: &str = "application/json, application/jwk-set+json";
/// The error if a server requires credentials for a document.
pub(super) const OPEN_TO_ALL: &str = "keys and metadata must be readable without credentials";

/// The reason why an attempt failed, for logs and health endpoints. It contains no secret.
#[derive(Debug)]
pub(crate) struct FetchError {
    what: String,
    source: Option<BoxError>,
    is_answer: bool,
}

/// Escapes and shortens a text from the provider for a log.
pub(crate) fn shown(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .flat_map(char::escape_default)
        .take(most)
        .collect()
}

/// Makes a request without a body.
pub(crate) fn request(method: Method, uri: &Uri, accept: &'static str) -> Request<String> {
    const AGENT: &str = concat!("tower-jwt-auth/", env!("CARGO_PKG_VERSION"));
    let mut request = Request::new(String::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    request
}

/// Sends a request, and waits for at most 5 seconds for an answer of at most this many bytes.
pub(crate) async fn exchange(
    client: &dyn DynHttpClient,
    request: Request<String>,
    limit: usize,
) -> Result<Response<Vec<u8>>, FetchError> {
    let uri = request.uri().clone();
    match timeout(REQUEST_TIMEOUT, client.send(request, limit)).await {
        Ok(Ok(response)) if response.body().len() > limit => {
            Err(FetchError::answer("the response is too long", &uri))
        }
        Ok(Ok(response)) => Ok(response),
        Ok(Err(source)) => Err(FetchError {
            is_answer: matches!(source.downcast_ref(), Some(ReadError::TooLong { .. })),
            ..FetchError::new("there was no response", &uri).with_source(source)
        }),
        Err(_) => Err(FetchError::new(
            "there was no response within 5 seconds",
            &uri,
        )),
    }
}

// === impl FetchError ===

impl FetchError {
    /// Makes the error if there was no response.
    fn new(what: &str, uri: &Uri) -> Self {
        // The query is left out, because it may contain secrets.
        let (host, path) = (uri.authority().map_or("", |a| a.as_str()), uri.path());
        Self {
            what: format!("{what} ({host}{path})"),
            source: None,
            is_answer: false,
        }
    }

    /// Makes the error if there was an answer that cannot be used.
    pub(crate) fn answer(what: &str, uri: &Uri) -> Self {
        Self {
            is_answer: true,
            ..Self::new(what, uri)
        }
    }

    /// Whether there was an answer.
    pub(crate) fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Makes the error for an answer with an unexpected status. `forbidden` says what to do about a 401 or
    /// 403.
    pub(crate) fn status(response: &Response<Vec<u8>>, uri: &Uri, forbidden: &str) -> Self {
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let more = match location.and_then(|location| location.to_str().ok()) {
            Some(location) if status.is_redirection() => format!(
                ", a redirect to `{}`, and redirects are not followed: configure the final address",
                shown(location.split('?').next().unwrap_or_default(), 256)
            ),
            _ if status == StatusCode::NOT_MODIFIED => {
                ", although the request was not conditional".to_owned()
            }
            _ if status.is_redirection() => ", and redirects are not followed".to_owned(),
            _ if matches!(status.as_u16(), 401 | 403) => format!(": {forbidden}"),
            _ => String::new(),
        };
        Self::answer(&format!("the response was {}{more}", status.as_u16()), uri)
    }

    /// Adds that the metadata was not found at any of its URLs.
    pub(super) fn of_metadata(self, otherwise: &str) -> Self {
        Self {
            what: format!(
                "the issuer's metadata was not found: {}; check the issuer, or {otherwise}",
                self.what
            ),
            ..self
        }
    }

    fn with_source(mut self, source: BoxError) -> Self {
        self.source = Some(source);
        self
    }

    /// Returns the error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        use std::error::Error as _;

        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        text
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}
