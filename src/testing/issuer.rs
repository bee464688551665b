//! [`TestIssuer`]: an issuer for tests, with its own key, a clock that can be moved, and ready tokens.

use std::time::Duration;

use http::HeaderValue;

use crate::clock::ManualClock;
use crate::error::ConfigError;
use crate::issuer::{IssueError, TokenIssuer};
use crate::keys::{Algorithm, SigningKey};
use crate::verifier::TokenVerifier;

/// An issuer for tests. The issuer is `test-issuer`, the audience is `test-audience`, the key is
/// random, and the clock stands still at the time of its creation until it is moved.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::JwtAuthLayer;
/// use tower_jwt_auth::testing::TestIssuer;
///
/// let test = TestIssuer::new()?;
/// let layer = JwtAuthLayer::new(test.verifier()); // in front of the routes under test
/// let token = test.tokens().access("alice").scope("read").issue()?;
/// assert!(test.verifier().verify_local(&token).is_ok());
///
/// test.clock().advance(Duration::from_secs(3600));
/// assert!(test.verifier().verify_local(&token).is_err());
/// # let _ = layer; Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestIssuer {
    tokens: TokenIssuer,
    stranger: TokenIssuer,
    key: SigningKey,
    clock: ManualClock,
}

// === impl TestIssuer ===

impl TestIssuer {
    /// Creates an issuer with a new random key for HS256.
    ///
    /// # Errors
    ///
    /// Fails if the system's random number generator fails.
    pub fn new() -> Result<Self, ConfigError> {
        Self::with_algorithm(Algorithm::HS256)
    }

    /// Creates an issuer with a new random key for this algorithm.
    ///
    /// # Errors
    ///
    /// Fails if the system's random number generator fails.
    pub fn with_algorithm(algorithm: Algorithm) -> Result<Self, ConfigError> {
        let clock = ManualClock::at_now();
        let issuer = |key: SigningKey| {
            TokenIssuer::builder(key)
                .issuer("test-issuer")
                .audience("test-audience")
                .clock(clock.clone())
                .build()
        };
        let key = SigningKey::generate(algorithm)?;
        Ok(Self {
            tokens: issuer(key.clone())?,
            stranger: issuer(SigningKey::generate(algorithm)?)?,
            key,
            clock: clock.clone(),
        })
    }

    /// Returns the key that the issuer signs with.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Returns the issuer.
    #[must_use]
    pub fn tokens(&self) -> &TokenIssuer {
        &self.tokens
    }

    /// Returns the verifier for the layer under test.
    #[must_use]
    pub fn verifier(&self) -> TokenVerifier {
        self.tokens.verifier()
    }

    /// Returns the clock of the issuer and its verifiers.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Returns the value of an `Authorization` header with an access token for this subject.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`TokenRequest::issue`](crate::issuer::TokenRequest::issue).
    pub fn authorization(&self, sub: &str) -> Result<HeaderValue, IssueError> {
        let token = self.tokens.access(sub).issue()?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| IssueError::Internal)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Returns an access token that has expired, even for the largest leeway.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`TokenRequest::issue`](crate::issuer::TokenRequest::issue).
    pub fn expired(&self, sub: &str) -> Result<String, IssueError> {
        let now = crate::clock::Clock::now(&self.clock);
        self.clock.set(now - Duration::from_secs(3600));
        let token = self.tokens.access(sub).ttl(Duration::from_secs(1)).issue();
        self.clock.set(now);
        token
    }

    /// Returns an access token for this subject with the usual claims, signed with a key that no verifier
    /// trusts.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`TokenRequest::issue`](crate::issuer::TokenRequest::issue).
    pub fn forged(&self, sub: &str) -> Result<String, IssueError> {
        self.stranger.access(sub).issue()
    }
}

#[cfg(test)]
mod tests {
    use super::TestIssuer;
    use crate::error::AuthErrorKind;
    use crate::keys::Algorithm;

    #[test]
    fn tokens_are_valid_expired_or_forged_as_named() {
        for algorithm in Algorithm::ALL {
            check(&TestIssuer::with_algorithm(algorithm).unwrap());
        }
        check(&TestIssuer::new().unwrap());
    }

    fn check(test: &TestIssuer) {
        let kind = |token: &str| {
            test.verifier()
                .verify_local(token)
                .map_err(|error| error.kind())
        };
        assert_eq!(
            kind(&test.expired("a").unwrap()).unwrap_err(),
            AuthErrorKind::Expired
        );
        assert_eq!(
            kind(&test.forged("a").unwrap()).unwrap_err(),
            AuthErrorKind::InvalidSignature
        );
        let value = test.authorization("a").unwrap();
        let token = value
            .to_str()
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap()
            .to_owned();
        assert_eq!(kind(&token).unwrap().subject(), Some("a"));
    }
}
