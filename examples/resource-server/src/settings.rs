//! The providers whose tokens are accepted, from the variables `JWT_PROVIDER_1`, `JWT_PROVIDER_1_AUDIENCE`
//! and so on.

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{ConfigError, TokenVerifier};

/// The provider in the folder `provider/`, which is used if nothing is configured.
pub(crate) const DEVELOPMENT: &str = "http://127.0.0.1:4000";

pub(crate) struct Settings {
    /// One verifier for the tokens of all providers. Their keys are already being fetched.
    pub(crate) verifier: TokenVerifier,
    pub(crate) development: bool,
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// Fails with every problem of the configuration at once.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let development = AuthConfig::env_is_empty();
        let config = if development {
            AuthConfig::from_vars([
                ("JWT_PROVIDER_1", DEVELOPMENT),
                ("JWT_PROVIDER_1_AUDIENCE", "http://127.0.0.1:3000"),
                ("JWT_PROVIDER_1_PROFILE", "rfc9068"),
                ("JWT_PROVIDER_1_ROLE_CLAIM", "realm_access.roles"),
            ])?
        } else {
            AuthConfig::from_env()?
        };
        // To set a revocation store or more rules, change the builder of each provider here.
        let verifier = config.token_verifier(|builder| builder)?;
        Ok(Self {
            verifier,
            development,
        })
    }
}
