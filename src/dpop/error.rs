//! [`DpopError`]: the reason why a proof was refused or could not be checked.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{add_nonce, expose};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::store::StoreError;

/// The error of a proof that was refused or that cannot be checked now.
///
/// A route that issues tokens can return it. With the feature `axum`, it is a response, with the status, the
/// JSON body of RFC 6749 section 5.2, `Cache-Control: no-store`, and a nonce in `DPoP-Nonce` if the client
/// needs one. For other frameworks, use [`status`](Self::status), [`body`](Self::body) and
/// [`headers`](Self::headers).
///
/// A [`JwtAuthLayer`](crate::JwtAuthLayer::dpop) answers with 401 and a challenge instead.
#[derive(Clone)]
pub struct DpopError {
    kind: DpopErrorKind,
    reason: &'static Reason,
    nonce: Option<HeaderValue>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of [`DpopError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DpopErrorKind {
    /// The request has no proof, or an invalid one.
    InvalidProof,
    /// The proof has no nonce of this server, or an expired one. The client should repeat the request with a
    /// new proof that contains the nonce of the response.
    NonceRequired,
    /// The proof is valid, but the replay store is unavailable.
    Unavailable,
}

// === impl DpopError ===

impl DpopError {
    pub(super) const fn invalid(reason: &'static Reason) -> Self {
        Self {
            kind: DpopErrorKind::InvalidProof,
            reason,
            nonce: None,
            source: None,
        }
    }

    pub(super) const fn nonce_required(reason: &'static Reason, nonce: HeaderValue) -> Self {
        Self {
            kind: DpopErrorKind::NonceRequired,
            reason,
            nonce: Some(nonce),
            source: None,
        }
    }

    pub(super) fn unavailable(error: StoreError) -> Self {
        Self {
            kind: DpopErrorKind::Unavailable,
            reason: &Reason {
                code: "unavailable",
                message: "the replay store is unavailable, so it is unknown whether the proof was used before",
            },
            nonce: None,
            source: Some(Arc::new(error)),
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> DpopErrorKind {
        self.kind
    }

    /// Returns the stable, lower-case code of the reason, for logs and metric labels. The guide
    /// [lists the codes](crate::guide::why_401#reason-codes).
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason.code
    }

    /// Returns the status of the response of a route that issues tokens: 400 or 503 (RFC 9449 section 5).
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.kind {
            DpopErrorKind::InvalidProof | DpopErrorKind::NonceRequired => StatusCode::BAD_REQUEST,
            DpopErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the error code: `invalid_dpop_proof`, `use_dpop_nonce` (RFC 9449 section 12.2) or
    /// `temporarily_unavailable`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            DpopErrorKind::InvalidProof => "invalid_dpop_proof",
            DpopErrorKind::NonceRequired => "use_dpop_nonce",
            DpopErrorKind::Unavailable => "temporarily_unavailable",
        }
    }

    /// Returns the time after which the client should retry, or `None` if the status is not 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == DpopErrorKind::Unavailable).then_some(Duration::from_secs(1))
    }

    /// Returns the JSON body of the response (RFC 6749 section 5.2): `error` and `error_description`.
    #[must_use]
    pub fn body(&self) -> String {
        let description = match self.kind {
            DpopErrorKind::InvalidProof => "The DPoP proof is missing or not valid.",
            DpopErrorKind::NonceRequired => {
                "The DPoP proof needs the nonce of the `DPoP-Nonce` header of this response."
            }
            DpopErrorKind::Unavailable => {
                "The DPoP proof cannot be checked now. Retry with a new proof."
            }
        };
        serde_json::json!({"error": self.code(), "error_description": description}).to_string()
    }

    /// Returns the headers that the response needs: the nonce, and the permission for pages on other origins
    /// to read it.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match &self.nonce {
            Some(nonce) => add_nonce(&mut headers, nonce.clone()),
            None => expose(&mut headers),
        }
        headers
    }
}

impl From<DpopError> for AuthError {
    fn from(error: DpopError) -> Self {
        let kind = match error.kind {
            DpopErrorKind::InvalidProof => AuthErrorKind::InvalidProof,
            DpopErrorKind::NonceRequired => AuthErrorKind::NonceRequired,
            DpopErrorKind::Unavailable => AuthErrorKind::Unavailable,
        };
        let mut auth = Self::new(kind).because(error.reason);
        if let Some(nonce) = error.nonce {
            auth = auth.with_dpop_nonce(nonce);
        }
        match error.source {
            Some(source) => auth.with_source(Box::new(source)),
            None => auth,
        }
    }
}

impl fmt::Debug for DpopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("DpopError");
        out.field("kind", &self.kind)
            .field("reason", &self.reason());
        if let Some(source) = &self.source {
            out.field("source", source);
        }
        out.finish_non_exhaustive()
    }
}

impl fmt::Display for DpopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.message)
    }
}

impl StdError for DpopError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}
