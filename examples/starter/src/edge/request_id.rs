//! [`RequestId`]: the same name of a request in the answer, in the log, and at the proxy in front.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) const HEADER: &str = "x-request-id";
/// Enough for a UUID, and for the ids of tracing.
const MAX_CHARS: usize = 64;

/// In the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

// === impl RequestId ===

impl RequestId {
    /// The one that a proxy has given, unless it could be meant to confuse the log.
    fn given(request: &Request) -> Option<Self> {
        let text = request.headers().get(HEADER)?.to_str().ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fine = (1..=MAX_CHARS).contains(&text.len()) && text.chars().all(plain);
        fine.then(|| Self(text.to_owned()))
    }

    fn new() -> Option<Self> {
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives the request an id, and the answer the same.
pub(super) async fn give(mut request: Request, next: Next) -> Response {
    let Some(id) = RequestId::given(&request).or_else(RequestId::new) else {
        return next.run(request).await;
    };
    let header = HeaderValue::from_str(id.as_str());
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}
