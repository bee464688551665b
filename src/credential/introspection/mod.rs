//! [`Introspection`]: verifies opaque tokens by asking their authorization server (RFC 7662).

mod again;
mod answer;
mod asker;
mod builder;
mod client_auth;
mod endpoint;
mod memory;
mod outage;

#[cfg(feature = "cache")]
pub use builder::DEFAULT_INTROSPECTED_TOKENS;
pub use builder::{
    DEFAULT_INTROSPECTION_CACHE_FOR, IntrospectionBuilder, MAX_INTROSPECTION_CACHE_FOR,
};

use std::fmt;
use std::sync::Arc;

use super::{CredentialClaims, CredentialVerifier};
use crate::error::AuthError;
use crate::verifier::VerifiedToken;
use asker::Asker;

/// Verifies opaque tokens by asking their authorization server (RFC 7662).
///
/// ```no_run
/// use tower_jwt_auth::credential::Introspection;
/// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
///
/// # fn example(secret: String) -> Result<(), tower_jwt_auth::ConfigError> {
/// let opaque = Introspection::builder("https://idp.example/")
///     .client_secret_basic("reports-api", secret)
///     .audience("https://api.example")
///     .build()?;
/// let jwts = TokenVerifier::builder()
///     .discover("https://idp.example/")
///     .audience("https://api.example")
///     .build()?;
/// let layer = JwtAuthLayer::new(jwts).credentials(opaque);
/// # let _: JwtAuthLayer = layer; Ok(()) }
/// ```
///
/// By default, it takes every credential that does not have the form of a JWT, so add verifiers of API keys
/// before it. It is cheap to clone, and clones share the cache. It needs a Tokio runtime with its timer
/// enabled.
///
/// # What is checked
///
/// The answer must be a JSON object whose `active` is `true`. Its other members are checked by the rules of a
/// [`TokenVerifier`](crate::TokenVerifier) with the profile
/// [`Compatible`](crate::verifier::TokenProfile::Compatible): `aud` and `iss` as configured, `exp`, `nbf` and
/// `iat` if they are present, and that it is not a refresh token (`token_type`, `token_use`, `typ`). A token
/// that is bound to a key (`cnf`, `token_type: DPoP`) is refused unless the layer [checks the
/// proof](crate::JwtAuthLayer::dpop). Handlers and guards are given a [`VerifiedToken`] whose
/// [`payload`](VerifiedToken::payload) is the answer, with these additions:
///
/// - `sub` is the `client_id` if the answer has neither `sub` nor `username`. Such a token belongs to the
///   client itself, and RFC 9068 section 2.2 uses the client as the subject in this case. A `username` is
///   never used as `sub`, because it is a name for people and may be given to somebody else later (RFC 7662
///   section 2.2).
/// - `jti` is the SHA-256 of the token if the answer has none, so that the token can be revoked here.
/// - `iss` is the configured issuer if the answer has none.
///
/// # Cache and outages
///
/// - **A new token** causes one request to the server, however many requests carry the token at the same
///   time.
/// - **A known token** is answered from the cache for at most [60 seconds](DEFAULT_INTROSPECTION_CACHE_FOR),
///   and never after its `exp`. If it is revoked at the server, it is still accepted for that long.
/// - **A token that is not active** is answered with 401. This is cached for at most 5 seconds, apart from the
///   active tokens, so that invented tokens cannot evict those.
/// - **If the server is down, or answers anything else**, the response is 503 with `Retry-After`, and nothing
///   is cached. After no answer, three unusable ones in a row, or a 429 or 503 with `Retry-After`, the server
///   is asked again by one request at a time, until it answers. The pauses in between are up to 15 seconds
///   long, or as long as `Retry-After` says, which is obeyed up to 60 seconds. All other requests get 503 at
///   once. Cached tokens are not affected.
/// - **A stream** ([`VerifiedToken::ended`]) asks the server again when the answer has left the cache.
///
/// # Security
///
/// The cache contains no tokens, only their SHA-256. An answer may have at most 64 KiB, and must arrive
/// within 5 seconds. At most 64 requests to the server are in progress at once, and at most 1,024 client
/// requests wait. Redirects are not followed.
#[derive(Clone)]
pub struct Introspection {
    asker: Arc<Asker>,
}

// === impl Introspection ===

impl Introspection {
    /// Returns a builder that finds the endpoint through the metadata of this issuer
    /// (`introspection_endpoint`, RFC 8414 section 2). The metadata is fetched for the first token, and must
    /// name the same issuer, byte for byte.
    ///
    /// Answers with another issuer (`iss`) are refused.
    pub fn builder(issuer: impl Into<String>) -> IntrospectionBuilder {
        IntrospectionBuilder::discover(issuer.into())
    }

    /// Returns a builder for this endpoint, such as `https://idp.example/oauth2/introspect`.
    pub fn builder_at(endpoint: impl Into<String>) -> IntrospectionBuilder {
        IntrospectionBuilder::at(endpoint.into())
    }

    fn new(asker: Asker) -> Self {
        Self {
            asker: Arc::new(asker),
        }
    }

    fn claims_of(&self, verified: VerifiedToken) -> CredentialClaims {
        CredentialClaims::of(verified, self.asker.judge.policy.takes_bound_tokens)
    }

    /// Returns the token for handlers, unless it was revoked here.
    fn hand_out(
        &self,
        verified: VerifiedToken,
        credential: &str,
    ) -> Option<Result<CredentialClaims, AuthError>> {
        let verified = again::in_world(verified, &self.asker, credential);
        let verdict = self.asker.judge.revocations.peek(&verified)?;
        Some(verdict.map(|()| self.claims_of(verified)))
    }
}

impl CredentialVerifier for Introspection {
    fn handles(&self, credential: &str) -> bool {
        self.asker.accept_all || !has_form_of_jwt(credential)
    }

    async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        let verified = self.asker.look_up(credential).await?;
        let verified = again::in_world(verified, &self.asker, credential);
        let verdict = self.asker.judge.revocations.judge(verified).finish().await;
        verdict.map(|verified| self.claims_of(verified))
    }

    fn peek(&self, credential: &str) -> Option<Result<CredentialClaims, AuthError>> {
        match self.asker.peek(credential)? {
            Ok(verified) => self.hand_out(verified, credential),
            Err(error) => Some(Err(error)),
        }
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("endpoint", &self.asker.endpoint.name())
            .finish_non_exhaustive()
    }
}

/// Whether a text has three parts of base64url, the first of which begins like a JSON object.
fn has_form_of_jwt(credential: &str) -> bool {
    let is_base64url = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut parts = credential.split('.');
    credential.starts_with("eyJ") && parts.clone().count() == 3 && parts.all(is_base64url)
}

#[cfg(test)]
mod tests {
    use super::has_form_of_jwt;

    #[test]
    fn the_form_of_a_jwt_is_three_parts_of_base64url() {
        for jwt in ["eyJhbGciOiJub25lIn0.eyJ9.c2ln", "eyJ.a.", "eyJ-_9.a-._"] {
            assert!(has_form_of_jwt(jwt), "{jwt}");
        }
        for other in [
            "",
            "opaque",
            "eyJhbGci",
            "eyJ.a",
            "eyJ.a.b.c",
            "eyJ.a.b.c.d",
            "abc.def.ghi",
            "eyJ.a=.b",
            "eyJ.a b.c",
            "key_eyJ.a.b",
        ] {
            assert!(!has_form_of_jwt(other), "{other}");
        }
    }
}
