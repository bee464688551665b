//! The settings of [`JwtAuthLayer`] for tokens that are bound to a key or a certificate.

use super::layer::JwtAuthLayer;
use super::possession::Proofs;
use crate::challenge::DpopChallenge;
use crate::dpop::Dpop;
use crate::mtls::ClientCertificates;

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
    /// [source](Self::token_source), such as a cookie, have no scheme: the request must then have a proof if the
    /// token is bound, and none if it is not. [`VerifiedToken::binding`](crate::VerifiedToken::binding) tells
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
