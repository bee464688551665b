//! [`RequestId`]: the id of a request in the response, in the log, and at the proxy in front.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Enough for a UUID, and for the ids of tracing systems.
const MAX_CHARS: usize = 64;

/// The id of a request in the log and in the response.
#[derive(Debug)]
pub(super) struct RequestId(String);

// === impl RequestId ===

impl RequestId {
    /// Returns the id that a proxy has given the request, or a new one.
    pub(super) fn of(request: &Request) -> Self {
        Self::given(request).unwrap_or_else(Self::new)
    }

    /// Returns the id that a proxy has given. Returns `None` if there is no id, or if it could confuse the log.
    fn given(request: &Request) -> Option<Self> {
        let text = request.headers().get(HEADER)?.to_str().ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fine = (1..=MAX_CHARS).contains(&text.len()) && text.chars().all(plain);
        fine.then(|| Self(text.to_owned()))
    }

    /// Makes an id that no other request has, in this process or another one. It is not a secret, so the random
    /// numbers of the system, which take a system call, are read once and not for each request.
    fn new() -> Self {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = KEYS
            .each_ref()
            .map(|key| key.hash_one(number).to_be_bytes());
        Self(URL_SAFE_NO_PAD.encode([high, low].concat()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value of the header, unless a header cannot contain it.
    pub(super) fn into_header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.0).ok()
    }
}
