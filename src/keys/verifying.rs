//! [`VerifyingKey`]: the key that verifies signatures.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::backend::{PublicNumbers, Signer, Verifier};
use super::jwk::{self, Jwk, JwkMaterial};
use super::material::{pem_of, public_from_pem};
use super::pem::{Half, check_is_der, or_refused, wrong_kind};
use super::strength::{check_ed25519, check_key_id, check_rsa, check_secret, check_secret_length};
use super::thumbprint::Thumbprint;
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// A key to verify tokens with, bound to one algorithm and parsed once.
///
/// Every key has a key id. Unless [`with_key_id`](Self::with_key_id) or a JWK sets one, it is the RFC 7638
/// thumbprint of a public key. For an HMAC secret, it is derived from an HMAC under the secret, which reveals
/// no more about the secret than any token does.
///
/// It is cheap to clone. `Debug` shows only the algorithm and the key id.
///
/// ```
/// use tower_jwt_auth::{Algorithm, VerifyingKey};
///
/// let pem = "-----BEGIN PUBLIC KEY-----\n\
///            MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
///            -----END PUBLIC KEY-----\n";
/// let key = VerifyingKey::from_pem(Algorithm::EdDSA, pem)?;
/// assert_eq!(key.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
///
/// let wrong = VerifyingKey::from_pem(Algorithm::ES256, pem).unwrap_err();
/// assert_eq!(
///     wrong.to_string(),
///     "the ES256 key must be a P-256 public key (SubjectPublicKeyInfo), but this is an Ed25519 key: \
///      give a key of the right kind, or set the algorithm to EdDSA",
/// );
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKey {
    inner: Arc<Inner>,
}

/// The longest RSA modulus of the key of a proof, in bytes: 4096 bits.
const MAX_PROOF_RSA_BYTES: usize = 512;

/// The reason why a key cannot be that of a proof of possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProofKeyFault {
    /// The key has a private member, or is symmetric.
    Secret,
    /// The key is malformed, weak, not supported, or of another algorithm.
    Unfit,
}

struct Inner {
    algorithm: Algorithm,
    key_id: Box<str>,
    /// Whether the key id was set, and not computed by this crate.
    declared: bool,
    verifier: Arc<Verifier>,
    public: Option<PublicNumbers>,
}

// === impl VerifyingKey ===

impl VerifyingKey {
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

    pub(super) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        check_secret(algorithm, secret)?;
        Self::hmac_unchecked(algorithm, secret)
    }

    /// Makes a key from a secret. Only the length of the secret is checked.
    pub(super) fn hmac_unchecked(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        check_secret_length(algorithm, secret)?;
        let tag = Signer::hmac(algorithm, secret)
            .sign(b"tower-jwt-auth key id")
            .map_err(|_| rejected(algorithm))?;
        let key_id = URL_SAFE_NO_PAD.encode(&tag[..16]);
        Ok(Self::assemble(
            algorithm,
            key_id,
            false,
            Verifier::hmac(algorithm, secret),
            None,
        ))
    }

    /// Reads a public key in PEM: `PUBLIC KEY` (SubjectPublicKeyInfo) or `RSA PUBLIC KEY` (PKCS #1).
    ///
    /// # Errors
    ///
    /// Fails if the document is of another kind, if the key is private or of another algorithm, if its point
    /// is not on the curve, or if an RSA key does not have 2048 to 8192 bits.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let pem = pem.as_ref();
        let key = Self::public(algorithm, public_from_pem(algorithm, pem)?);
        key.map_err(|error| or_refused(error, algorithm, pem, Half::Public))
    }

    /// Reads a public key in DER: SubjectPublicKeyInfo (RFC 5280).
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`from_pem`](Self::from_pem).
    pub fn from_der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        check_is_der(algorithm, der.as_ref())?;
        Self::from_pem(algorithm, pem_of("PUBLIC KEY", der.as_ref()).as_bytes())
    }

    /// Reads a JSON Web Key (RFC 7517), symmetric or public.
    ///
    /// Its algorithm is the member `alg` or, without one, that of the curve, or RS256 for an RSA key. Its key
    /// id is the member `kid`.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a JWK, if the key is unsupported or contradictory, if its `use` or `key_ops`
    /// do not allow verifying, or if it has private members. A public key must also be strong enough for
    /// [`from_pem`](Self::from_pem), and a secret for [`hs256`](Self::hs256), [`hs384`](Self::hs384) or
    /// [`hs512`](Self::hs512).
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
        let key = match jwk.verifying()? {
            JwkMaterial::Secret(secret) => Self::hmac(algorithm, &secret)?,
            JwkMaterial::Key(public) => Self::public(algorithm, public)?,
        };
        match jwk.key_id() {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    /// Reads the key of a proof of possession. It comes from a client, so it may be anything. Its key id is
    /// its thumbprint, and its `kid` is ignored.
    pub(crate) fn of_proof(
        algorithm: Algorithm,
        json: &str,
    ) -> Result<(Self, Thumbprint), ProofKeyFault> {
        let jwk = Jwk::parse(json).map_err(|_| ProofKeyFault::Unfit)?;
        if jwk.has_secret() {
            return Err(ProofKeyFault::Secret);
        }
        let jwk = jwk.or_algorithm(Some(algorithm));
        let read = || match (jwk.algorithm()?, jwk.verifying()?) {
            // No client needs a longer key, and verifying a signature of 8192 bits is slow.
            (_, JwkMaterial::Key(PublicNumbers::Rsa { n, .. }))
                if n.len() > MAX_PROOF_RSA_BYTES =>
            {
                Err(rejected(algorithm))
            }
            (found, JwkMaterial::Key(public)) if found.accepts(algorithm.as_str()) => {
                Self::public_of_any(algorithm, public)
            }
            _ => Err(rejected(algorithm)),
        };
        let key = read().map_err(|_| ProofKeyFault::Unfit)?;
        let thumbprint = Thumbprint::parse(key.key_id()).ok_or(ProofKeyFault::Unfit)?;
        Ok((key, thumbprint))
    }

    pub(super) fn public(algorithm: Algorithm, public: PublicNumbers) -> Result<Self, ConfigError> {
        #[cfg(feature = "tracing")]
        let is_short = matches!(&public, PublicNumbers::Rsa { n, .. } if n.len() < 3072 / 8);
        let key = Self::public_of_any(algorithm, public)?;
        #[cfg(feature = "tracing")]
        if is_short {
            tracing::warn!(%algorithm, "an RSA key has fewer than 3072 bits");
        }
        Ok(key)
    }

    fn public_of_any(algorithm: Algorithm, public: PublicNumbers) -> Result<Self, ConfigError> {
        match &public {
            PublicNumbers::Rsa { n, e } => check_rsa(algorithm, n, e)?,
            PublicNumbers::Ec { point } if point.len() != algorithm.point_bytes() => {
                return Err(rejected(algorithm));
            }
            PublicNumbers::Ec { .. } => {}
            PublicNumbers::Ed { x } => check_ed25519(algorithm, x)?,
        }
        let verifier = Verifier::public(algorithm, &public).map_err(|_| rejected(algorithm))?;
        let key_id = jwk::thumbprint(&public)?;
        Ok(Self::assemble(
            algorithm,
            key_id,
            false,
            verifier,
            Some(public),
        ))
    }

    fn assemble(
        algorithm: Algorithm,
        key_id: String,
        declared: bool,
        verifier: Verifier,
        public: Option<PublicNumbers>,
    ) -> Self {
        let (key_id, verifier) = (key_id.into(), Arc::new(verifier));
        Self {
            inner: Arc::new(Inner {
                algorithm,
                key_id,
                declared,
                verifier,
                public,
            }),
        }
    }

    /// Sets the key id, the `kid` by which tokens name this key.
    ///
    /// # Errors
    ///
    /// Fails if the id is empty or longer than 256 bytes.
    pub fn with_key_id(self, key_id: impl Into<String>) -> Result<Self, ConfigError> {
        let key_id = key_id.into();
        check_key_id(&key_id)?;
        let Inner {
            algorithm,
            verifier,
            public,
            ..
        } = &*self.inner;
        let inner = Inner {
            algorithm: *algorithm,
            key_id: key_id.into(),
            declared: true,
            verifier: Arc::clone(verifier),
            public: public.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the only algorithm that this key verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.inner.algorithm
    }

    /// Returns the key id, by which tokens name this key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.inner.key_id
    }

    /// Returns the key as a public JWK with `kid`, `use` and `alg`, or `None` for an HMAC secret.
    #[must_use]
    pub fn to_jwk(&self) -> Option<Value> {
        let mut jwk = jwk::required_members(self.inner.public.as_ref()?);
        jwk["kid"] = self.key_id().into();
        jwk["alg"] = self.algorithm().as_str().into();
        jwk["use"] = "sig".into();
        Some(jwk)
    }

    /// Whether the key id was set, so that a token with another `kid` cannot mean this key.
    pub(super) fn has_declared_id(&self) -> bool {
        self.inner.declared
    }

    /// Whether both are the same object. A key that was loaded again is a different object.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.inner.verifier.verify(message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

const fn rejected(algorithm: Algorithm) -> ConfigError {
    ConfigError::InvalidKey {
        algorithm: algorithm.as_str(),
        reason: wrong_kind(algorithm, false),
    }
}
