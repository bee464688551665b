//! What the client of a request has proved that it possesses: a key, or a certificate.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Request};

use crate::dpop::{CheckedProof, Dpop, UsedProof};
use crate::error::AuthError;
use crate::policy::Possession;
use crate::verifier::{Progress, VerifiedToken};

/// A verification that waits for a store or a key server.
pub(super) type Check = Pin<Box<dyn Future<Output = Result<VerifiedToken, AuthError>> + Send>>;

/// How the layer checks DPoP proofs.
#[derive(Debug, Clone)]
pub(super) struct Proofs {
    pub(super) dpop: Dpop,
    /// Whether requests without a proof are refused.
    pub(super) is_required: bool,
}

/// What the client of a request has proved that it possesses, and the proof.
#[derive(Default)]
pub(super) struct Held {
    pub(super) possession: Possession,
    pub(super) proof: Option<ProofInUse>,
}

/// A valid proof that has not been marked as used yet.
pub(super) struct ProofInUse {
    pub(super) dpop: Dpop,
    pub(super) checked: CheckedProof,
}

/// What to do when the verdict on a token, for which a request had to wait, is known.
#[derive(Default)]
pub(super) struct Waiting {
    /// The name of the cookie with the token, if a bad cookie is ignored.
    pub(super) lenient_cookie: Option<Arc<str>>,
    /// The nonce that the response gives to the client if the token is valid.
    pub(super) nonce: Option<HeaderValue>,
    /// Tells inner layers that this layer has already checked and used the proof of the request.
    pub(super) used: Option<UsedProof>,
}

// === impl ProofInUse ===

impl ProofInUse {
    /// Marks the proof as used after the token was found valid, so that only valid tokens cause I/O.
    pub(super) fn spend_after<B>(
        self,
        progress: Progress,
        request: &Request<B>,
    ) -> (Check, Waiting) {
        let Self { dpop, checked } = self;
        let waiting = Waiting {
            lenient_cookie: None,
            nonce: checked.newer_nonce().cloned(),
            used: Some(dpop.used_proof(&checked)),
        };
        let is_used = dpop.has_marked_used(&checked, request.extensions());
        let check: Check = Box::pin(async move {
            let verified = progress.finish().await?;
            if !is_used {
                dpop.mark_used(&checked).await?;
            }
            Ok(verified)
        });
        (check, waiting)
    }
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn for_token(lenient: Option<&Arc<str>>) -> Self {
        Self {
            lenient_cookie: lenient.cloned(),
            ..Self::default()
        }
    }
}
