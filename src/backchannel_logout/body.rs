//! [`LogoutBody`]: the body of a response to a provider.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of the response of a [`BackchannelLogout`](super::BackchannelLogout): empty, or an error as JSON.
#[derive(Debug, Default)]
pub struct LogoutBody {
    left: Option<Bytes>,
}

// === impl LogoutBody ===

impl LogoutBody {
    pub(super) fn of(text: String) -> Self {
        let left = Some(text.into());
        Self { left }
    }
}

impl Body for LogoutBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.take().map(|left| Ok(Frame::data(left))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.as_ref().map_or(0, |left| left.len() as u64))
    }
}
