//! [`CredentialClaims`]: the result of a verifier that has accepted a credential.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::claims::{NumericDate, is_scope_token};
use crate::clock::{Clock, SystemClock};
use crate::error::{AuthError, AuthErrorKind};
use crate::policy::Possession;
use crate::revocation::DynRevocationStore;
use crate::verifier::{Credential, CredentialKind, VerifiedToken, World};

/// What a [`CredentialVerifier`](super::CredentialVerifier) returns for a credential that it accepts: whose
/// the credential is, and what it allows. `Debug` does not show the claims.
///
/// It is cheap to clone, so that a verifier can cache it. Claims that have expired when they are used are
/// refused.
#[derive(Clone)]
pub struct CredentialClaims {
    token: VerifiedToken,
    /// Whether the credential is accepted without a proof of what it is bound to.
    takes_unproved: bool,
}

/// Builds [`CredentialClaims`]; made by [`CredentialClaims::builder`].
#[must_use = "a builder does nothing until `build()`"]
#[derive(Clone)]
pub struct CredentialClaimsBuilder {
    kind: CredentialKind,
    claims: Map<String, Value>,
    scopes: Vec<String>,
    roles: Vec<String>,
    expires_at: Option<SystemTime>,
    world: Arc<dyn World>,
    problem: Option<&'static str>,
}

/// The clock of a credential whose verifier has neither a clock nor a revocation store of its own.
#[derive(Debug)]
struct PlainWorld {
    clock: Arc<dyn Clock>,
}

static PLAIN: LazyLock<Arc<PlainWorld>> = LazyLock::new(|| {
    Arc::new(PlainWorld {
        clock: Arc::new(SystemClock),
    })
});

/// The names that have a setter of their own.
const SET_OTHERWISE: [&str; 8] = ["sub", "iss", "jti", "sid", "iat", "exp", "scope", "roles"];

// === impl CredentialClaims ===

impl CredentialClaims {
    /// Returns a builder for a credential that belongs to this subject.
    pub fn builder(subject: impl Into<String>) -> CredentialClaimsBuilder {
        CredentialClaimsBuilder {
            kind: CredentialKind::Other,
            claims: Map::from_iter([("sub".to_owned(), Value::String(subject.into()))]),
            scopes: Vec::new(),
            roles: Vec::new(),
            expires_at: None,
            world: Arc::clone(&PLAIN) as Arc<dyn World>,
            problem: None,
        }
    }

    /// Makes claims from a token of another verifier of this crate.
    #[cfg(feature = "jwks")]
    pub(super) fn of(token: VerifiedToken, takes_unproved: bool) -> Self {
        Self {
            token,
            takes_unproved,
        }
    }

    /// Returns the subject that the credential belongs to.
    #[cfg(feature = "cache")]
    pub(super) fn subject(&self) -> Option<&str> {
        self.token.subject()
    }

    /// Returns the token for handlers. Fails if it has expired, or if the client has not proved possession of
    /// what it is bound to.
    pub(crate) fn verified(self, held: &Possession) -> Result<VerifiedToken, AuthError> {
        let token = self.token;
        let leeway = token.leeway().as_secs_f64();
        let is_over = |expiry: NumericDate| token.now() >= expiry.as_secs_f64() + leeway;
        if token.expires_at().is_some_and(is_over) {
            return Err(AuthErrorKind::Expired.into());
        }
        token.held_by(held, self.takes_unproved)
    }

    /// Returns the token, even if it has expired.
    pub(super) fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// Gives the claims another clock and other revocations, which must not be in the cache of the verifier.
    pub(super) fn in_world(self, world: Arc<dyn World>) -> Self {
        Self {
            token: self.token.in_world(world),
            ..self
        }
    }
}

impl fmt::Debug for CredentialClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialClaims").finish_non_exhaustive()
    }
}

// === impl CredentialClaimsBuilder ===

impl CredentialClaimsBuilder {
    /// Sets the issuer (`iss`). A subject is unique only within its issuer.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.set("iss", issuer.into().into())
    }

    /// Sets the id of the credential (`jti`), by which it can be revoked. It must not be the credential
    /// itself.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.set("jti", id.into().into())
    }

    /// Sets the session (`sid`) that the credential belongs to.
    pub fn session(self, session: impl Into<String>) -> Self {
        self.set("sid", session.into().into())
    }

    /// Sets the time at which the credential was issued (`iat`).
    pub fn issued_at(self, time: SystemTime) -> Self {
        let seconds = NumericDate::from(time).as_secs();
        self.set("iat", seconds.into())
    }

    /// Sets the time from which the credential is refused (`exp`). Without it, the credential is valid until
    /// its verifier refuses it.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Sets the clock by which the expiry is checked: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        let clock = Arc::new(clock);
        self.world = Arc::new(PlainWorld { clock });
        self
    }

    /// Adds a scope, or several that are separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        for scope in scope.as_ref().split(' ').filter(|scope| !scope.is_empty()) {
            if is_scope_token(scope) {
                self.scopes.push(scope.to_owned());
            } else {
                self.problem =
                    Some("a scope contains a character that RFC 6749 section 3.3 forbids");
            }
        }
        self
    }

    /// Adds several scopes.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        scopes
            .into_iter()
            .fold(self, |claims, scope| claims.scope(scope))
    }

    /// Adds a role. An empty string is ignored.
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        let role = role.as_ref();
        if !role.is_empty() {
            self.roles.push(role.to_owned());
        }
        self
    }

    /// Adds several roles.
    pub fn roles<S: AsRef<str>>(self, roles: impl IntoIterator<Item = S>) -> Self {
        roles
            .into_iter()
            .fold(self, |claims, role| claims.role(role))
    }

    /// Adds a claim that handlers and guards can read. Registered claims have setters of their own.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        if SET_OTHERWISE.contains(&&*name) {
            self.problem =
                Some("a registered claim has a setter of its own: use that instead of `claim`");
            return self;
        }
        match serde_json::to_value(value) {
            Ok(value) => self.set(&name, value),
            Err(_) => {
                self.problem = Some("a claim cannot be written as JSON");
                self
            }
        }
    }

    /// Builds the claims.
    ///
    /// # Errors
    ///
    /// Fails with [`Internal`](AuthErrorKind::Internal) if a scope is malformed, or if a claim cannot be
    /// written as JSON, is nested too deeply, or has a setter of its own.
    pub fn build(mut self) -> Result<CredentialClaims, AuthError> {
        if let Some(problem) = self.problem {
            return Err(AuthError::new(AuthErrorKind::Internal).with_source(problem));
        }
        if !self.scopes.is_empty() {
            self.claims
                .insert("scope".into(), self.scopes.join(" ").into());
        }
        if !self.roles.is_empty() {
            self.claims
                .insert("roles".into(), self.roles.clone().into());
        }
        let expires_at = self.expires_at.map(NumericDate::from);
        if let Some(expiry) = expires_at {
            self.claims.insert("exp".into(), expiry.as_secs().into());
        }
        let token = VerifiedToken::of_credential(Credential {
            kind: self.kind,
            claims: Value::Object(self.claims).to_string(),
            scopes: self.scopes,
            roles: self.roles,
            expires_at,
        })
        .map_err(|error| AuthError::new(AuthErrorKind::Internal).with_source(error))?;
        Ok(CredentialClaims {
            token: token.in_world(self.world),
            takes_unproved: false,
        })
    }

    /// Marks the credential as an API key, so that guards can refuse API keys. Without this, its
    /// [`kind`](crate::VerifiedToken::kind) is [`Other`](crate::verifier::CredentialKind::Other).
    ///
    /// Call it in a verifier that wraps [`ApiKeys`](super::api_keys::ApiKeys), for example to remove scopes
    /// that the owner has lost.
    pub fn api_key(self) -> Self {
        self.kind(CredentialKind::ApiKey)
    }

    /// Sets the kind of the credential.
    pub(super) const fn kind(mut self, kind: CredentialKind) -> Self {
        self.kind = kind;
        self
    }

    fn set(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name.to_owned(), value);
        self
    }
}

impl fmt::Debug for CredentialClaimsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialClaimsBuilder")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

// === impl PlainWorld ===

impl World for PlainWorld {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>> {
        None
    }
}
