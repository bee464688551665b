//! Signs and verifies with the RustCrypto crates. Keys are parsed once.

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use hmac::digest::CtOutput;
use hmac::{Hmac, Mac as _};
use rand_core::OsRng;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPrivateKey, RsaPublicKey, pkcs1v15, pss};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{PrivateNumbers, PublicNumbers, Rejected};
use crate::keys::Algorithm;

#[allow(clippy::large_enum_variant)] // lives behind an `Arc`
pub(in crate::keys) enum Verifier {
    Hmac(HmacKey),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
    Rs384(pkcs1v15::VerifyingKey<Sha384>),
    Rs512(pkcs1v15::VerifyingKey<Sha512>),
    Ps256(pss::VerifyingKey<Sha256>),
    Ps384(pss::VerifyingKey<Sha384>),
    Ps512(pss::VerifyingKey<Sha512>),
    Es256(p256::ecdsa::VerifyingKey),
    Es384(p384::ecdsa::VerifyingKey),
    Ed(ed25519_dalek::VerifyingKey),
}

#[allow(clippy::large_enum_variant)] // lives behind an `Arc`
pub(in crate::keys) enum Signer {
    Hmac(HmacKey),
    Rs256(pkcs1v15::SigningKey<Sha256>),
    Rs384(pkcs1v15::SigningKey<Sha384>),
    Rs512(pkcs1v15::SigningKey<Sha512>),
    Ps256(pss::SigningKey<Sha256>),
    Ps384(pss::SigningKey<Sha384>),
    Ps512(pss::SigningKey<Sha512>),
    Es256(p256::ecdsa::SigningKey),
    Es384(p384::ecdsa::SigningKey),
    Ed(ed25519_dalek::SigningKey),
}

/// An HMAC that already contains its key. It is cloned for each message.
pub(in crate::keys) enum HmacKey {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// The size of a new RSA key, in bits.
const NEW_RSA_BITS: usize = 3072;

// === impl Verifier ===

impl Verifier {
    pub(in crate::keys) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::Hmac(HmacKey::new(algorithm, secret))
    }

    /// Parses the key. A point that is not on the curve is refused here (RFC 8725 section 3.4).
    pub(in crate::keys) fn public(
        algorithm: Algorithm,
        key: &PublicNumbers,
    ) -> Result<Self, Rejected> {
        match key {
            PublicNumbers::Rsa { n, e } => {
                let (n, e) = (BigUint::from_bytes_be(n), BigUint::from_bytes_be(e));
                let key = RsaPublicKey::new_with_max_size(n, e, 8192).map_err(|_| Rejected)?;
                Ok(match algorithm {
                    Algorithm::RS256 => Self::Rs256(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::RS384 => Self::Rs384(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::RS512 => Self::Rs512(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::PS256 => Self::Ps256(pss::VerifyingKey::new(key)),
                    Algorithm::PS384 => Self::Ps384(pss::VerifyingKey::new(key)),
                    Algorithm::PS512 => Self::Ps512(pss::VerifyingKey::new(key)),
                    _ => return Err(Rejected),
                })
            }
            PublicNumbers::Ec { point } => match algorithm {
                Algorithm::ES256 => {
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::Es256)
                }
                Algorithm::ES384 => {
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::Es384)
                }
                _ => return Err(Rejected),
            }
            .map_err(|_| Rejected),
            PublicNumbers::Ed { x } => {
                let x = x.as_slice().try_into().map_err(|_| Rejected)?;
                ed25519_dalek::VerifyingKey::from_bytes(x)
                    .map(Self::Ed)
                    .map_err(|_| Rejected)
            }
        }
    }

    pub(in crate::keys) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        macro_rules! verified {
            ($key:expr, $signature:ty) => {
                <$signature>::try_from(signature)
                    .is_ok_and(|signature| $key.verify(message, &signature).is_ok())
            };
        }
        match self {
            Self::Hmac(key) => key.verify(message, signature),
            Self::Rs256(key) => verified!(key, pkcs1v15::Signature),
            Self::Rs384(key) => verified!(key, pkcs1v15::Signature),
            Self::Rs512(key) => verified!(key, pkcs1v15::Signature),
            Self::Ps256(key) => verified!(key, pss::Signature),
            Self::Ps384(key) => verified!(key, pss::Signature),
            Self::Ps512(key) => verified!(key, pss::Signature),
            Self::Es256(key) => verified!(key, p256::ecdsa::Signature),
            Self::Es384(key) => verified!(key, p384::ecdsa::Signature),
            Self::Ed(key) => verified!(key, ed25519_dalek::Signature),
        }
    }
}

// === impl Signer ===

impl Signer {
    pub(in crate::keys) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::Hmac(HmacKey::new(algorithm, secret))
    }

    pub(in crate::keys) fn private(
        algorithm: Algorithm,
        key: &PrivateNumbers,
    ) -> Result<Self, Rejected> {
        match (algorithm, key) {
            (Algorithm::ES256, PrivateNumbers::Der(der)) => {
                p256::ecdsa::SigningKey::from_pkcs8_der(der)
                    .map(Self::Es256)
                    .map_err(|_| Rejected)
            }
            (Algorithm::ES384, PrivateNumbers::Der(der)) => {
                p384::ecdsa::SigningKey::from_pkcs8_der(der)
                    .map(Self::Es384)
                    .map_err(|_| Rejected)
            }
            (Algorithm::ES256, PrivateNumbers::Ec { d, point }) => {
                let key = p256::ecdsa::SigningKey::from_slice(d).map_err(|_| Rejected)?;
                Self::Es256(key).if_public_is(&PublicNumbers::Ec {
                    point: point.clone(),
                })
            }
            (Algorithm::ES384, PrivateNumbers::Ec { d, point }) => {
                let key = p384::ecdsa::SigningKey::from_slice(d).map_err(|_| Rejected)?;
                Self::Es384(key).if_public_is(&PublicNumbers::Ec {
                    point: point.clone(),
                })
            }
            (Algorithm::EdDSA | Algorithm::Ed25519, PrivateNumbers::Der(der)) => {
                ed25519_dalek::SigningKey::from_pkcs8_der(der)
                    .map(Self::Ed)
                    .map_err(|_| Rejected)
            }
            (Algorithm::EdDSA | Algorithm::Ed25519, PrivateNumbers::Ed { d, x }) => {
                let d = d.as_slice().try_into().map_err(|_| Rejected)?;
                let key = ed25519_dalek::SigningKey::from_bytes(d);
                Self::Ed(key).if_public_is(&PublicNumbers::Ed { x: x.clone() })
            }
            (_, PrivateNumbers::Der(der)) => {
                let key = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| Rejected)?;
                Self::rsa(algorithm, key)
            }
            (_, PrivateNumbers::Rsa { n, e, d, p, q, .. }) => {
                let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
                let primes = vec![number(p), number(q)];
                let key = RsaPrivateKey::from_components(number(n), number(e), number(d), primes);
                let key = key.map_err(|_| Rejected)?;
                key.validate().map_err(|_| Rejected)?;
                Self::rsa(algorithm, key)
            }
            _ => Err(Rejected),
        }
    }

    fn rsa(algorithm: Algorithm, key: RsaPrivateKey) -> Result<Self, Rejected> {
        Ok(match algorithm {
            Algorithm::RS256 => Self::Rs256(pkcs1v15::SigningKey::new(key)),
            Algorithm::RS384 => Self::Rs384(pkcs1v15::SigningKey::new(key)),
            Algorithm::RS512 => Self::Rs512(pkcs1v15::SigningKey::new(key)),
            Algorithm::PS256 => Self::Ps256(pss::SigningKey::new(key)),
            Algorithm::PS384 => Self::Ps384(pss::SigningKey::new(key)),
            Algorithm::PS512 => Self::Ps512(pss::SigningKey::new(key)),
            _ => return Err(Rejected),
        })
    }

    fn if_public_is(self, expected: &PublicNumbers) -> Result<Self, Rejected> {
        if self.public_numbers().as_ref() == Some(expected) {
            Ok(self)
        } else {
            Err(Rejected)
        }
    }

    /// Generates a key pair from the operating system's randomness.
    pub(in crate::keys) fn generate(algorithm: Algorithm) -> Result<Self, Rejected> {
        match algorithm {
            Algorithm::ES256 => Ok(Self::Es256(p256::ecdsa::SigningKey::random(&mut OsRng))),
            Algorithm::ES384 => Ok(Self::Es384(p384::ecdsa::SigningKey::random(&mut OsRng))),
            Algorithm::EdDSA | Algorithm::Ed25519 => {
                Ok(Self::Ed(ed25519_dalek::SigningKey::generate(&mut OsRng)))
            }
            _ => {
                let key = RsaPrivateKey::new(&mut OsRng, NEW_RSA_BITS).map_err(|_| Rejected)?;
                Self::rsa(algorithm, key)
            }
        }
    }

    /// Returns the public key, or `None` for HMAC.
    pub(in crate::keys) fn public_numbers(&self) -> Option<PublicNumbers> {
        let rsa = |key: &RsaPrivateKey| PublicNumbers::Rsa {
            n: key.n().to_bytes_be(),
            e: key.e().to_bytes_be(),
        };
        Some(match self {
            Self::Hmac(_) => return None,
            Self::Rs256(key) => rsa(key.as_ref()),
            Self::Rs384(key) => rsa(key.as_ref()),
            Self::Rs512(key) => rsa(key.as_ref()),
            Self::Ps256(key) => rsa(key.as_ref()),
            Self::Ps384(key) => rsa(key.as_ref()),
            Self::Ps512(key) => rsa(key.as_ref()),
            Self::Es256(key) => PublicNumbers::Ec {
                point: key
                    .verifying_key()
                    .to_encoded_point(false)
                    .as_bytes()
                    .to_vec(),
            },
            Self::Es384(key) => PublicNumbers::Ec {
                point: key
                    .verifying_key()
                    .to_encoded_point(false)
                    .as_bytes()
                    .to_vec(),
            },
            Self::Ed(key) => PublicNumbers::Ed {
                x: key.verifying_key().to_bytes().to_vec(),
            },
        })
    }

    /// Returns the private key, for RSA in PKCS #8, or `None` for HMAC.
    pub(in crate::keys) fn private_numbers(&self) -> Option<PrivateNumbers> {
        let secret = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        let rsa = |key: &RsaPrivateKey| {
            let der = key.to_pkcs8_der().ok()?;
            Some(PrivateNumbers::Der(secret(der.as_bytes())))
        };
        let point = |public| match public {
            Some(PublicNumbers::Ec { point }) => Some(point),
            _ => None,
        };
        match self {
            Self::Hmac(_) => None,
            Self::Rs256(key) => rsa(key.as_ref()),
            Self::Rs384(key) => rsa(key.as_ref()),
            Self::Rs512(key) => rsa(key.as_ref()),
            Self::Ps256(key) => rsa(key.as_ref()),
            Self::Ps384(key) => rsa(key.as_ref()),
            Self::Ps512(key) => rsa(key.as_ref()),
            Self::Es256(key) => Some(PrivateNumbers::Ec {
                d: secret(&key.to_bytes()),
                point: point(self.public_numbers())?,
            }),
            Self::Es384(key) => Some(PrivateNumbers::Ec {
                d: secret(&key.to_bytes()),
                point: point(self.public_numbers())?,
            }),
            Self::Ed(key) => Some(PrivateNumbers::Ed {
                d: secret(key.as_bytes()),
                x: key.verifying_key().to_bytes().to_vec(),
            }),
        }
    }

    pub(in crate::keys) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Rejected> {
        macro_rules! signed {
            ($signature:expr) => {
                $signature
                    .map(|signature| signature.to_vec())
                    .map_err(|_| Rejected)
            };
        }
        // RSA uses blinding, which needs randomness even if the signature is deterministic.
        match self {
            Self::Hmac(key) => Ok(key.sign(message)),
            Self::Rs256(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Rs384(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Rs512(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Ps256(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Ps384(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Ps512(key) => signed!(key.try_sign_with_rng(&mut OsRng, message)),
            Self::Es256(key) => {
                let signature: Result<p256::ecdsa::Signature, _> = key.try_sign(message);
                signed!(signature)
            }
            Self::Es384(key) => {
                let signature: Result<p384::ecdsa::Signature, _> = key.try_sign(message);
                signed!(signature)
            }
            Self::Ed(key) => signed!(key.try_sign(message)),
        }
    }
}

/// Compares two digests in constant time.
pub(crate) fn same_digest(one: &[u8; 32], other: &[u8; 32]) -> bool {
    CtOutput::<Sha256>::new((*one).into()) == CtOutput::new((*other).into())
}

// === impl HmacKey ===

impl HmacKey {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        const ANY_LENGTH: &str = "invariant: HMAC takes a key of any length";
        match algorithm {
            Algorithm::HS384 => Self::Sha384(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::HS512 => Self::Sha512(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            _ => Self::Sha256(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
        }
    }

    /// Checks the tag of a message. The comparison takes constant time.
    fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(key) => key.clone().chain_update(message).verify_slice(tag),
            Self::Sha384(key) => key.clone().chain_update(message).verify_slice(tag),
            Self::Sha512(key) => key.clone().chain_update(message).verify_slice(tag),
        }
        .is_ok()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256(key) => key
                .clone()
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
            Self::Sha384(key) => key
                .clone()
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
            Self::Sha512(key) => key
                .clone()
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
        }
    }
}
