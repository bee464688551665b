//! The settings of [`TokenVerifierBuilder`] for the values that claims may have.

use super::builder::TokenVerifierBuilder;
use crate::policy::{ClaimPath, ClaimRule};

// === impl TokenVerifierBuilder ===

impl TokenVerifierBuilder {
    /// Refuses tokens in which this claim is missing or is not one of these strings, for example a `token_type`
    /// other than `access`. A path with dots leads into nested objects. Call it again for another claim.
    ///
    /// ```
    /// use tower_jwt_auth::TokenVerifier;
    /// use tower_jwt_auth::verifier::TokenProfile;
    /// # use tower_jwt_auth::{Algorithm, SigningKey};
    /// # let key = SigningKey::generate(Algorithm::ES256)?.verifying_key();
    ///
    /// let verifier = TokenVerifier::builder().keys(key)
    ///     .issuer("https://django.example")
    ///     .audience("shop-api")
    ///     .profile(TokenProfile::Compatible)
    ///     .claim_one_of("token_type", ["access"])
    ///     .build()?;
    /// # let _ = verifier;
    /// # Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    pub fn claim_one_of<V: Into<String>>(
        self,
        path: impl AsRef<str>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.claim_rule(path.as_ref(), values, true)
    }

    /// Refuses tokens in which this claim is present but is not one of these strings. Unlike
    /// [`claim_one_of`](Self::claim_one_of), it accepts tokens without the claim; `null` counts as absent.
    pub fn claim_one_of_if_present<V: Into<String>>(
        self,
        path: impl AsRef<str>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.claim_rule(path.as_ref(), values, false)
    }

    fn claim_rule<V: Into<String>>(
        mut self,
        path: &str,
        values: impl IntoIterator<Item = V>,
        required: bool,
    ) -> Self {
        let values = values.into_iter().map(|value| value.into().into());
        self.claim_rules.push(ClaimRule {
            path: ClaimPath::new(path),
            values: values.collect(),
            required,
        });
        self
    }
}
