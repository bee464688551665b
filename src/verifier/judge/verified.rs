//! [`VerifiedToken`]: the proof that a token was verified, and what the token says.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::challenge::Refusals;
use crate::claims::{NumericDate, is_scope_token, join_scopes};
use crate::clock::{SystemClock, unix_seconds};
use crate::codec::{Payload, Typ};
use crate::error::{AuthError, AuthErrorKind};
use crate::jti;
use crate::keys::digest;
use crate::policy::{Bound, Further, MAX_LEEWAY, Roles};
use crate::revocation::{Revocation, RevocationQuery};
use crate::verifier::ended::World;
use crate::verifier::kind::CredentialKind;
use crate::verifier::proof::{Facts, Proved};
#[cfg(feature = "axum")]
use crate::verifier::typed;
use crate::verifier::typed::TypedClaims;

/// A verified credential and what it says. It has no public constructor, so holding one is the proof.
///
/// Only a [`TokenVerifier`](crate::TokenVerifier) makes one from a token. It is cheap to clone, and all
/// clones share their typed claims, which are parsed once per type. `Debug` shows neither the claims nor the
/// token.
#[derive(Clone)]
pub struct VerifiedToken {
    proved: Proved,
    /// The clock and the revocations of the verifier; `None` while the token is only in its cache.
    world: Option<Arc<dyn World>>,
    /// Whether the signature was checked for an earlier request.
    is_cached: bool,
    pub(super) bound: Bound,
    /// How the layer that let the token through refuses requests; `None` for the default way.
    refusals: Option<Arc<Refusals>>,
}

/// The name that stands for an issuer in the revocations of API keys.
pub(crate) const REVOKED_API_KEYS: &str = "tower-jwt-auth/api-keys";

/// What the judge of a credential other than a JWT has found.
pub(crate) struct Credential {
    pub(crate) kind: CredentialKind,
    /// A JSON object, in which `sub`, `iss`, `jti`, `sid` and `iat` mean what they mean in a JWT.
    pub(crate) claims: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// `None` for a credential that never expires and is valid until it is revoked.
    pub(crate) expires_at: Option<NumericDate>,
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Makes a verified token. Only the judge calls this, after all its checks.
    pub(super) fn of(proved: Proved, bound: Bound) -> Self {
        Self {
            proved,
            world: None,
            is_cached: false,
            bound,
            refusals: None,
        }
    }

    /// Notes how the layer in front refuses requests.
    pub(crate) fn behind(self, refusals: Option<Arc<Refusals>>) -> Self {
        Self { refusals, ..self }
    }

    /// Returns how the layer in front refuses requests.
    pub(crate) fn refusals(&self) -> Option<&Arc<Refusals>> {
        self.refusals.as_ref()
    }

    /// Returns the time by the clock of the verifier, in seconds since the Unix epoch.
    pub(crate) fn now(&self) -> f64 {
        match &self.world {
            Some(world) => unix_seconds(&**world.clock()),
            None => unix_seconds(&SystemClock),
        }
    }

    /// Gives the token the clock and the revocations of its verifier.
    pub(crate) fn in_world(mut self, world: Arc<dyn World>) -> Self {
        self.world = Some(world);
        self
    }

    pub(in crate::verifier) fn world(&self) -> Option<&Arc<dyn World>> {
        self.world.as_ref()
    }

    /// Returns the time for which the token is still accepted after its expiry.
    pub(crate) fn leeway(&self) -> Duration {
        let world = self.world.as_ref();
        world.map_or(Duration::ZERO, |world| world.leeway())
    }

    /// Notes whether the signature was checked for an earlier request.
    pub(crate) fn marked_cached(mut self, is_cached: bool) -> Self {
        self.is_cached = is_cached;
        self
    }

    /// Returns whether the signature was verified for an earlier request and not checked again for this one.
    /// Everything else is checked for each request. For an opaque token, it says whether the answer of the
    /// authorization server came from the cache.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.is_cached
    }

    /// Makes a token from a credential of another kind, which its own judge has accepted.
    ///
    /// Fails if the claims are not a JSON object.
    pub(crate) fn of_credential(credential: Credential) -> Result<Self, AuthError> {
        let scopes = credential.scopes.iter();
        let scope = join_scopes(scopes.filter(|scope| is_scope_token(scope)));
        let proved = Proved::new(Facts {
            kind: credential.kind,
            typ: Typ::Absent,
            payload: Payload::parse(credential.claims, &[])?,
            further: Further::granting(scope, credential.roles),
            expires_at: credential.expires_at,
            proof: None,
            typed: TypedClaims::default(),
            id_by_claims: OnceLock::new(),
        });
        Ok(Self::of(proved, Bound::default()))
    }

    #[cfg(feature = "cache")]
    pub(in crate::verifier) fn proved(&self) -> &Proved {
        &self.proved
    }

    pub(super) fn facts(&self) -> &Facts {
        self.proved.facts()
    }

    /// Returns the kind of credential: a token in this crate's format, one of a provider, an API key, and so
    /// on.
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        self.facts().kind
    }

    /// Returns the claim `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.facts().payload.issuer().text()
    }

    /// Returns the claim `sub`: whom the token is about.
    ///
    /// # Security
    ///
    /// The subject is unique only within its issuer. If several issuers are trusted, identify users by the
    /// pair of [`issuer`](Self::issuer) and subject (RFC 9700 section 4.15, OWASP ASVS 5.0 V6.8.1).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.facts().payload.subject().text()
    }

    /// Returns the claim `jti`: the id of the token itself.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.facts().payload.token_id().text()
    }

    /// Returns the claim `sid`: the session that the token belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.facts().payload.session_id().text()
    }

    /// Returns the claim `gen`: the generation of the session when the token was issued.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.facts().payload.generation()
    }

    /// Returns the scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let Facts {
            payload, further, ..
        } = self.facts();
        further
            .scope
            .as_deref()
            .or_else(|| payload.scope().text())
            .unwrap_or_default()
            .split(' ')
            .filter(|scope| !scope.is_empty())
    }

    /// Returns whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|one| one == scope)
    }

    /// Returns the roles, one by one.
    ///
    /// The roles of a JWT come from the claims that
    /// [`role_claim`](crate::verifier::TokenVerifierBuilder::role_claim) names. By default, that is `roles`
    /// for a token in this crate's format (RFC 9068 section 2.2.3.1), and no claim for tokens of other
    /// providers. An API key has the roles with which it was created.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let Facts {
            payload, further, ..
        } = self.facts();
        let (registered, listed) = match &further.roles {
            Roles::None => (None, &[][..]),
            Roles::Registered => (payload.roles().into_value(), &[][..]),
            Roles::Listed(roles) => (None, &**roles),
        };
        let listed = listed.iter().map(|role| &**role);
        registered.into_iter().flatten().chain(listed)
    }

    /// Returns whether the token has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|one| one == role)
    }

    /// Returns the claim `exp`: when the token expires. A JWT always has it. It can be `None` for other
    /// credentials, such as API keys and opaque tokens.
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.facts().expires_at
    }

    /// Returns the claim `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.facts().payload.issued_at().value().copied()
    }

    /// Returns all claims as a JSON object. For a JWT, it is the text that was signed. For another credential,
    /// such as an API key, it has the claims of the credential in the form of a JWT's.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.facts().payload.json()
    }

    /// Returns the claims as a type of yours. They are parsed at the first call and shared from then on.
    ///
    /// # Errors
    ///
    /// Fails with [`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch) if the claims do not fit the type.
    pub fn claims<C>(&self) -> Result<Arc<C>, AuthError>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let Facts { typed, payload, .. } = self.facts();
        typed
            .shared(payload)
            .map_err(|error| error.told_by(self.refusals()))
    }

    /// Parses the claims into a value that no clone shares, for an extractor.
    #[cfg(feature = "axum")]
    pub(crate) fn read<C: DeserializeOwned>(&self) -> Result<C, AuthError> {
        typed::parse(&self.facts().payload).map_err(|error| error.told_by(self.refusals()))
    }

    /// Returns the entry that revokes this one token, for a [store](crate::revocation::RevocationStore).
    /// Returns `None` if the token never expires or has no `jti`. A token of another provider that has no
    /// `jti` is identified by the SHA-256 of its claims instead.
    #[must_use]
    pub fn revocation(&self) -> Option<Revocation> {
        Some(Revocation::token(
            self.revoked_under(),
            self.revocation_id()?,
            self.accepted_until()?,
        ))
    }

    /// Returns the issuer under which the token is revoked. API keys have a separate name, so that they stay
    /// valid when their owner logs out everywhere.
    fn revoked_under(&self) -> Option<&str> {
        match self.kind() {
            CredentialKind::ApiKey => Some(REVOKED_API_KEYS),
            _ => self.issuer(),
        }
    }

    /// Returns what identifies this one token in a revocation: its `jti` or, for a provider's token without
    /// one, the digest of its claims, which are signed and cannot change.
    fn revocation_id(&self) -> Option<&str> {
        let id = self.token_id();
        if id.is_some_and(|id| !id.is_empty()) || self.kind() != CredentialKind::ProviderToken {
            return id;
        }
        let known = &self.facts().id_by_claims;
        if known.get().is_none() {
            let digest = digest(self.payload().as_bytes())?;
            let _ = known.set(format!("sha-256:{digest}").into());
        }
        known.get().map(AsRef::as_ref)
    }

    /// Returns the time from which no verifier accepts the token any more.
    fn accepted_until(&self) -> Option<SystemTime> {
        self.expires_at()?.to_system_time()?.checked_add(MAX_LEEWAY)
    }

    /// Returns what to ask a revocation store. A token without the claims that this needs is refused, and
    /// never goes unchecked.
    pub(crate) fn revocation_query(&self) -> Result<RevocationQuery<'_>, AuthError> {
        let (Some(subject), Some(token)) = (self.subject(), self.revocation_id()) else {
            return Err(AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token has no `sub` or no `jti`, so it cannot be looked up in the revocation store"));
        };
        let iat = self.issued_at().map_or(0.0, NumericDate::as_secs_f64);
        Ok(RevocationQuery {
            issuer: self.revoked_under(),
            subject,
            session: self.session_id(),
            token,
            issued_at: jti::issued_micros(token, iat),
        })
    }
}

impl VerifiedToken {
    /// Returns what a stream asks about. An authorization server can also be asked about an opaque token
    /// without a subject. A revocation store cannot, so a judge with a store refuses such a token.
    pub(in crate::verifier) fn stream_query(&self) -> Option<RevocationQuery<'_>> {
        let query = self.revocation_query().ok();
        if query.is_some() || self.kind() != CredentialKind::IntrospectedToken {
            return query;
        }
        Some(RevocationQuery {
            issuer: self.revoked_under(),
            ..RevocationQuery::new("", self.token_id()?, 0)
        })
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_an_opaque_credential_are_read_like_those_of_a_jwt() {
        let token = VerifiedToken::of_credential(Credential {
            kind: CredentialKind::IntrospectedToken,
            claims: r#"{"sub":"alice","jti":"key-1","iat":5,"scope":"ignored","aud":7}"#.to_owned(),
            scopes: ["read".into(), "not a scope".into(), "write".into()].into(),
            roles: ["admin".into()].into(),
            expires_at: NumericDate::from_secs_f64(1000.0),
        })
        .unwrap();
        assert_eq!(token.kind(), CredentialKind::IntrospectedToken);
        assert_eq!(token.subject(), Some("alice"));
        assert_eq!(token.scopes().collect::<Vec<_>>(), ["read", "write"]);
        assert!(token.has_role("admin") && !token.has_scope("ignored"));
        assert_eq!(token.expires_at().map(NumericDate::as_secs), Some(1000));
        assert!(token.revocation().is_some());
        let query = token.revocation_query().unwrap();
        assert_eq!((query.subject, query.token), ("alice", "key-1"));
    }

    #[test]
    fn a_credential_whose_claims_are_not_an_object_is_refused() {
        let refused = VerifiedToken::of_credential(Credential {
            kind: CredentialKind::ApiKey,
            claims: "[]".to_owned(),
            scopes: Vec::new(),
            roles: Vec::new(),
            expires_at: None,
        });
        assert_eq!(refused.unwrap_err().kind(), AuthErrorKind::MalformedToken);
    }
}
