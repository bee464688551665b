//! [`RequestBody`]: a request body that needs no framework.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of the requests that [`assert_hardened`](super::assert_hardened) sends, for services that accept
/// any body, as routers do. For a service that accepts only one type of body, see
/// [`Hardening::body`](super::Hardening::body).
#[derive(Debug, Clone, Default)]
pub struct RequestBody(Option<Bytes>);

// === impl RequestBody ===

impl From<String> for RequestBody {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
