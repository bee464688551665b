//! [`AuthConfig`]: the settings of a service, from the environment or any other source.
//!
//! No other module of this crate reads environment variables, except that HTTP clients respect the proxy
//! variables.

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

/// The configuration of a service: keys, issuer, audience, lifetimes, password costs.
///
/// [`from_env`](Self::from_env) reads it from these variables. It also implements `Deserialize`, so that any
/// configuration library can fill it, by the field names in brackets. An empty variable counts as not set, and
/// one that is not in the table is ignored: check the spelling of optional ones.
///
/// | variable | meaning |
/// |---|---|
/// | `JWT_ALGORITHM` \[algorithm\] | `HS256` (the default with a secret), `HS384`, `HS512`, `RS256`..`RS512`, `PS256`..`PS512`, `ES256`, `ES384`, `EdDSA`, `Ed25519` |
/// | `JWT_SECRET` \[secret\] | the HMAC secret, used as it is: at least 32, 48 or 64 bytes |
/// | `JWT_PRIVATE_KEY` \[private_key\] | the key to sign with: PEM, or a private JWK |
/// | `JWT_PUBLIC_KEY` \[public_key\] | the keys of a service that only verifies: PEM, a JWK, or a JWK set; never a secret. `JWT_ALGORITHM` applies to each key: keys of a set for another algorithm are ignored |
/// | `JWT_KEY_RING_FILE` \[key_ring_file\] | instead of a key, the path of a file of [rotating keys](crate::KeyRing), whose changes are followed |
/// | `JWT_ROTATE_KEYS` \[rotate_keys\] | the algorithm of new keys in that file, such as `EdDSA`: one is added every 90 days. If it is not set, another process must rotate the keys |
/// | `JWT_KEY_ID` \[key_id\] | the `kid` of the key; by default derived from the key. With a JWK set in `JWT_PUBLIC_KEY`, it selects the one key that is used |
/// | `JWT_PREVIOUS_KEYS` \[previous_keys\] | keys that still verify: secrets, or `kid=ID:secret` for those that had a `JWT_KEY_ID`, separated by white space; PEM public keys one after the other; or a JWK set |
/// | `JWT_ISSUER` \[issuer\] | the `iss` of the tokens; required |
/// | `JWT_AUDIENCE` \[audience\] | the `aud` of the tokens, several separated by commas; required |
/// | `JWT_ACCESS_TTL` \[access_ttl\] | the lifetime of access tokens in seconds; 900 by default |
/// | `JWT_MAX_ACCESS_TTL` \[max_access_ttl\] | the longest lifetime of an access token in seconds; `JWT_ACCESS_TTL` by default. Set it if some tokens live longer than that, or did until you shortened it. A service that only verifies has no limit if neither is set |
/// | `JWT_REFRESH_TTL` \[refresh_ttl\] | the lifetime of refresh tokens and sessions in seconds; 2592000 (30 days) by default |
/// | `JWT_LEEWAY` \[leeway\] | by how many seconds clocks may differ; 30 by default, at most 300 |
/// | `JWT_MAX_TOKEN_BYTES` \[max_token_bytes\] | the longest token in bytes that the verifiers built from this configuration accept; 8192 by default, as in the verifiers of an issuer |
/// | `JWT_MAX_LIFETIME` \[max_lifetime\] | the longest accepted lifetime of providers' tokens in seconds; no limit by default |
/// | `JWT_PROVIDER_1`, `JWT_PROVIDER_1_AUDIENCE` .. \[providers\] | with the feature `jwks`: [identity providers](crate::guide::providers) whose tokens are accepted, in addition to own tokens or alone |
/// | `PASSWORD_MEMORY_KIB` \[password_memory_kib\] | Argon2 memory in KiB; 19456 by default |
/// | `PASSWORD_ITERATIONS` \[password_iterations\] | Argon2 passes; 2 by default |
/// | `PASSWORD_PARALLELISM` \[password_parallelism\] | Argon2 lanes; 1 by default |
///
/// Each key can also be read from a file: `JWT_SECRET_FILE`, `JWT_PRIVATE_KEY_FILE`, `JWT_PUBLIC_KEY_FILE`,
/// `JWT_PREVIOUS_KEYS_FILE`. White space around a value and a byte order mark are removed. A value in
/// quotation marks is refused.
///
/// On Unix, such a file must be readable only by its owner and group, and writable only by its owner; a file
/// of public keys may be readable by everybody. The same applies to the file of a key ring, and [the
/// guide](crate::guide::keys) says how to mount secrets accordingly.
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
    /// The keys of a service that only verifies, in PEM, as a JWK or as a JWK set.
    pub public_key: Option<Secret>,
    /// The `kid` of the key.
    pub key_id: Option<String>,
    /// The file of a ring of keys to sign with.
    pub key_ring_file: Option<String>,
    /// The algorithm of the keys that are added to that file.
    pub rotate_keys: Option<String>,
    /// Older keys that still verify tokens.
    pub previous_keys: Option<Secret>,
    /// The `iss` of the tokens.
    pub issuer: Option<String>,
    /// The `aud` of the tokens, several separated by commas.
    pub audience: Option<String>,
    /// The lifetime of access tokens, in seconds.
    pub access_ttl: Option<u64>,
    /// The longest lifetime that an access token may have, in seconds.
    pub max_access_ttl: Option<u64>,
    /// The lifetime of refresh tokens and sessions, in seconds.
    pub refresh_ttl: Option<u64>,
    /// By how many seconds clocks may differ.
    pub leeway: Option<u64>,
    /// The longest accepted token, in bytes.
    pub max_token_bytes: Option<usize>,
    /// The longest accepted lifetime of a provider's token, in seconds.
    pub max_lifetime: Option<u64>,
    /// The identity providers whose tokens are accepted.
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
    /// Reads the configuration from the environment and checks it.
    ///
    /// # Errors
    ///
    /// Fails with every problem at once, each with the variable and what to do.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&environment())
    }

    /// Reads the configuration from the given variables and checks it.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`from_env`](Self::from_env).
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

    /// Returns whether no variable that begins with `JWT_` is set. A program can then start
    /// [for development](Self::development).
    #[must_use]
    pub fn env_is_empty() -> bool {
        environment()
            .iter()
            .all(|(name, value)| !name.starts_with("JWT_") || value.is_empty())
    }

    /// Makes a configuration for development: a random secret that exists only in this process, the issuer
    /// `http://localhost`, and the audience `development`.
    ///
    /// # Errors
    ///
    /// Fails if the operating system provides no randomness.
    pub fn development() -> Result<Self, ConfigError> {
        let mut bytes = Zeroizing::new([0_u8; 48]);
        getrandom::fill(&mut *bytes).map_err(|_| {
            ConfigError::Invalid(
                "no secret could be generated: the operating system provides no randomness".into(),
            )
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
            max_access_ttl: vars.number("JWT_MAX_ACCESS_TTL", "seconds, such as 900"),
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
        // A key that could not be read must not be reported as missing in addition.
        let lacks_key = vars.lacks_key;
        config.check(&mut problems, !lacks_key);
        config.or(problems)
    }

    /// Checks a configuration that was filled in another way.
    ///
    /// # Errors
    ///
    /// Fails with every setting that is missing or invalid at once. The text names the variable of each, even
    /// if it was not read from the environment.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        self.check(&mut problems, true);
        self.clone().or(problems).map(drop)
    }

    fn or(self, mut problems: Vec<ConfigError>) -> Result<Self, ConfigError> {
        match problems.len() {
            0 => Ok(self),
            1 => Err(problems.swap_remove(0)),
            _ => Err(ConfigError::Multiple(problems)),
        }
    }

    fn check(&self, problems: &mut Vec<ConfigError>, keys: bool) {
        #[cfg(feature = "jwks")]
        for (number, provider) in (1..).zip(&self.providers) {
            provider.check(number, problems);
        }
        let limits = [
            (self.max_token_bytes == Some(0), "JWT_MAX_TOKEN_BYTES"),
            (self.max_lifetime == Some(0), "JWT_MAX_LIFETIME"),
        ];
        for (_, name) in limits.iter().filter(|(is_zero, _)| *is_zero) {
            problems.push(ConfigError::invalid(format!(
                "{name} is 0, so every token would be refused: set it to more than 0, or leave it out"
            )));
        }
        if !self.has_own_tokens() && self.has_providers() {
            return;
        }
        // A problem with one variable must not hide those with others.
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
            ("JWT_MAX_ACCESS_TTL", self.max_access_ttl),
            ("JWT_REFRESH_TTL", self.refresh_ttl),
        ] {
            if let Some(seconds) = seconds.filter(|one| *one == 0 || *one > 100 * 365 * 86_400) {
                problems.push(ConfigError::invalid(format!(
                    "{name} must be 1 second to 100 years, but it is {seconds} seconds"
                )));
            }
        }
        let access_ttl = self.access_ttl.unwrap_or(DEFAULT_ACCESS_TTL.as_secs());
        if let Some(longest) = self.max_access_ttl
            && longest < access_ttl
        {
            problems.push(ConfigError::invalid(format!(
                "JWT_MAX_ACCESS_TTL ({longest}) is below JWT_ACCESS_TTL ({access_ttl}): raise it"
            )));
        }
        if let Some(seconds) = self.leeway.filter(|seconds| *seconds > 300) {
            problems.push(ConfigError::invalid(format!(
                "JWT_LEEWAY must be at most 300 seconds, but it is {seconds}: if clocks differ by more, \
                 synchronize them (NTP)"
            )));
        }
        #[cfg(feature = "password")]
        problems.extend(self.password_service().err());
    }

    /// Returns whether there is a key to sign with.
    #[must_use]
    pub fn can_issue(&self) -> bool {
        self.secret.is_some() || self.private_key.is_some() || self.key_ring_file.is_some()
    }

    /// Whether any setting for tokens of the service's own keys is set.
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
            .field("max_access_ttl", &self.max_access_ttl)
            .field("refresh_ttl", &self.refresh_ttl)
            .field("leeway", &self.leeway)
            .field("max_token_bytes", &self.max_token_bytes)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}
