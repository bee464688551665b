//! [`DpopProof`]: a proof of possession that was verified.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use super::add_nonce;
use super::check::CheckedProof;
use super::error::DpopError;
use super::service::Dpop;

/// A verified DPoP proof: the client of the request has the private key.
///
/// It is made by [`Dpop::verify_proof`]. With the feature `axum`, it is also an extractor, for routes whose
/// state contains a [`Dpop`] (`FromRef`): `DpopProof` refuses requests without a proof, and
/// `Option<DpopProof>` lets them through. Both refuse an invalid proof. If a layer in front has already
/// checked the proof by the same policy and marked it as used, it can still be used here.
///
/// Give it to [`OpenSession::dpop`](crate::sessions::OpenSession::dpop),
/// [`RefreshSession::dpop`](crate::sessions::RefreshSession::dpop) or
/// [`TokenRequest::dpop`](crate::issuer::TokenRequest::dpop). If one clone is marked as used, all are.
#[derive(Clone)]
pub struct DpopProof {
    dpop: Dpop,
    checked: CheckedProof,
    thumbprint: Arc<str>,
    is_used: Arc<AtomicBool>,
}

// === impl DpopProof ===

impl DpopProof {
    pub(super) fn new(dpop: Dpop, checked: CheckedProof) -> Self {
        Self {
            thumbprint: checked.thumbprint().to_string().into(),
            dpop,
            checked,
            is_used: Arc::default(),
        }
    }

    /// Returns the thumbprint of the key (RFC 7638), as in `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Marks the proof as used, so that no other request can use it. Calling it again does nothing.
    ///
    /// [`Sessions`](crate::Sessions) does this itself. Call it before you issue a token without a session.
    ///
    /// # Errors
    ///
    /// Fails if another request has used the proof, or if the replay store is unavailable.
    pub async fn mark_used(&self) -> Result<(), DpopError> {
        if self.is_used() {
            return Ok(());
        }
        self.dpop.mark_used(&self.checked).await?;
        self.is_used.store(true, Ordering::Release);
        Ok(())
    }

    /// Notes whether a layer in front has already marked the proof of this request as used.
    #[cfg(feature = "axum")]
    pub(crate) fn in_request(self, extensions: &http::Extensions) -> Self {
        if self.dpop.has_marked_used(&self.checked, extensions) {
            self.is_used.store(true, Ordering::Release);
        }
        self
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Returns the headers for the response: a newer nonce, if there is one, and the permission for pages on
    /// other origins to read it. They are empty if the client has the newest nonce.
    #[must_use]
    pub fn response_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(nonce) = self.checked.newer_nonce() {
            add_nonce(&mut headers, nonce.clone());
        }
        headers
    }
}

impl fmt::Debug for DpopProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopProof")
            .field("thumbprint", &self.thumbprint)
            .field("is_used", &self.is_used())
            .finish_non_exhaustive()
    }
}
