//! [`ConfigError`]: what is wrong at start-up, and how to fix it.

use std::error::Error as StdError;
use std::fmt;

/// A mistake in a key, a builder or the configuration.
///
/// It is returned by constructors, by `build()`, by [`AuthConfig`](crate::config::AuthConfig), and by changes
/// to a [`KeyRing`](crate::KeyRing). Mistakes are found at start-up, before the first request. Every message
/// says what to do, and none contains a secret.
///
/// `Debug` prints the same text as `Display`, because a `main` that returns an error prints its `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An HMAC secret is shorter than the output of its hash (RFC 7518 section 3.2).
    SecretTooShort {
        /// The number of bytes that the algorithm needs.
        needed: usize,
        /// The number of bytes that were given.
        given: usize,
    },
    /// An HMAC secret is a known placeholder, repeats itself, or is otherwise guessable.
    SecretGuessable,
    /// An RSA key has fewer than 2048 bits (RFC 7518 section 3.3) or more than 8192.
    RsaKeySize,
    /// A key could not be read, or is not of the kind that its algorithm needs.
    InvalidKey {
        /// The algorithm for which the key was given.
        algorithm: &'static str,
        /// What is wrong, and what is expected.
        reason: &'static str,
    },
    /// The name of a signature algorithm is unknown, `none` included.
    UnknownAlgorithm(String),
    /// A key id is empty or longer than 256 bytes.
    InvalidKeyId,
    /// Two keys in one set have the same key id and the same algorithm, or two keys in one
    /// [`KeyRing`](crate::KeyRing) have the same key id.
    DuplicateKeyId(String),
    /// A verifier has no keys, or a set of keys or a [`KeyRing`](crate::KeyRing) is empty.
    NoKeys,
    /// None of the keys of a JWK set can be used. Each string names a key and says why.
    NoUsableKey(Vec<String>),
    /// A verifier was built without an issuer, or with an empty one.
    MissingIssuer,
    /// Two verifiers of one [`for_issuers`](crate::TokenVerifier::for_issuers) trust the same issuer.
    DuplicateIssuer(String),
    /// A verifier was built without an audience, or with an empty one.
    MissingAudience,
    /// The leeway is longer than 300 seconds.
    LeewayTooLong,
    /// The lifetime of a token is shorter than 1 second or longer than 100 years.
    InvalidLifetime,
    /// The grace period for concurrent refreshes is longer than 60 seconds.
    RotationGraceTooLong,
    /// The limit of sessions is zero.
    NoSessionsAllowed,
    /// Another value is missing or wrong. The string names it and says what to do.
    Invalid(String),
    /// Several things are wrong with the configuration. All of them are listed.
    Multiple(Vec<ConfigError>),
}

/// The most unusable keys that a message lists.
const MOST_REASONS: usize = 8;

// === impl ConfigError ===

impl ConfigError {
    /// Makes an error from a text that says what is wrong and what to do.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretTooShort { needed, given } => write!(
                f,
                "the HMAC secret has {given} bytes but this algorithm needs at least {needed}: \
                 make one with `openssl rand -base64 48`"
            ),
            Self::SecretGuessable => f.write_str(
                "the HMAC secret is a placeholder or follows a pattern: \
                 make a random one with `openssl rand -base64 48`",
            ),
            Self::RsaKeySize => f.write_str(
                "the RSA key must have 2048 to 8192 bits: \
                 make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`",
            ),
            Self::InvalidKey { algorithm, reason } => write!(f, "the {algorithm} key {reason}"),
            Self::UnknownAlgorithm(name) => write_unknown_algorithm(f, name),
            Self::InvalidKeyId => {
                f.write_str("a key id (`kid`) must have 1 to 256 bytes: choose another one")
            }
            Self::DuplicateKeyId(kid) => write!(
                f,
                "two keys have the key id `{}`, so a token cannot say which of them signed it: give one of them another id (`kid`), or remove it",
                kid.escape_default().take(64).collect::<String>()
            ),
            Self::NoKeys => f.write_str(
                "there is no key to verify tokens with: give the builder at least one, as \
                 `TokenVerifier::builder().keys(..)`",
            ),
            Self::NoUsableKey(reasons) => {
                f.write_str("the JWK set has no key that can verify a token")?;
                for reason in reasons.iter().take(MOST_REASONS) {
                    write!(f, "; {reason}")?;
                }
                match reasons.len().saturating_sub(MOST_REASONS) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            Self::MissingIssuer => f.write_str(
                "no issuer is set, or it is empty: call `.issuer(..)`, or `.dangerous_no_issuer()` to accept any",
            ),
            Self::DuplicateIssuer(issuer) => write!(
                f,
                "two verifiers trust the issuer `{}`: give it to one of them",
                issuer.escape_default().take(256).collect::<String>()
            ),
            Self::MissingAudience => f.write_str(
                "no audience is set, or it is empty: call `.audience(..)`, or `.dangerous_no_audience()` to accept any",
            ),
            Self::LeewayTooLong => f.write_str(
                "the leeway must be at most 300 seconds: if clocks differ by more, synchronize them (NTP)",
            ),
            Self::InvalidLifetime => f.write_str(
                "the lifetime of a token must be between 1 second and 100 years: set another one, such as 15 \
                 minutes for access tokens",
            ),
            Self::RotationGraceTooLong => f.write_str(
                "the grace period for concurrent refreshes must be at most 60 seconds: set a shorter one",
            ),
            Self::NoSessionsAllowed => {
                f.write_str("the limit of sessions must be at least 1: leave it out for no limit")
            }
            Self::Invalid(text) => f.write_str(text),
            Self::Multiple(problems) => {
                write!(f, "{} problems in the configuration:", problems.len())?;
                for problem in problems {
                    write!(f, "\n  - {problem}")?;
                }
                Ok(())
            }
        }
    }
}

/// Lists the algorithms, or suggests the one that was probably meant.
fn write_unknown_algorithm(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    const KNOWN: [&str; 13] = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "EdDSA", "Ed25519",
    ];
    let shown: String = name.escape_default().take(64).collect();
    let bare = |text: &str| {
        text.trim_matches(['"', '\'', ' '])
            .replace('-', "")
            .to_lowercase()
    };
    write!(f, "`{shown}` is not a signature algorithm of this crate: ")?;
    if let Some(meant) = KNOWN.iter().find(|known| bare(known) == bare(name)) {
        return write!(f, "write `{meant}`, exactly like this");
    }
    if name.eq_ignore_ascii_case("none") {
        f.write_str("tokens without a signature are not supported; ")?;
    }
    write!(f, "use one of {}", KNOWN.join(" "))
}

impl StdError for ConfigError {}
