//! [`TestProvider`]: an identity provider on this machine, for the tests of an application.

mod answer;
mod server;

pub use answer::TestAnswer;

use std::io;
use std::time::Duration;

use crate::error::ConfigError;
use crate::issuer::{TokenIssuer, TokenRequest};
use crate::jwks::{RemoteJwks, RemoteJwksBuilder};
use crate::keys::{Algorithm, KeyRing, SigningKey};
use crate::verifier::{TokenVerifier, TokenVerifierBuilder};
use server::Server;

/// The audience of the tokens.
const AUDIENCE: &str = "test-audience";

/// An identity provider for tests. It serves its metadata (OpenID Connect Discovery 1.0) and its keys over
/// plain http on this machine, issues access tokens and rotates its keys. On request it responds slowly,
/// wrongly or not at all. The audience of its tokens is `test-audience`.
///
/// It is for applications that use [`discover`](crate::verifier::TokenVerifierBuilder::discover). It has its
/// own threads, which end when it is dropped, and needs no runtime.
///
/// ```
/// use tower_jwt_auth::testing::{TestAnswer, TestProvider};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let provider = TestProvider::start()?;
/// let verifier = provider.verifier_builder()?.build()?;
/// let token = provider.access("alice").scope("orders:read").issue()?;
/// assert!(verifier.verify(&token).await?.has_scope("orders:read"));
///
/// provider.rotate_key()?; // the old key is still published
/// assert!(verifier.verify(&token).await.is_ok());
///
/// provider.answer(TestAnswer::Status(500)); // cached keys are still used
/// assert!(verifier.verify(&token).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TestProvider {
    server: Server,
    algorithm: Algorithm,
    ring: KeyRing,
    tokens: TokenIssuer,
}

// === impl TestProvider ===

impl TestProvider {
    /// Starts a provider that signs with ES256.
    ///
    /// # Errors
    ///
    /// Fails if there is no free port, or if the system has no randomness.
    pub fn start() -> Result<Self, ConfigError> {
        Self::start_with(Algorithm::ES256)
    }

    /// Starts a provider that signs with this algorithm.
    ///
    /// # Errors
    ///
    /// Fails if the algorithm is symmetric, because providers publish no secrets, if there is no free port,
    /// or if the system has no randomness.
    pub fn start_with(algorithm: Algorithm) -> Result<Self, ConfigError> {
        if algorithm.is_symmetric() {
            return Err(ConfigError::invalid(format!(
                "a provider publishes its keys, and {algorithm} has only a secret: use an asymmetric \
                 algorithm such as ES256"
            )));
        }
        let ring = KeyRing::new(SigningKey::generate(algorithm)?);
        let server = Server::start(ring.clone()).map_err(|error| no_port(&error))?;
        let tokens = TokenIssuer::builder(ring.clone())
            .issuer(server.url())
            .audience(AUDIENCE)
            .build()?;
        Ok(Self {
            server,
            algorithm,
            ring,
            tokens,
        })
    }

    /// Returns the issuer, which is the address of the provider: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.server.url()
    }

    /// Starts building the key source that fetches this provider's keys, as an application does.
    pub fn keys(&self) -> RemoteJwksBuilder {
        RemoteJwks::builder(self.issuer()).allow_loopback()
    }

    /// Starts building a verifier of its tokens.
    ///
    /// # Errors
    ///
    /// Fails if the HTTP client cannot be built.
    pub fn verifier_builder(&self) -> Result<TokenVerifierBuilder, ConfigError> {
        let keys = self.keys().build()?;
        Ok(TokenVerifier::builder()
            .remote_jwks(&keys)
            .audience(AUDIENCE))
    }

    /// Starts an access token of the form of RFC 9068 for this subject, with the claim `client_id`.
    pub fn access(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.tokens.access(sub).claim("client_id", "test-client")
    }

    /// Creates a new key that signs from now on. The old keys are still published.
    ///
    /// # Errors
    ///
    /// Fails if the system has no randomness.
    pub fn rotate_key(&self) -> Result<(), ConfigError> {
        let key = SigningKey::generate(self.algorithm)?;
        // The ring lets a key sign from a given time on; `activate` changes that time to now.
        let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(32_503_680_000);
        self.ring.add(&key, later)?;
        self.ring.activate(key.key_id())
    }

    /// Returns the key that signs now, for [`Hardening::with_key`](super::Hardening::with_key).
    ///
    /// # Errors
    ///
    /// Fails if there is no key that signs.
    pub fn signing_key(&self) -> Result<SigningKey, ConfigError> {
        self.ring.signing_key().map_err(|error| {
            ConfigError::invalid(format!("the provider has no key to sign with: {error}"))
        })
    }

    /// Publishes only the key that signs now: tokens of older keys must be refused after the next fetch.
    ///
    /// # Errors
    ///
    /// Fails if there is no key that signs.
    pub fn withdraw_old_keys(&self) -> Result<(), ConfigError> {
        let current = self.signing_key()?;
        for key in self.ring.keys() {
            if key.key_id != current.key_id() {
                self.ring.remove(&key.key_id)?;
            }
        }
        Ok(())
    }

    /// Sets how requests for the metadata and the keys are answered from now on.
    pub fn answer(&self, answer: TestAnswer) {
        self.server.set(answer);
    }

    /// Sets the `Cache-Control` of the response with the keys, such as `max-age=60`. There is none by
    /// default.
    pub fn cache_control(&self, value: Option<&str>) {
        self.server.set_cache_control(value);
    }

    /// Returns the number of requests for the metadata.
    #[must_use]
    pub fn metadata_requests(&self) -> usize {
        self.server.metadata_requests()
    }

    /// Returns the number of requests for the keys.
    #[must_use]
    pub fn key_requests(&self) -> usize {
        self.server.key_requests()
    }
}

fn no_port(error: &io::Error) -> ConfigError {
    ConfigError::invalid(format!(
        "the test provider cannot listen on 127.0.0.1: {error}"
    ))
}
