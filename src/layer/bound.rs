//! Tokens that are bound to a key or a certificate: the settings of the layer, and what the client of a request has
//! proved to possess.

use std::sync::Arc;

use http::{HeaderValue, Request};

use super::layer::JwtAuthLayer;
use super::service::{Config, Step};
use crate::bearer::Credential;
use crate::challenge::{DpopChallenge, Scheme};
use crate::dpop::{CheckedProof, Dpop, SpentProof};
use crate::error::AuthError;
use crate::mtls::ClientCertificates;
use crate::policy::Possession;
use crate::verifier::Progress;

/// How the layer checks DPoP proofs.
#[derive(Debug, Clone)]
pub(super) struct Proofs {
    dpop: Dpop,
    /// Whether tokens without a proof are refused.
    is_required: bool,
}

/// What the client of a request has proved to possess, and by which proof.
#[derive(Default)]
pub(super) struct Held {
    pub(super) possession: Possession,
    pub(super) proof: Option<ProofInUse>,
}

/// A good proof that nobody has looked up yet.
pub(super) struct ProofInUse {
    dpop: Dpop,
    checked: CheckedProof,
}

/// What is done once a token is judged that had to be waited for.
#[derive(Default)]
pub(super) struct Waiting {
    /// The cookie that the token is from, if a bad one counts as none.
    pub(super) lenient_cookie: Option<Arc<str>>,
    /// The nonce that the response hands out if the token is good.
    pub(super) nonce: Option<HeaderValue>,
    /// What tells those further in that the proof of the request was used by this layer.
    pub(super) spent: Option<SpentProof>,
}

// === impl JwtAuthLayer ===

impl<R> JwtAuthLayer<R> {
    /// Also takes tokens that are bound to a key, with the scheme `DPoP` and a proof for each request
    /// (RFC 9449).
    ///
    /// | the request | what happens |
    /// |---|---|
    /// | `DPoP`, a bound token and a good proof by its key | it goes on |
    /// | `DPoP` with no proof, a bad one, one of another key, or one that was used before | 401 |
    /// | `DPoP` with a token that is not bound | 401 |
    /// | `Bearer` with a token that is bound | 401 |
    /// | `Bearer` with a token that is not bound | it goes on, unless proofs are [required](Self::require_dpop) |
    /// | a good token and a proof, and the replay store is unavailable | 503 |
    ///
    /// Tokens from another [source](Self::token_source), such as a cookie, have no scheme: a `DPoP` header
    /// makes them tokens with a proof. What is bound, and to which key, says
    /// [`VerifiedToken::binding`](crate::VerifiedToken::binding). It holds for tokens of this service and of
    /// providers, and for opaque ones.
    ///
    /// The challenges name both schemes, and the algorithms of proofs. Give
    /// [`EXPOSED_HEADERS`](crate::dpop::EXPOSED_HEADERS) to the CORS layer, so that pages on other origins can
    /// read them.
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

    /// Takes only tokens that are bound to a key, with a proof for each request: as [`dpop`](Self::dpop), but
    /// bearer tokens are refused. That holds for each kind of credential, API keys included.
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

    /// Also takes tokens that are bound to the client certificate of the connection (RFC 8705).
    ///
    /// A bound token is refused if the connection has another certificate or none. Tokens that are not bound
    /// are accepted, unless bound ones are
    /// [required](crate::mtls::ClientCertificates::require_bound_tokens).
    ///
    /// ```
    /// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// use tower_jwt_auth::mtls::ClientCertificates;
    ///
    /// # fn example(verifier: TokenVerifier) {
    /// let layer = JwtAuthLayer::new(verifier)
    ///     .client_certificates(ClientCertificates::of_connection());
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
    /// Checks what the client of a request shows beside its token. Without a setting, that is nothing.
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
        // Another source than the `Authorization` header has no scheme: there the proof tells.
        let is_used = credential.scheme == Scheme::Dpop
            || (credential.source.is_some() && Dpop::is_in(headers));
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
    /// Marks the proof as used once the token is found good, so that only good tokens cause I/O.
    pub(super) fn spend_after<B>(self, progress: Progress, request: &Request<B>) -> Step {
        let Self { dpop, checked } = self;
        let waiting = Waiting {
            lenient_cookie: None,
            nonce: checked.newer_nonce().cloned(),
            spent: Some(dpop.spent(&checked)),
        };
        let is_spent = dpop.has_spent(&checked, request.extensions());
        let check = Box::pin(async move {
            let verified = progress.finish().await?;
            if !is_spent {
                dpop.spend(&checked).await?;
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
