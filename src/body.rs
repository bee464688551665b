//! [`read`]: reads a body into memory, up to a limit.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;

use bytes::Buf as _;
use http_body::Body;

/// The reason why a body could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLong {
        limit: usize,
    },
    /// The other side ended the body early, or the connection was lost.
    Broken(Box<dyn StdError + Send + Sync>),
}

/// Reads a body of at most `limit` bytes. A body whose announced length is greater is not read at all.
pub(crate) async fn read<B>(body: B, limit: usize) -> Result<Vec<u8>, ReadError>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLong { limit });
    }
    let mut body = pin!(body);
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| ReadError::Broken(error.into()))?;
        let Ok(mut data) = frame.into_data() else {
            continue; // trailers
        };
        if data.remaining() > limit - read.len() {
            return Err(ReadError::TooLong { limit });
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = chunk.len();
            read.extend_from_slice(chunk);
            data.advance(length);
        }
    }
    Ok(read)
}

// === impl ReadError ===

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "the body is longer than {limit} bytes"),
            Self::Broken(_) => f.write_str("the body could not be read to its end"),
        }
    }
}

impl StdError for ReadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::TooLong { .. } => None,
            Self::Broken(error) => Some(&**error),
        }
    }
}
