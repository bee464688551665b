//! Signing and verifying by aws-lc-rs, with keys that were parsed once.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use zeroize::Zeroizing;

use super::{PrivateNumbers, PublicNumbers, Rejected};
use crate::keys::Algorithm;

#[allow(clippy::large_enum_variant)] // lives behind an `Arc`
pub(in crate::keys) enum Verifier {
    Hmac(hmac::Key),
    Public(ParsedPublicKey),
}

#[allow(clippy::large_enum_variant)] // lives behind an `Arc`
pub(in crate::keys) enum Signer {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

// === impl Verifier ===

impl Verifier {
    pub(in crate::keys) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::Hmac(hmac_key(algorithm, secret))
    }

    /// Parses the key; a point off its curve is refused here (J14).
    pub(in crate::keys) fn public(
        algorithm: Algorithm,
        key: &PublicNumbers,
    ) -> Result<Self, Rejected> {
        let parsed = match key {
            PublicNumbers::Rsa { n, e } => {
                let parameters = rsa_parameters(algorithm).ok_or(Rejected)?;
                RsaPublicKeyComponents {
                    n: trim(n),
                    e: trim(e),
                }
                .to_parsed_public_key(parameters)
            }
            PublicNumbers::Ec { point } => {
                let curve: &'static dyn VerificationAlgorithm = match algorithm {
                    Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
                    _ => return Err(Rejected),
                };
                ParsedPublicKey::new(curve, point)
            }
            PublicNumbers::Ed { x } => ParsedPublicKey::new(&ED25519, x),
        };
        parsed.map(Self::Public).map_err(|_| Rejected)
    }

    pub(in crate::keys) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

// === impl Signer ===

impl Signer {
    pub(in crate::keys) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::Hmac(hmac_key(algorithm, secret))
    }

    pub(in crate::keys) fn private(
        algorithm: Algorithm,
        key: &PrivateNumbers,
    ) -> Result<Self, Rejected> {
        if let Some(encoding) = rsa_encoding(algorithm) {
            let pair = match key {
                PrivateNumbers::Der(der) => RsaKeyPair::from_der(der),
                PrivateNumbers::Rsa {
                    n,
                    e,
                    d,
                    p,
                    q,
                    dp,
                    dq,
                    qi,
                } => RsaKeyPair::from_components(&aws_lc_rs::rsa::KeyPairComponents {
                    public_key: RsaPublicKeyComponents {
                        n: trim(n),
                        e: trim(e),
                    },
                    d,
                    p,
                    q,
                    dP: dp,
                    dQ: dq,
                    qInv: qi,
                }),
                _ => return Err(Rejected),
            };
            return pair
                .map(|pair| Self::Rsa(pair, encoding))
                .map_err(|_| Rejected);
        }
        if let Some(curve) = ec_signing(algorithm) {
            let pair = match key {
                PrivateNumbers::Der(der) => EcdsaKeyPair::from_pkcs8(curve, der),
                PrivateNumbers::Ec { d, point } => {
                    EcdsaKeyPair::from_private_key_and_public_key(curve, d, point)
                }
                _ => return Err(Rejected),
            };
            return pair.map(Self::Ec).map_err(|_| Rejected);
        }
        let pair = match key {
            PrivateNumbers::Der(der) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der),
            PrivateNumbers::Ed { d, x } => Ed25519KeyPair::from_seed_and_public_key(d, x),
            _ => return Err(Rejected),
        };
        pair.map(Self::Ed).map_err(|_| Rejected)
    }

    /// A new key pair of the operating system's randomness.
    pub(in crate::keys) fn generate(algorithm: Algorithm) -> Result<Self, Rejected> {
        if let Some(encoding) = rsa_encoding(algorithm) {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(|_| Rejected)?;
            return Ok(Self::Rsa(pair, encoding));
        }
        if let Some(curve) = ec_signing(algorithm) {
            return EcdsaKeyPair::generate(curve)
                .map(Self::Ec)
                .map_err(|_| Rejected);
        }
        Ed25519KeyPair::generate()
            .map(Self::Ed)
            .map_err(|_| Rejected)
    }

    /// The public half; none for HMAC.
    pub(in crate::keys) fn public_numbers(&self) -> Option<PublicNumbers> {
        match self {
            Self::Hmac(_) => None,
            Self::Rsa(pair, _) => {
                let RsaPublicKeyComponents { n, e } =
                    RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                Some(PublicNumbers::Rsa { n, e })
            }
            Self::Ec(pair) => Some(PublicNumbers::Ec {
                point: pair.public_key().as_ref().to_vec(),
            }),
            Self::Ed(pair) => Some(PublicNumbers::Ed {
                x: pair.public_key().as_ref().to_vec(),
            }),
        }
    }

    /// The private half, of RSA in PKCS #8; none for HMAC.
    pub(in crate::keys) fn private_numbers(&self) -> Option<PrivateNumbers> {
        let secret = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        Some(match self {
            Self::Hmac(_) => return None,
            Self::Rsa(pair, _) => {
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(pair).ok()?;
                PrivateNumbers::Der(secret(der.as_ref()))
            }
            Self::Ec(pair) => PrivateNumbers::Ec {
                d: secret(pair.private_key().as_be_bytes().ok()?.as_ref()),
                point: pair.public_key().as_ref().to_vec(),
            },
            Self::Ed(pair) => PrivateNumbers::Ed {
                d: secret(pair.seed().ok()?.as_be_bytes().ok()?.as_ref()),
                x: pair.public_key().as_ref().to_vec(),
            },
        })
    }

    pub(in crate::keys) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Rejected> {
        match self {
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| Rejected)?;
                Ok(signature)
            }
            Self::Ec(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Rejected),
            Self::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn hmac_key(algorithm: Algorithm, secret: &[u8]) -> hmac::Key {
    let hash = match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::Key::new(hash, secret)
}

const fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}

const fn ec_signing(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => None,
    }
}

/// Compares two digests in constant time.
pub(crate) fn same_digest(one: &[u8; 32], other: &[u8; 32]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// Big-endian numbers without the leading zeros that some encoders keep.
fn trim(number: &[u8]) -> &[u8] {
    let first = number
        .iter()
        .position(|&byte| byte != 0)
        .unwrap_or(number.len());
    &number[first..]
}
