//! [`SigningKey`]: the key that signs tokens.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::backend::{PrivateNumbers, Signer};
use super::jwk::{Jwk, JwkMaterial, private_jwk, secret_jwk};
use super::material::{pem_of, private_from_pem, rsa_numbers};
use super::pem::{Half, check_is_der, or_refused, wrong_kind};
use super::verifying::VerifyingKey;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::keys::Algorithm;

/// A key to sign tokens with, bound to one algorithm and parsed once.
///
/// It is cheap to clone. `Debug` shows only the algorithm and the key id.
///
/// ```
/// use tower_jwt_auth::{ConfigError, SigningKey};
///
/// # let secret = b"\x8f\x03\x1a\xc4qT\x9d^\xee2\x0b[\xa7\x15K\xd0\x93\x1e\xf8=\xb6c\x02\xdaz\x4e\xc9\x88\x11\xfb\x67\x35";
/// let key = SigningKey::hs256(secret)?;
/// assert_eq!(SigningKey::hs256("secret").unwrap_err(), ConfigError::SecretTooShort { needed: 32, given: 6 });
/// # let _ = key; Ok::<(), ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<Signer>,
    verifying: VerifyingKey,
}

// === impl SigningKey ===

impl SigningKey {
    /// Makes a key from an HMAC-SHA-256 secret of at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// Fails if the secret is too short, is a placeholder, or follows a pattern.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(Algorithm::HS256, secret.as_ref())
    }

    /// Makes a key from an HMAC-SHA-384 secret of at least 48 random bytes.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`hs256`](Self::hs256).
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(Algorithm::HS384, secret.as_ref())
    }

    /// Makes a key from an HMAC-SHA-512 secret of at least 64 random bytes.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`hs256`](Self::hs256).
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::hmac(Algorithm::HS512, secret.as_ref())
    }

    /// Makes a key from an HMAC secret without checking whether it can be guessed. Its length is still
    /// checked.
    ///
    /// # Security
    ///
    /// Anybody who guesses the secret can issue tokens. Use it only for published test vectors and for
    /// development, never for a service that others can reach.
    ///
    /// # Errors
    ///
    /// Fails if the secret is too short, or if the algorithm is not HMAC.
    pub fn dangerous_guessable_secret(
        algorithm: Algorithm,
        secret: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        let verifying = VerifyingKey::hmac_unchecked(symmetric(algorithm)?, secret)?;
        Ok(Self {
            signer: Arc::new(Signer::hmac(algorithm, secret)),
            verifying,
        })
    }

    fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        let verifying = VerifyingKey::hmac(algorithm, secret)?;
        Ok(Self {
            signer: Arc::new(Signer::hmac(algorithm, secret)),
            verifying,
        })
    }

    /// Makes a key from an HMAC secret. Fails if the configured algorithm is not HMAC.
    pub(crate) fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        Self::hmac(symmetric(algorithm)?, secret)
    }

    /// Reads a private key in PEM: `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1).
    ///
    /// # Errors
    ///
    /// Fails if the document is of another kind, if the key is encrypted or of another algorithm, or if an
    /// RSA key does not have 2048 to 8192 bits.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let pem = pem.as_ref();
        let key = Self::private(algorithm, &private_from_pem(algorithm, pem)?);
        key.map_err(|error| or_refused(error, algorithm, pem, Half::Private))
    }

    /// Reads a private key in DER: PKCS #8 (RFC 5208).
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`from_pem`](Self::from_pem).
    pub fn from_der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        check_is_der(algorithm, der.as_ref())?;
        Self::from_pem(algorithm, pem_of("PRIVATE KEY", der.as_ref()).as_bytes())
    }

    /// Reads a JSON Web Key (RFC 7517), symmetric or with its private members.
    ///
    /// The algorithm and the key id are read as by [`VerifyingKey::from_jwk`].
    ///
    /// # Errors
    ///
    /// Fails if the text is not a JWK, if the key is unsupported, contradictory, weak or public, or if its
    /// `use` or `key_ops` do not allow signing.
    pub fn from_jwk(json: &str) -> Result<Self, ConfigError> {
        Self::from_jwk_or(None, json)
    }

    /// Reads a JSON Web Key, with this algorithm if the key does not name one itself.
    pub(crate) fn from_jwk_or(
        algorithm: Option<Algorithm>,
        json: &str,
    ) -> Result<Self, ConfigError> {
        let jwk = Jwk::parse(json)?.or_algorithm(algorithm);
        let algorithm = jwk.algorithm()?;
        let key = match jwk.signing()? {
            JwkMaterial::Secret(secret) => Self::hmac(algorithm, &secret)?,
            JwkMaterial::Key(private) => Self::private(algorithm, &private)?,
        };
        match jwk.key_id() {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    /// Generates a random key that exists only in this process, for tests and for services whose tokens need
    /// not outlive a restart. RSA keys get 3072 bits, which takes a moment.
    ///
    /// # Errors
    ///
    /// Fails if the operating system provides no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        if algorithm.is_symmetric() {
            let mut secret = Zeroizing::new([0_u8; 64]);
            getrandom::fill(&mut *secret).map_err(|_| no_randomness(algorithm))?;
            return Self::hmac(algorithm, &*secret);
        }
        let signer = Signer::generate(algorithm).map_err(|_| no_randomness(algorithm))?;
        Self::assemble(algorithm, signer)
    }

    /// Generates a random key as a private JWK, for a file of keys.
    pub(super) fn generate_jwk(algorithm: Algorithm) -> Result<Zeroizing<String>, ConfigError> {
        if algorithm.is_symmetric() {
            let mut secret = Zeroizing::new([0_u8; 64]);
            getrandom::fill(&mut *secret).map_err(|_| no_randomness(algorithm))?;
            let key = Self::hmac(algorithm, &*secret)?;
            return Ok(secret_jwk(&*secret, algorithm, key.key_id()));
        }
        Self::generate(algorithm)?.to_private_jwk()
    }

    /// Returns the key as a private JWK. Fails for HMAC, because the back end does not return the secret.
    pub(super) fn to_private_jwk(&self) -> Result<Zeroizing<String>, ConfigError> {
        let algorithm = self.algorithm();
        let closed = || ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "cannot be exported, because it does not return its secret: write it into the file as a JWK",
        };
        let numbers = match self.signer.private_numbers().ok_or_else(closed)? {
            PrivateNumbers::Der(pkcs8) => rsa_numbers(&pkcs8).ok_or_else(closed)?,
            numbers => numbers,
        };
        let public = self.signer.public_numbers().ok_or_else(closed)?;
        private_jwk(&numbers, &public, algorithm, self.key_id())
    }

    fn private(algorithm: Algorithm, key: &PrivateNumbers) -> Result<Self, ConfigError> {
        let signer = Signer::private(algorithm, key).map_err(|_| ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: wrong_kind(algorithm, true),
        })?;
        Self::assemble(algorithm, signer)
    }

    fn assemble(algorithm: Algorithm, signer: Signer) -> Result<Self, ConfigError> {
        let public = signer.public_numbers().ok_or(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: wrong_kind(algorithm, true),
        })?;
        let verifying = VerifyingKey::public(algorithm, public)?;
        Ok(Self {
            signer: Arc::new(signer),
            verifying,
        })
    }

    /// Sets the key id: the `kid` in the header of the tokens that the key signs.
    ///
    /// # Errors
    ///
    /// Fails if the id is empty or longer than 256 bytes.
    pub fn with_key_id(self, key_id: impl Into<String>) -> Result<Self, ConfigError> {
        let verifying = self.verifying.with_key_id(key_id)?;
        Ok(Self {
            signer: self.signer,
            verifying,
        })
    }

    /// Returns the key that verifies the signatures of this one.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// Whether both keys have the same id and algorithm and make the same signatures.
    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        if self.verifying.is(&other.verifying) {
            return true;
        }
        let is_named_alike =
            self.key_id() == other.key_id() && self.algorithm() == other.algorithm();
        is_named_alike
            && match (self.verifying.to_jwk(), other.verifying.to_jwk()) {
                (Some(jwk), Some(other)) => jwk == other,
                // The back end does not return an HMAC secret, so compare two signatures.
                _ => {
                    let probe = b"tower-jwt-auth key comparison";
                    let signed = self.signer.sign(probe);
                    signed.is_ok_and(|signature| other.verifying.verify(probe, &signature))
                }
            }
    }

    pub(super) fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Returns the only algorithm with which this key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// Returns the key id, by which tokens name this key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.verifying.key_id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AuthError> {
        self.signer.sign(message).map_err(|_| {
            AuthError::new(AuthErrorKind::Internal).because("the token could not be signed")
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

/// Computes an HMAC with any secret, however weak, for attacks on a service under test.
#[cfg(feature = "testing")]
pub(crate) fn sign_with_any_secret(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let signer = Signer::hmac(algorithm, secret);
    signer.sign(message).unwrap_or_default()
}

fn symmetric(algorithm: Algorithm) -> Result<Algorithm, ConfigError> {
    if algorithm.is_symmetric() {
        Ok(algorithm)
    } else {
        Err(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "cannot be a secret: give a private key (`JWT_PRIVATE_KEY`), or choose HS256, HS384 or \
                     HS512",
        })
    }
}

const fn no_randomness(algorithm: Algorithm) -> ConfigError {
    ConfigError::InvalidKey {
        algorithm: algorithm.as_str(),
        reason: "could not be generated: the operating system provides no randomness",
    }
}
