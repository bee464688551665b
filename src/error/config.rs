//! [`ConfigError`]: what is wrong at start-up, and the cure.

use std::error::Error as StdError;
use std::fmt;

/// What is wrong with a key, a builder or the configuration.
///
/// It can only come from key constructors, `build()`,
/// [`AuthConfig`](crate::config::AuthConfig) and changes to a [`KeyRing`](crate::KeyRing):
/// after start-up nothing in this crate fails for a reason that was knowable before. Every message names the cure, and
/// none repeats a secret.
///
/// `Debug` prints the same text as `Display`, because a `main` that returns an error prints its
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An HMAC secret is shorter than the output of its hash (RFC 7518 section 3.2).
    SecretTooShort {
        /// How many bytes the algorithm needs.
        needed: usize,
        /// How many bytes were given.
        given: usize,
    },
    /// An HMAC secret is a known placeholder, repeats itself, or is otherwise guessable.
    SecretGuessable,
    /// An RSA key has fewer than 2048 bits (RFC 7518 section 3.3) or more than 8192.
    RsaKeySize,
    /// A key could not be read, or is not of the kind that its algorithm needs.
    InvalidKey {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// The name of a signature algorithm is unknown, `none` included.
    UnknownAlgorithm(String),
    /// A key id is empty or longer than 256 bytes.
    InvalidKeyId,
    /// Two keys in one set have the same key id and the same algorithm.
    DuplicateKeyId(String),
    /// A set of keys holds no key that can verify a token.
    NoKeys,
    /// None of the keys of a JWK set can be used; a text for each says which and why.
    NoUsableKey(Vec<String>),
    /// A verifier was built without saying which issuer it trusts.
    MissingIssuer,
    /// Two verifiers of one [`for_issuers`](crate::TokenVerifier::for_issuers) trust the same issuer.
    DuplicateIssuer(String),
    /// A verifier was built without saying which audience it is.
    MissingAudience,
    /// The leeway is over the cap of 300 seconds.
    LeewayTooLong,
    /// A lifetime is zero, or longer than dates can express.
    InvalidLifetime,
    /// The grace for concurrent rotations is over the cap of 60 seconds.
    RotationGraceTooLong,
    /// The limit of sessions is zero.
    NoSessionsAllowed,
    /// A value of the configuration is missing or wrong; the text names the variable and the cure.
    Invalid(String),
    /// Several things are wrong with the configuration; all of them at once.
    Many(Vec<ConfigError>),
}

/// Of how many keys a message says why they are of no use.
const MOST_REASONS: usize = 8;

// === impl ConfigError ===

impl ConfigError {
    /// The text says what is wrong, and the cure.
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
                "two keys share the key id `{}` and the algorithm, so a token cannot say which of them \
                 signed it: give one of them another id (`kid`), or remove it",
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
                "the leeway must be at most 300 seconds: if clocks differ by more, set them right (NTP)",
            ),
            Self::InvalidLifetime => f.write_str(
                "the lifetime of a token must be 1 second to 100 years: set another one, such as 15 minutes for \
                 access tokens",
            ),
            Self::RotationGraceTooLong => f.write_str(
                "the grace for concurrent rotations must be at most 60 seconds: set a shorter one",
            ),
            Self::NoSessionsAllowed => {
                f.write_str("the limit of sessions must be at least 1: leave it out for no limit")
            }
            Self::Invalid(text) => f.write_str(text),
            Self::Many(problems) => {
                write!(f, "{} problems in the configuration:", problems.len())?;
                for problem in problems {
                    write!(f, "\n  - {problem}")?;
                }
                Ok(())
            }
        }
    }
}

/// Names the algorithms, and the one that was meant.
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
