//! The signature algorithms: two interchangeable back ends, chosen by feature, behind two small types.
//!
//! `jsonwebtoken` reads PEM documents and extracts the numbers of a key. It is given an explicit provider,
//! because its process-wide default panics if none or both of its back ends are compiled in anywhere in the
//! dependency graph. Signing and verifying use the cryptographic library directly, because `jsonwebtoken`
//! parses RSA and EC keys again for each signature.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::same_digest;
#[cfg(feature = "aws-lc-rs")]
pub(super) use aws_lc::{Signer, Verifier};
#[cfg(feature = "aws-lc-rs")]
pub(super) use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER as PROVIDER;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER as PROVIDER;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(crate) use rust_crypto::same_digest;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) use rust_crypto::{Signer, Verifier};

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!("tower-jwt-auth needs one of the features `aws-lc-rs` (default) and `rust-crypto`");

use zeroize::Zeroizing;

/// The numbers of a public key, big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicNumbers {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point: `04 || x || y`.
    Ec {
        point: Vec<u8>,
    },
    Ed {
        x: Vec<u8>,
    },
}

/// A private key in the form in which its document contains it.
#[cfg_attr(not(feature = "aws-lc-rs"), allow(dead_code))] // RustCrypto computes dp, dq and qi itself
pub(super) enum PrivateNumbers {
    /// PKCS #8 (EC, Ed25519) or PKCS #1 (RSA), DER.
    Der(Zeroizing<Vec<u8>>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
        d: Zeroizing<Vec<u8>>,
        p: Zeroizing<Vec<u8>>,
        q: Zeroizing<Vec<u8>>,
        dp: Zeroizing<Vec<u8>>,
        dq: Zeroizing<Vec<u8>>,
        qi: Zeroizing<Vec<u8>>,
    },
    Ec {
        d: Zeroizing<Vec<u8>>,
        point: Vec<u8>,
    },
    Ed {
        d: Zeroizing<Vec<u8>>,
        x: Vec<u8>,
    },
}

/// The back end has refused a key, or has failed to sign, which should never happen.
#[derive(Debug)]
pub(super) struct Rejected;
