//! The checks that refuse weak keys: the length and guessability of secrets, the size of RSA keys, key ids.

use super::pem::is_encoded_again;
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// The smallest RSA modulus: 2048 bits (RFC 7518 section 3.3).
pub const MIN_RSA_BITS: usize = 2048;
/// The largest RSA modulus, in bits. A larger one would make each verification too slow.
const MAX_RSA_BITS: usize = 8192;
/// The longest key id: 256 bytes.
pub const MAX_KEY_ID_BYTES: usize = 256;

/// The minimum number of distinct bytes in a secret. Any random secret of 32 bytes has more, even if it is
/// written in hex digits.
const MIN_DISTINCT_BYTES: usize = 8;

/// Words that placeholders contain. With six letters or more, they do not occur in a random secret by chance.
const PLACEHOLDERS: [&str; 12] = [
    "secret",
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "password",
    "passphrase",
    "placeholder",
    "example",
    "default",
    "development",
    "qwerty",
];

/// Refuses a secret that is too short, a known placeholder, or follows a pattern.
pub(crate) fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), ConfigError> {
    check_secret_length(algorithm, secret)?;
    if looks_like_public_key(secret) {
        return Err(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "is a PEM or JWK document, not a secret: load it with the constructor for its format",
        });
    }
    if is_encoded_again(secret) {
        return Err(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "is a PEM key that was base64-encoded, not a secret: decode it with `base64 -d`, \
                     and load it with the constructor for PEM (`JWT_PRIVATE_KEY`, `JWT_PUBLIC_KEY`)",
        });
    }
    if is_guessable(secret) {
        return Err(ConfigError::SecretGuessable);
    }
    Ok(())
}

/// Refuses a secret that is shorter than the hash of its algorithm.
pub(crate) fn check_secret_length(algorithm: Algorithm, secret: &[u8]) -> Result<(), ConfigError> {
    let needed = algorithm.min_secret_bytes();
    if secret.len() < needed {
        return Err(ConfigError::SecretTooShort {
            needed,
            given: secret.len(),
        });
    }
    Ok(())
}

/// Whether the bytes are a public key, which must never become an HMAC secret (RFC 8725 section 2.1).
fn looks_like_public_key(secret: &[u8]) -> bool {
    let text = String::from_utf8_lossy(secret);
    text.contains("-----BEGIN ")
        || text.contains("\"kty\"")
        || text.trim_start().starts_with("ssh-")
}

fn is_guessable(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    for &byte in secret {
        seen[usize::from(byte)] = true;
    }
    let distinct = seen.iter().filter(|&&seen| seen).count();
    distinct < MIN_DISTINCT_BYTES || repeats(secret) || counts(secret) || names_placeholder(secret)
}

/// Whether the secret repeats a shorter unit.
fn repeats(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|period| secret.iter().zip(&secret[period..]).all(|(a, b)| a == b))
}

/// Whether most neighbouring bytes differ by the same step, as in `abcdefgh...` or `0123456789...`.
fn counts(secret: &[u8]) -> bool {
    let mut steps = [0_usize; 256];
    for pair in secret.windows(2) {
        steps[usize::from(pair[1].wrapping_sub(pair[0]))] += 1;
    }
    steps.iter().any(|&count| count * 4 >= secret.len() * 3)
}

fn names_placeholder(secret: &[u8]) -> bool {
    let letters: String = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    PLACEHOLDERS.iter().any(|word| letters.contains(word))
}

/// Refuses an RSA key that does not have 2048 to 8192 bits, and one with impossible numbers.
pub(crate) fn check_rsa(
    algorithm: Algorithm,
    modulus: &[u8],
    exponent: &[u8],
) -> Result<(), ConfigError> {
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bit_length(modulus)) {
        return Err(ConfigError::RsaKeySize);
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    // An exponent of 2 to 33 bits: 3 and 65537 are in use, and larger ones are only slower.
    if !is_odd(modulus) || !is_odd(exponent) || !(2..=33).contains(&bit_length(exponent)) {
        return Err(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "has a modulus or an exponent that is impossible for an RSA key",
        });
    }
    Ok(())
}

/// Refuses a point for which anybody can make signatures: one of small order, or with a non-canonical
/// encoding (RFC 8032 section 5.1.3). The cryptographic libraries accept them.
pub(crate) fn check_ed25519(algorithm: Algorithm, point: &[u8]) -> Result<(), ConfigError> {
    const ORDER_8: [&str; 2] = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    // Ignores the sign of x, which is in the top bit.
    let mut y = point.to_vec();
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    let (low, rest) = y.split_first().unwrap_or((&0, &[]));
    let tiny = *low <= 1 && rest.iter().all(|&byte| byte == 0);
    // From p - 1 on: the point of order 2, and encodings that are not reduced.
    let (top, middle) = rest.split_last().unwrap_or((&0, &[]));
    let huge = *top == 0x7f && middle.iter().all(|&byte| byte == 0xff) && *low >= 0xec;
    let hex: String = y.iter().map(|byte| format!("{byte:02x}")).collect();
    if point.len() != 32 || tiny || huge || ORDER_8.contains(&hex.as_str()) {
        return Err(ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: "must be an Ed25519 public key (SubjectPublicKeyInfo), and not a point that \
                     anybody can sign for",
        });
    }
    Ok(())
}

fn bit_length(number: &[u8]) -> usize {
    let Some(first) = number.iter().position(|&byte| byte != 0) else {
        return 0;
    };
    (number.len() - first) * 8 - number[first].leading_zeros() as usize
}

/// Refuses a key id that is empty or too long.
pub(crate) fn check_key_id(kid: &str) -> Result<(), ConfigError> {
    if kid.is_empty() || kid.len() > MAX_KEY_ID_BYTES {
        return Err(ConfigError::InvalidKeyId);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{bit_length, check_secret};
    use crate::error::ConfigError;
    use crate::keys::Algorithm;

    #[test]
    fn a_secret_is_at_least_as_long_as_the_hash() {
        for (algorithm, needed) in [
            (Algorithm::HS256, 32),
            (Algorithm::HS384, 48),
            (Algorithm::HS512, 64),
        ] {
            let random: Vec<u8> = (0..needed)
                .map(|i| (i * i * 31 + 7 * i + 3) as u8)
                .collect();
            assert!(check_secret(algorithm, &random).is_ok());
            for given in [0, needed - 1] {
                assert_eq!(
                    check_secret(algorithm, &random[..given]),
                    Err(ConfigError::SecretTooShort { needed, given })
                );
            }
        }
    }

    #[test]
    fn placeholders_and_patterns_are_refused() {
        for bad in [
            "secretsecretsecretsecretsecretsecret",
            "changethis-changethis-changethis-changethis",
            "please-CHANGE-me-before-you-deploy-this-0",
            "your-256-bit-secret-goes-here-in-production",
            "my_super_s.e.c.r.e.t_signing_key_2024_abcdefg",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abababababababababababababababababab",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0123456789abcdef0123456789abcdef",
            "Tr0ub4dor&3xTr0ub4dor&3xTr0ub4dor&3x",
            "0000000000000000000000000000000000000001",
        ] {
            assert_eq!(
                check_secret(Algorithm::HS256, bad.as_bytes()),
                Err(ConfigError::SecretGuessable),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_public_key_is_refused_as_a_secret() {
        for bad in [
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQg\n-----END PUBLIC KEY-----",
            " \n\t-----BEGIN RSA PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQg",
            r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Q0mXyBz1kP5c",
        ] {
            assert!(
                matches!(
                    check_secret(Algorithm::HS256, bad.as_bytes()),
                    Err(ConfigError::InvalidKey { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        assert_eq!(bit_length(&[]), 0);
        assert_eq!(bit_length(&[0, 0]), 0);
        assert_eq!(bit_length(&[0, 1, 0]), 9);
        assert_eq!(bit_length(&[0x80; 256]), 2048);
    }

    proptest! {
        #[test]
        fn random_secrets_pass(secret in proptest::array::uniform32(any::<u8>())) {
            let mut seen = std::collections::HashSet::new();
            prop_assume!(secret.iter().filter(|byte| seen.insert(**byte)).count() > 16);
            prop_assert!(check_secret(Algorithm::HS256, &secret).is_ok());
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert!(check_secret(Algorithm::HS512, hex.as_bytes()).is_ok());
        }
    }
}
