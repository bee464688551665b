//! Reads the numbers of a key from PEM and DER documents, with `jsonwebtoken`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use zeroize::Zeroizing;

use super::algorithm::Family;
use super::backend::{PROVIDER, PrivateNumbers, PublicNumbers};
use super::pem::{Half, check, refused, without_mark};
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// Reads the public key from a `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS #1) document.
pub(super) fn public_from_pem(
    algorithm: Algorithm,
    pem: &[u8],
) -> Result<PublicNumbers, ConfigError> {
    let pem = without_mark(pem);
    check(algorithm, pem, Half::Public)?;
    let wrong = || refused(algorithm, pem, Half::Public);
    match algorithm.family() {
        Family::Hmac => Err(wrong()),
        Family::Rsa => {
            let key = DecodingKey::from_rsa_pem(pem).map_err(|_| wrong())?;
            let der = key.try_get_as_bytes().map_err(|_| wrong())?;
            let (n, e) = (PROVIDER.key_utils.rsa_pub_components_from_public_key)(der)
                .map_err(|_| wrong())?;
            Ok(PublicNumbers::Rsa { n, e })
        }
        Family::Ec => {
            let key = DecodingKey::from_ec_pem(pem).map_err(|_| wrong())?;
            let point = key.try_get_as_bytes().map_err(|_| wrong())?.to_vec();
            Ok(PublicNumbers::Ec { point })
        }
        Family::Ed => {
            let key = DecodingKey::from_ed_pem(pem).map_err(|_| wrong())?;
            let x = key.try_get_as_bytes().map_err(|_| wrong())?.to_vec();
            Ok(PublicNumbers::Ed { x })
        }
    }
}

/// Reads the private key from a `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1) document.
pub(super) fn private_from_pem(
    algorithm: Algorithm,
    pem: &[u8],
) -> Result<PrivateNumbers, ConfigError> {
    let pem = without_mark(pem);
    check(algorithm, pem, Half::Private)?;
    let wrong = || refused(algorithm, pem, Half::Private);
    let key = match algorithm.family() {
        Family::Hmac => return Err(wrong()),
        Family::Rsa => EncodingKey::from_rsa_pem(pem),
        Family::Ec => EncodingKey::from_ec_pem(pem),
        Family::Ed => EncodingKey::from_ed_pem(pem),
    };
    let key = key.map_err(|_| wrong())?;
    Ok(PrivateNumbers::Der(Zeroizing::new(key.as_bytes().to_vec())))
}

/// Reads the numbers of an RSA key in PKCS #8 from the PKCS #1 document inside (RFC 8017 appendix A.1.2).
pub(super) fn rsa_numbers(pkcs8: &[u8]) -> Option<PrivateNumbers> {
    let pem = pem_of("PRIVATE KEY", pkcs8);
    let Ok(PrivateNumbers::Der(pkcs1)) = private_from_pem(Algorithm::RS256, pem.as_bytes()) else {
        return None;
    };
    let (0x30, mut rest, []) = der_element(&pkcs1)? else {
        return None;
    };
    let mut next = || {
        let (0x02, number, after) = der_element(rest)? else {
            return None;
        };
        rest = after;
        // A leading zero only makes the number positive.
        Some(number.strip_prefix(&[0]).unwrap_or(number).to_vec())
    };
    if !next()?.is_empty() {
        return None; // version 0: two primes
    }
    let (n, e) = (next()?, next()?);
    let mut secret = || next().map(Zeroizing::new);
    Some(PrivateNumbers::Rsa {
        n,
        e,
        d: secret()?,
        p: secret()?,
        q: secret()?,
        dp: secret()?,
        dq: secret()?,
        qi: secret()?,
    })
}

/// Returns the tag and the content of the DER element that `bytes` begins with, and the bytes after it.
fn der_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            length.checked_mul(256)?.checked_add(usize::from(*digit))
        })?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Writes a DER document as PEM, so that both formats are read by one path.
pub(super) fn pem_of(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    Zeroizing::new(format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        *base64
    ))
}
