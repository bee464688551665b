//! One request to a provider, within the limits, and [`FetchError`]: why there was no good answer.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use super::client::{BoxError, DynHttpClient};
use crate::body::ReadError;

/// The longest document that is read. The largest that providers serve have some 20 KiB.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// How long a request may take, the connection included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked for where a document is read.
pub(super) const ACCEPT_DOCUMENT: &str = "application/json, application/jwk-set+json";
/// What to say where a document is not given away without credentials.
pub(super) const OPEN_TO_ALL: &str = "keys and metadata must be readable without credentials";

/// Why an attempt failed: for logs and health pages, with no secret in it.
#[derive(Debug)]
pub(crate) struct FetchError {
    what: String,
    source: Option<BoxError>,
    is_answer: bool,
}

/// A text of the provider's as it may stand in a log.
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

/// Sends a request, and waits 5 seconds at most for an answer of at most so many bytes.
pub(crate) async fn exchange(
    client: &dyn DynHttpClient,
    request: Request<String>,
    limit: usize,
) -> Result<Response<Vec<u8>>, FetchError> {
    let uri = request.uri().clone();
    match timeout(REQUEST_TIMEOUT, client.send(request, limit)).await {
        Ok(Ok(response)) if response.body().len() > limit => {
            Err(FetchError::answer("the answer is too long", &uri))
        }
        Ok(Ok(response)) => Ok(response),
        Ok(Err(source)) => Err(FetchError {
            is_answer: matches!(source.downcast_ref(), Some(ReadError::TooLong { .. })),
            ..FetchError::new("there was no answer", &uri).with_source(source)
        }),
        Err(_) => Err(FetchError::new(
            "there was no answer within 5 seconds",
            &uri,
        )),
    }
}

// === impl FetchError ===

impl FetchError {
    /// There was no answer.
    fn new(what: &str, uri: &Uri) -> Self {
        // A query may hold what should not be in a log.
        let (host, path) = (uri.authority().map_or("", |a| a.as_str()), uri.path());
        Self {
            what: format!("{what} ({host}{path})"),
            source: None,
            is_answer: false,
        }
    }

    /// There was an answer, and it is of no use.
    pub(crate) fn answer(what: &str, uri: &Uri) -> Self {
        Self {
            is_answer: true,
            ..Self::new(what, uri)
        }
    }

    /// Whether there was an answer at all.
    pub(crate) fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// The answer has another status than it should; `forbidden` says what to do about a 401 or 403.
    pub(crate) fn status(response: &Response<Vec<u8>>, uri: &Uri, forbidden: &str) -> Self {
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let more = match location.and_then(|location| location.to_str().ok()) {
            Some(location) if status.is_redirection() => format!(
                ", a redirect to `{}`, and redirects are not followed: configure the final address",
                shown(location.split('?').next().unwrap_or_default(), 256)
            ),
            _ if status == StatusCode::NOT_MODIFIED => {
                ", though nothing was asked that could be unchanged".to_owned()
            }
            _ if status.is_redirection() => ", and redirects are not followed".to_owned(),
            _ if matches!(status.as_u16(), 401 | 403) => format!(": {forbidden}"),
            _ => String::new(),
        };
        Self::answer(&format!("the answer was {}{more}", status.as_u16()), uri)
    }

    /// Nothing at the places where metadata can be.
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

    /// The error and what caused it, in one line.
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
