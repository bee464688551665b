//! [`RequestId`]: the id of a request in the response, in the log, and at the proxy in front.

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) const HEADER: &str = "x-request-id";
/// Enough for a UUID, and for the ids of tracing systems.
const MAX_CHARS: usize = 64;

/// The id of a request in the log and in the response.
#[derive(Debug)]
pub(super) struct RequestId(String);

// === impl RequestId ===

impl RequestId {
    /// Returns the id that a proxy has given the request, or a new one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Self::given(request).or_else(Self::new)
    }

    /// Returns the id that a proxy has given, unless it could confuse the log.
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

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
