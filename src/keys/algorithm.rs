//! The signature algorithms (RFC 7518 section 3.1, RFC 8037, RFC 9864) that a key can be bound to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// A signature algorithm; `none` is not among them and cannot be named.
///
/// # Security
///
/// For new systems prefer `EdDSA` or `ES256`: small, fast to make, and the service
/// that verifies holds nothing that could sign. `HS256` is the fastest where one
/// service both issues and verifies. The `RS*` family is there for what exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret has at least 32 bytes.
    HS256,
    /// HMAC with SHA-384; the secret has at least 48 bytes.
    HS384,
    /// HMAC with SHA-512; the secret has at least 64 bytes.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519 under its older name; a key of it also verifies tokens that say `Ed25519`.
    EdDSA,
    /// Ed25519 under its own name (RFC 9864); tokens that say `EdDSA` are refused.
    Ed25519,
}

/// What keys of an algorithm are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Hmac,
    Rsa,
    Ec,
    Ed,
}

// === impl Algorithm ===

impl Algorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
        Self::Ed25519,
    ];

    /// The value of the `alg` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Whether whoever verifies could also sign.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self.family(), Family::Rsa)
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Hmac,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => {
                Family::Rsa
            }
            Self::ES256 | Self::ES384 => Family::Ec,
            Self::EdDSA | Self::Ed25519 => Family::Ed,
        }
    }

    /// Whether a key of this algorithm may verify a token whose header says `name` (J03, J05, J09).
    pub(crate) fn accepts(self, name: &str) -> bool {
        name == self.as_str() || (self == Self::EdDSA && name == "Ed25519")
    }

    /// The least length of an HMAC secret: that of the hash (RFC 7518 section 3.2).
    pub(crate) const fn min_secret_bytes(self) -> usize {
        match self {
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 32,
        }
    }

    /// The length of an uncompressed point on the algorithm's curve.
    pub(crate) const fn point_bytes(self) -> usize {
        match self {
            Self::ES384 => 97,
            _ => 65,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ConfigError;

    /// Reads the exact name; `none`, other cases and abbreviations are errors.
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or_else(|| ConfigError::UnknownAlgorithm(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn names_are_exact() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse::<Algorithm>().unwrap(), algorithm);
        }
        for bad in [
            "none", "None", "nOnE", "hs256", "HS256 ", "", "ES512", "ES256K", "PBES2",
        ] {
            assert!(bad.parse::<Algorithm>().is_err(), "{bad}"); // J03, J08, J33
        }
    }

    #[test]
    fn eddsa_and_ed25519_name_one_curve() {
        assert!(Algorithm::EdDSA.accepts("EdDSA") && Algorithm::EdDSA.accepts("Ed25519")); // J09
        assert!(!Algorithm::Ed25519.accepts("EdDSA"));
        assert!(!Algorithm::ES256.accepts("ES384") && !Algorithm::RS256.accepts("PS256")); // J05
    }
}
