//! Tokens that are bound to a key or a certificate: the settings of the layer, and the checks of what a
//! client possesses.

use std::sync::Arc;

use http::{HeaderValue, Request};

use super::layer::JwtAuthLayer;
use super::service::{Config, Step};
use crate::bearer::Credential;
use crate::challenge::{DpopChallenge, Scheme};
use crate::dpop::{CheckedProof, Dpop, UsedProof};
use crate::error::AuthError;
use crate::mtls::ClientCertificates;
use crate::policy::Possession;
use crate::verifier::Progress;

/// How the layer checks DPoP proofs.
#[derive(Debug, Clone)]
pub(super) struct Proofs {
    dpop: Dpop,
    /// Whether requests without a proof are refused.
    is_required: bool,
}

/// What the client of a request has proved that it possesses, and the proof.
#[derive(Default)]
pub(super) struct Held {
    pub(super) possession: Possession,
    pub(super) proof: Option<ProofInUse>,
}

/// A valid proof that has not been marked as used yet.
pub(super) struct ProofInUse {
    dpop: Dpop,
    checked: CheckedProof,
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

// === impl JwtAuthLayer ===

impl<R> JwtAuthLayer<R> {
    /// Accepts tokens that are bound to a key as well, with the scheme `DPoP` and a proof for each request
    /// (RFC 9449).
    ///
    /// | the request has | result |
    /// |---|---|
    /// | `DPoP`, a bound token and a valid proof, signed with its key | accepted |
    /// | `DPoP` without a proof, or with one that is invalid, of another key, or used before | 401 |
    /// | `DPoP` with a token that is not bound | 401 |
    /// | `Bearer` with a token that is bound | 401 |
    /// | `Bearer` with a token that is not bound | accepted, unless proofs are [required](Self::require_dpop) |
    /// | a valid token and proof, but the replay store is unavailable | 503 |
    ///
    /// This applies to tokens of this service, tokens of providers and opaque tokens. Tokens from another
    /// [source](Self::token_source), such as a cookie, have no scheme: for them, the request must have a
    /// proof exactly if the token is bound. [`VerifiedToken::binding`](crate::VerifiedToken::binding) tells
    /// handlers how a token is bound.
    ///
    /// The challenges name both schemes and the algorithms for proofs. Give
    /// [`EXPOSED_HEADERS`](crate::dpop::EXPOSED_HEADERS) to the CORS layer, so that pages on other origins
    /// can read them.
    ///
    /// ```
    /// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// use tower_jwt_auth::dpop::{Dpop, MemoryReplays};
    ///
    /// # fn example(verifier: TokenVerifier) -> Result<(), tower_jwt_auth::ConfigError> {
    /// let dpop = Dpop::builder("https://api.example", MemoryReplays::new()).build()?;
    /// let layer = JwtAuthLayer::new(verifier).dpop(dpop);
    /// # let _: JwtAuthLayer = layer; Ok(()) }
    /// ```
    #[must_use]
    pub fn dpop(self, dpop: Dpop) -> Self {
        self.proofs(dpop, false)
    }

    /// Accepts only tokens that are bound to a key, with a proof for each request. Unlike
    /// [`dpop`](Self::dpop), it refuses bearer credentials of every kind, API keys included.
    #[must_use]
    pub fn require_dpop(self, dpop: Dpop) -> Self {
        self.proofs(dpop, true)
    }

    fn proofs(mut self, dpop: Dpop, is_required: bool) -> Self {
        let algorithms = dpop.algorithms().iter().map(|one| one.as_str());
        let algs = algorithms.collect::<Vec<_>>().join(" ").into();
        self.challenge_mut().dpop = Some(DpopChallenge {
            algs,
            is_required,
            is_used: false,
        });
        self.config_mut().dpop = Some(Proofs { dpop, is_required });
        self
    }

    /// Accepts tokens that are bound to the client certificate of the connection as well (RFC 8705).
    ///
    /// A bound token is refused if the connection has another certificate or none. Tokens that are not bound
    /// are accepted, unless [bound tokens are
    /// required](crate::mtls::ClientCertificates::require_bound_tokens).
    ///
    /// ```
    /// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// use tower_jwt_auth::mtls::ClientCertificates;
    ///
    /// # fn example(verifier: TokenVerifier) {
    /// let layer = JwtAuthLayer::new(verifier)
    ///     .client_certificates(ClientCertificates::from_connection());
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.config_mut().certificates = Some(certificates);
        self
    }
}

// === impl Config ===

impl Config {
    /// Checks the proof or the certificate that a request has besides its token, if the layer is configured
    /// to.
    pub(super) fn held<B>(
        &self,
        request: &Request<B>,
        credential: &Credential<'_, '_>,
    ) -> Result<Held, AuthError> {
        let mut held = Held::default();
        let (possession, headers) = (&mut held.possession, request.headers());
        if let Some(certificates) = &self.certificates {
            possession.certificate = certificates.find(headers, request.extensions());
            possession.needs_certificate = certificates.is_required();
        }
        let Some(Proofs { dpop, is_required }) = &self.dpop else {
            return Ok(held);
        };
        possession.needs_key = *is_required;
        // A source other than the `Authorization` header has no scheme: DPoP is used if there is a proof.
        let is_used = credential.scheme == Scheme::Dpop
            || (credential.source.is_some() && Dpop::has_proof(headers));
        if is_used {
            let token = Some(credential.token);
            let checked = dpop.check(request.method(), request.uri(), headers, token)?;
            possession.key = Some(checked.thumbprint());
            let dpop = dpop.clone();
            held.proof = Some(ProofInUse { dpop, checked });
        }
        Ok(held)
    }
}

// === impl ProofInUse ===

impl ProofInUse {
    /// Marks the proof as used after the token was found valid, so that only valid tokens cause I/O.
    pub(super) fn spend_after<B>(self, progress: Progress, request: &Request<B>) -> Step {
        let Self { dpop, checked } = self;
        let waiting = Waiting {
            lenient_cookie: None,
            nonce: checked.newer_nonce().cloned(),
            used: Some(dpop.used_proof(&checked)),
        };
        let is_used = dpop.has_marked_used(&checked, request.extensions());
        let check = Box::pin(async move {
            let verified = progress.finish().await?;
            if !is_used {
                dpop.mark_used(&checked).await?;
            }
            Ok(verified)
        });
        Step::Wait(check, waiting)
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
