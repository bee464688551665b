//! [`AuthConfig`]: everything that is set from outside; the only file that reads the environment.

mod keys;
mod problem;
#[cfg(feature = "jwks")]
mod providers;
mod secret;
mod services;
mod vars;

#[cfg(feature = "jwks")]
pub use providers::ProviderConfig;
pub use secret::Secret;

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::issuer::DEFAULT_ACCESS_TTL;
use crate::keys::check_key_id;
use keys::KeyMaterial;
use problem::named;
use vars::{Vars, environment};

/// What a service is configured with: keys, issuer, audience, lifetimes, password costs.
///
/// [`from_env`](Self::from_env) reads it from these variables; it is also `Deserialize`, so
/// that any configuration library can fill it, by the field names in brackets. An empty
/// variable counts as one that is not set.
///
/// | variable | meaning |
/// |---|---|
/// | `JWT_ALGORITHM` \[algorithm\] | `HS256` (the default with a secret), `HS384`, `HS512`, `RS256`..`RS512`, `PS256`..`PS512`, `ES256`, `ES384`, `EdDSA`, `Ed25519` |
/// | `JWT_SECRET` \[secret\] | the HMAC secret, taken as it is: at least 32, 48 or 64 bytes |
/// | `JWT_PRIVATE_KEY` \[private_key\] | the key to sign with: PEM, or a private JWK |
/// | `JWT_PUBLIC_KEY` \[public_key\] | verify only: PEM, a JWK, or a JWK set; never a secret. `JWT_ALGORITHM` binds each key: those of a set that are for another algorithm are left out |
/// | `JWT_KEY_RING_FILE` \[key_ring_file\] | or the path of a file of [keys that rotate](crate::KeyRing), which is followed while it changes |
/// | `JWT_ROTATE_KEYS` \[rotate_keys\] | the algorithm of new keys in that file, such as `EdDSA`: one every 90 days. Not set: others write it |
/// | `JWT_KEY_ID` \[key_id\] | the `kid` of the key; by default made from the key itself. With a JWK set in `JWT_PUBLIC_KEY`: the one key of it that is used |
/// | `JWT_PREVIOUS_KEYS` \[previous_keys\] | keys that still verify: secrets as they were, or as `kid=ID:secret` if they had a `JWT_KEY_ID`, separated by white space; PEM public keys one after the other; or a JWK set |
/// | `JWT_ISSUER` \[issuer\] | `iss` of the tokens; required |
/// | `JWT_AUDIENCE` \[audience\] | `aud` of the tokens, several separated by commas; required |
/// | `JWT_ACCESS_TTL` \[access_ttl\] | lifetime of access tokens in seconds; 900 |
/// | `JWT_LONGEST_ACCESS_TTL` \[longest_access_ttl\] | the longest lifetime that an access token may have, in seconds: `JWT_ACCESS_TTL`, or more where longer ones are asked for or were issued before. Not set in a service that only verifies: no limit, or that of `JWT_ACCESS_TTL` if it is set |
/// | `JWT_REFRESH_TTL` \[refresh_ttl\] | lifetime of refresh tokens and sessions in seconds; 2592000 |
/// | `JWT_LEEWAY` \[leeway\] | seconds that clocks may differ; 30, at most 300 |
/// | `JWT_MAX_TOKEN_BYTES` \[max_token_bytes\] | longer tokens are refused; 8192 |
/// | `JWT_MAX_LIFETIME` \[max_lifetime\] | tokens of providers that were issued for longer are refused, in seconds; no limit |
/// | `JWT_PROVIDER_1`, `JWT_PROVIDER_1_AUDIENCE` .. \[providers\] | with the feature `jwks`: [identity providers](crate::_guide::providers) whose tokens are taken as well, or instead |
/// | `PASSWORD_MEMORY_KIB` \[password_memory_kib\] | Argon2 memory in KiB; 19456 |
/// | `PASSWORD_ITERATIONS` \[password_iterations\] | Argon2 passes; 2 |
/// | `PASSWORD_PARALLELISM` \[password_parallelism\] | Argon2 lanes; 1 |
///
/// Each key may also be read from a file: `JWT_SECRET_FILE`, `JWT_PRIVATE_KEY_FILE`,
/// `JWT_PUBLIC_KEY_FILE`, `JWT_PREVIOUS_KEYS_FILE`. White space around a value is cut off, and
/// so is a byte order mark; a value in quotation marks is refused.
/// On Unix, the owner and the group of such a file may read it, its owner alone may write it, and nobody else may
/// do either; a file of public keys may be read by anybody. That holds for the file of a key ring too, and
/// [the guide](crate::_guide::keys) says how mounted secrets are set up for it.
///
/// ```
/// use tower_jwt_auth::config::AuthConfig;
///
/// let problems = AuthConfig::from_vars([("JWT_SECRET", "secret"), ("JWT_LEEWAY", "1h")]).unwrap_err();
/// let text = problems.to_string();
/// assert!(text.contains("JWT_SECRET: the HMAC secret has 6 bytes"));
/// assert!(text.contains("JWT_ISSUER is not set"));
/// assert!(text.contains("JWT_LEEWAY must be a whole number of seconds"));
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthConfig {
    /// The name of the algorithm.
    pub algorithm: Option<String>,
    /// The HMAC secret.
    pub secret: Option<Secret>,
    /// The key to sign with, in PEM or as a JWK.
    pub private_key: Option<Secret>,
    /// The key or keys to verify with, in PEM, as a JWK or a JWK set, where nothing is signed.
    pub public_key: Option<Secret>,
    /// The `kid` of the key.
    pub key_id: Option<String>,
    /// The file of a ring of keys to sign with.
    pub key_ring_file: Option<String>,
    /// The algorithm of the keys that are added to that file.
    pub rotate_keys: Option<String>,
    /// Keys that still verify.
    pub previous_keys: Option<Secret>,
    /// The `iss` of the tokens.
    pub issuer: Option<String>,
    /// The `aud` of the tokens, several separated by commas.
    pub audience: Option<String>,
    /// The lifetime of access tokens, in seconds.
    pub access_ttl: Option<u64>,
    /// The longest lifetime that an access token may have, in seconds.
    pub longest_access_ttl: Option<u64>,
    /// The lifetime of refresh tokens and sessions, in seconds.
    pub refresh_ttl: Option<u64>,
    /// Seconds that clocks may differ.
    pub leeway: Option<u64>,
    /// The longest token that is looked at, in bytes.
    pub max_token_bytes: Option<usize>,
    /// The longest lifetime of a provider's token, in seconds.
    pub max_lifetime: Option<u64>,
    /// Identity providers whose tokens are taken.
    #[cfg(feature = "jwks")]
    pub providers: Vec<ProviderConfig>,
    /// Argon2 memory in KiB.
    pub password_memory_kib: Option<u32>,
    /// Argon2 passes.
    pub password_iterations: Option<u32>,
    /// Argon2 lanes.
    pub password_parallelism: Option<u32>,
}

// === impl AuthConfig ===

impl AuthConfig {
    /// Reads the environment, and checks what it finds.
    ///
    /// # Errors
    ///
    /// Every problem at once, each with its variable and its cure.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&environment())
    }

    /// The same from variables that are given.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self::read(&vars.collect())
    }

    /// Whether no variable that begins with `JWT_` is set, so that a program may choose to
    /// start [for development](Self::development).
    #[must_use]
    pub fn env_is_empty() -> bool {
        environment()
            .iter()
            .all(|(name, value)| !name.starts_with("JWT_") || value.is_empty())
    }

    /// A configuration for trying things out: a random secret that ends with the process, the
    /// issuer `http://localhost` and the audience `development`.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn development() -> Result<Self, ConfigError> {
        let mut bytes = Zeroizing::new([0_u8; 48]);
        getrandom::fill(&mut *bytes).map_err(|_| {
            ConfigError::Invalid("no secret could be made: the system has no randomness".into())
        })?;
        Ok(Self {
            secret: Some(URL_SAFE_NO_PAD.encode(*bytes).into()),
            issuer: Some("http://localhost".into()),
            audience: Some("development".into()),
            ..Self::default()
        })
    }

    fn read(vars: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut vars = Vars {
            vars,
            problems: &mut problems,
            lacks_key: false,
        };
        let config = Self {
            algorithm: vars.text("JWT_ALGORITHM"),
            secret: vars.secret("JWT_SECRET"),
            private_key: vars.secret("JWT_PRIVATE_KEY"),
            public_key: vars.public_keys("JWT_PUBLIC_KEY"),
            key_id: vars.text("JWT_KEY_ID"),
            key_ring_file: vars.text("JWT_KEY_RING_FILE"),
            rotate_keys: vars.text("JWT_ROTATE_KEYS"),
            previous_keys: vars.secret("JWT_PREVIOUS_KEYS"),
            issuer: vars.text("JWT_ISSUER"),
            audience: vars.text("JWT_AUDIENCE"),
            access_ttl: vars.number("JWT_ACCESS_TTL", "seconds, such as 900"),
            longest_access_ttl: vars.number("JWT_LONGEST_ACCESS_TTL", "seconds, such as 900"),
            refresh_ttl: vars.number("JWT_REFRESH_TTL", "seconds, such as 2592000"),
            leeway: vars.number("JWT_LEEWAY", "seconds, such as 30"),
            max_token_bytes: vars.number("JWT_MAX_TOKEN_BYTES", "bytes, such as 8192"),
            max_lifetime: vars.number("JWT_MAX_LIFETIME", "seconds, such as 3600"),
            #[cfg(feature = "jwks")]
            providers: ProviderConfig::read(&mut vars),
            password_memory_kib: vars.number("PASSWORD_MEMORY_KIB", "KiB, such as 19456"),
            password_iterations: vars.number("PASSWORD_ITERATIONS", "passes, such as 2"),
            password_parallelism: vars.number("PASSWORD_PARALLELISM", "lanes, such as 1"),
        };
        // A key that could not be read is one problem, not also a missing one.
        let lacks_key = vars.lacks_key;
        config.check(&mut problems, !lacks_key);
        config.or(problems)
    }

    /// Checks a configuration that was filled by other means.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        self.check(&mut problems, true);
        self.clone().or(problems).map(drop)
    }

    fn or(self, mut problems: Vec<ConfigError>) -> Result<Self, ConfigError> {
        match problems.len() {
            0 => Ok(self),
            1 => Err(problems.swap_remove(0)),
            _ => Err(ConfigError::Many(problems)),
        }
    }

    fn check(&self, problems: &mut Vec<ConfigError>, keys: bool) {
        #[cfg(feature = "jwks")]
        for (number, provider) in (1..).zip(&self.providers) {
            provider.check(number, problems);
        }
        if self.max_token_bytes == Some(0) || self.max_lifetime == Some(0) {
            problems.push(ConfigError::invalid(
                "JWT_MAX_TOKEN_BYTES or JWT_MAX_LIFETIME is 0, so that every token would be refused: set it \
                 above, or leave it out",
            ));
        }
        if !self.has_own_tokens() && self.has_providers() {
            return;
        }
        // What is wrong with one variable hides nothing of the next.
        let mut rest = self.clone();
        if let Err(problem) = self.algorithm() {
            problems.push(problem);
            rest.algorithm = None;
        }
        if let Some(key_id) = &self.key_id
            && let Err(problem) = check_key_id(key_id)
        {
            problems.push(named("JWT_KEY_ID", &problem));
            rest.key_id = None;
        }
        if keys {
            let algorithm_is_known = rest.algorithm == self.algorithm;
            let needs_algorithm =
                |text: &Secret| !text.is_json() && text.trimmed().contains("-----BEGIN");
            let readable = |text: &Option<Secret>| {
                algorithm_is_known || !text.as_ref().is_some_and(needs_algorithm)
            };
            let own = [&rest.secret, &rest.private_key, &rest.public_key];
            let main = own.into_iter().all(readable).then(|| rest.main_keys());
            let previous = rest
                .previous_keys
                .as_ref()
                .filter(|_| readable(&rest.previous_keys));
            let previous = previous.map(|text| rest.previous_keys(text));
            match (main, previous.unwrap_or(Ok(Vec::new()))) {
                (Some(Ok(main)), Ok(previous)) => {
                    problems.extend(KeyMaterial::new(main, previous).err());
                }
                (main, previous) => {
                    problems.extend(main.and_then(Result::err));
                    problems.extend(previous.err());
                }
            }
        }
        if self.rotate_keys.is_some() && self.key_ring_file.is_none() {
            problems.push(ConfigError::invalid(
                "JWT_ROTATE_KEYS needs JWT_KEY_RING_FILE: set it as well",
            ));
        }
        if self.issuer.as_deref().is_none_or(str::is_empty) {
            problems.push(ConfigError::invalid(
                "JWT_ISSUER is not set, or empty: set it to the URL of the token issuer",
            ));
        }
        if self.audiences().next().is_none() {
            problems.push(ConfigError::invalid(
                "JWT_AUDIENCE is not set, or empty: set it to a name of this service, such as \"api\"",
            ));
        }
        for (name, seconds) in [
            ("JWT_ACCESS_TTL", self.access_ttl),
            ("JWT_LONGEST_ACCESS_TTL", self.longest_access_ttl),
            ("JWT_REFRESH_TTL", self.refresh_ttl),
        ] {
            if let Some(seconds) = seconds.filter(|one| *one == 0 || *one > 100 * 365 * 86_400) {
                problems.push(ConfigError::invalid(format!(
                    "{name} must be 1 second to 100 years, but it is {seconds} seconds"
                )));
            }
        }
        let access_ttl = self.access_ttl.unwrap_or(DEFAULT_ACCESS_TTL.as_secs());
        if let Some(longest) = self.longest_access_ttl
            && longest < access_ttl
        {
            problems.push(ConfigError::invalid(format!(
                "JWT_LONGEST_ACCESS_TTL ({longest}) is below JWT_ACCESS_TTL ({access_ttl}): raise it"
            )));
        }
        if let Some(seconds) = self.leeway.filter(|seconds| *seconds > 300) {
            problems.push(ConfigError::invalid(format!(
                "JWT_LEEWAY must be at most 300 seconds, but it is {seconds}: if clocks differ by more, set them \
                 right (NTP)"
            )));
        }
        #[cfg(feature = "password")]
        problems.extend(self.password_service().err());
    }

    /// Whether there is a key to sign with.
    #[must_use]
    pub fn can_issue(&self) -> bool {
        self.secret.is_some() || self.private_key.is_some() || self.key_ring_file.is_some()
    }

    /// Whether anything is set that is about tokens of its own keys.
    fn has_own_tokens(&self) -> bool {
        let keys = [&self.secret, &self.private_key, &self.public_key];
        let names = [&self.key_ring_file, &self.issuer, &self.audience];
        keys.into_iter().any(Option::is_some) || names.into_iter().any(Option::is_some)
    }

    fn has_providers(&self) -> bool {
        #[cfg(feature = "jwks")]
        return !self.providers.is_empty();
        #[cfg(not(feature = "jwks"))]
        false
    }

    fn audiences(&self) -> impl Iterator<Item = String> {
        let list = self.audience.as_deref().unwrap_or_default();
        list.split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("algorithm", &self.algorithm)
            .field("secret", &self.secret)
            .field("private_key", &self.private_key)
            .field("public_key", &self.public_key)
            .field("key_id", &self.key_id)
            .field("key_ring_file", &self.key_ring_file)
            .field("rotate_keys", &self.rotate_keys)
            .field("previous_keys", &self.previous_keys)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("access_ttl", &self.access_ttl)
            .field("longest_access_ttl", &self.longest_access_ttl)
            .field("refresh_ttl", &self.refresh_ttl)
            .field("leeway", &self.leeway)
            .field("max_token_bytes", &self.max_token_bytes)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}
