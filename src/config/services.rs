//! Builds issuers, verifiers and a password service from an [`AuthConfig`].

use std::time::Duration;

use super::AuthConfig;
use super::keys::MainKeys;
use crate::error::ConfigError;
use crate::issuer::{IssuerKeys, TokenIssuer, TokenIssuerBuilder};
#[cfg(feature = "password")]
use crate::password::{Argon2Params, PasswordService};
use crate::verifier::{TokenVerifier, TokenVerifierBuilder};

// === impl AuthConfig ===

impl AuthConfig {
    /// Returns the builder of an issuer with this configuration. Add stores to it if you need them.
    ///
    /// # Errors
    ///
    /// Fails if [`validate`](Self::validate) does, or if there is no key to sign with. With
    /// `JWT_KEY_RING_FILE`, it also fails outside of a Tokio runtime, which is needed to follow the file.
    pub fn issuer_builder(&self) -> Result<TokenIssuerBuilder, ConfigError> {
        self.validate()?;
        let keys = self.key_material()?;
        let MainKeys::Signing(key) = keys.main else {
            return Err(ConfigError::invalid(
                "there is no key to sign with: set JWT_SECRET, JWT_PRIVATE_KEY or JWT_KEY_RING_FILE",
            ));
        };
        if let IssuerKeys::Ring(ring) = &key {
            ring.watch()?;
        }
        let builder = TokenIssuer::builder(key);
        let previous = keys.previous.into_iter();
        let mut builder = previous.fold(builder, TokenIssuerBuilder::previous_key);
        if let Some(seconds) = self.access_ttl {
            builder = builder.access_ttl(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.max_access_ttl {
            builder = builder.max_access_ttl(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.refresh_ttl {
            builder = builder.refresh_ttl(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.leeway {
            builder = builder.leeway(Duration::from_secs(seconds));
        }
        builder = builder.issuer(self.issuer.clone().unwrap_or_default());
        Ok(self.audiences().fold(builder, TokenIssuerBuilder::audience))
    }

    /// Returns the builder of a verifier for the tokens of this configuration's own keys. Add stores to it if
    /// you need them.
    ///
    /// # Errors
    ///
    /// Fails if [`validate`](Self::validate) does, or if there are no keys. With `JWT_KEY_RING_FILE`, it also
    /// fails outside of a Tokio runtime.
    pub fn verifier_builder(&self) -> Result<TokenVerifierBuilder, ConfigError> {
        self.validate()?;
        self.own_verifier()
    }

    /// Builds a verifier for all tokens that this configuration accepts: those of its own keys, if there are
    /// any, and those of its [providers](super::ProviderConfig). `complete` is called with each builder, and
    /// can add stores, a clock or further rules. The keys of providers are fetched from then on.
    ///
    /// ```
    /// use tower_jwt_auth::config::AuthConfig;
    ///
    /// let config = AuthConfig::from_vars([
    ///     ("JWT_PROVIDER_1", "https://login.example/realms/staff"),
    ///     ("JWT_PROVIDER_1_AUDIENCE", "orders-api"),
    ///     ("JWT_PROVIDER_1_PRESET", "keycloak"),
    ///     ("JWT_PROVIDER_2", "https://tenant.eu.auth0.com/"),
    ///     ("JWT_PROVIDER_2_AUDIENCE", "https://api.example"),
    /// ])?;
    /// let verifier = config.token_verifier(|builder| builder)?;
    /// assert_eq!(verifier.health().len(), 2);
    /// # Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if [`validate`](Self::validate) does, if two of the issuers are the same, or if a completed
    /// builder cannot be built. With `JWT_KEY_RING_FILE`, it also fails outside of a Tokio runtime.
    #[cfg(feature = "jwks")]
    pub fn token_verifier(
        &self,
        complete: impl Fn(TokenVerifierBuilder) -> TokenVerifierBuilder,
    ) -> Result<TokenVerifier, ConfigError> {
        self.validate()?;
        let mut verifiers = Vec::new();
        if self.has_own_tokens() {
            verifiers.push(complete(self.own_verifier()?).build()?);
        }
        for provider in &self.providers {
            let mut builder = self.limit(provider.verifier_builder()?);
            if let Some(seconds) = self.max_lifetime {
                builder = builder.max_lifetime(Duration::from_secs(seconds));
            }
            verifiers.push(complete(builder).build()?);
        }
        match verifiers.len() {
            1 => Ok(verifiers.swap_remove(0)),
            _ => TokenVerifier::for_issuers(verifiers),
        }
    }

    /// Sets the limits that apply to every token.
    fn limit(&self, mut builder: TokenVerifierBuilder) -> TokenVerifierBuilder {
        if let Some(seconds) = self.leeway {
            builder = builder.leeway(Duration::from_secs(seconds));
        }
        if let Some(bytes) = self.max_token_bytes {
            builder = builder.max_token_bytes(bytes);
        }
        builder
    }

    fn own_verifier(&self) -> Result<TokenVerifierBuilder, ConfigError> {
        let keys = self.key_material()?;
        let mut builder = match &keys.main {
            MainKeys::Signing(ring @ IssuerKeys::Ring(inner)) => {
                inner.watch()?;
                ring.verifier(&keys.previous)?
            }
            _ => TokenVerifier::builder().keys(keys.verifying),
        };
        // The issuer keeps revocations for no longer than this.
        if let Some(seconds) = self.max_access_ttl.or(self.access_ttl) {
            builder = builder.max_lifetime(Duration::from_secs(seconds));
        }
        builder = self.limit(builder);
        builder = builder.issuer(self.issuer.clone().unwrap_or_default());
        Ok(self
            .audiences()
            .fold(builder, TokenVerifierBuilder::audience))
    }

    /// Builds a password service with this configuration.
    ///
    /// # Errors
    ///
    /// Fails if the Argon2 costs are too low to be safe, too high, or not valid for Argon2.
    #[cfg(feature = "password")]
    pub fn password_service(&self) -> Result<PasswordService, ConfigError> {
        let default = Argon2Params::DEFAULT;
        let params = Argon2Params::new(
            self.password_memory_kib.unwrap_or(default.memory_kib()),
            self.password_iterations.unwrap_or(default.passes()),
            self.password_parallelism.unwrap_or(default.lanes()),
        );
        PasswordService::builder()
            .argon2(params)
            .build()
            .map_err(|error| {
                ConfigError::invalid(format!(
                    "PASSWORD_MEMORY_KIB, PASSWORD_ITERATIONS and PASSWORD_PARALLELISM: {error}"
                ))
            })
    }
}
