//! [`VerifiedToken`]: the proof that a token was verified, and what it says.

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

/// A credential that was verified, and what it says: to hold one is the proof.
///
/// Only a [`TokenVerifier`](crate::TokenVerifier) makes one of a token. It is cheap to clone; its typed claims are
/// parsed once per type, however many clones ask. `Debug` shows neither the claims nor the token.
#[derive(Clone)]
pub struct VerifiedToken {
    proved: Proved,
    /// What the verifier knows of the world; none while the token is only remembered.
    world: Option<Arc<dyn World>>,
    /// Whether its signature was found good when it came before.
    is_remembered: bool,
    pub(super) bound: Bound,
    /// How the layer that let the token through refuses requests; `None` if it is as by default.
    refusals: Option<Arc<Refusals>>,
}

/// The name in the place of an issuer, under which API keys are revoked.
pub(crate) const REVOKED_API_KEYS: &str = "tower-jwt-auth/api-keys";

/// What the judge of a credential that is not a JWT has found out.
pub(crate) struct Credential {
    pub(crate) kind: CredentialKind,
    /// A JSON object, in which `sub`, `iss`, `jti`, `sid` and `iat` mean what they mean in a JWT.
    pub(crate) claims: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// None for a credential that ends only when somebody ends it.
    pub(crate) expires_at: Option<NumericDate>,
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Only for the judge, which has just judged it.
    pub(super) fn of(proved: Proved, bound: Bound) -> Self {
        Self {
            proved,
            world: None,
            is_remembered: false,
            bound,
            refusals: None,
        }
    }

    /// The same token, behind a layer that refuses requests in this way.
    pub(crate) fn behind(self, refusals: Option<Arc<Refusals>>) -> Self {
        Self { refusals, ..self }
    }

    /// How the layer in front refuses requests.
    pub(crate) fn refusals(&self) -> Option<&Arc<Refusals>> {
        self.refusals.as_ref()
    }

    /// The time by the clock of the verifier, in seconds since the epoch.
    pub(crate) fn now(&self) -> f64 {
        match &self.world {
            Some(world) => unix_seconds(&**world.clock()),
            None => unix_seconds(&SystemClock),
        }
    }

    /// The same token, as the verifier hands it out.
    pub(crate) fn in_world(mut self, world: Arc<dyn World>) -> Self {
        self.world = Some(world);
        self
    }

    pub(in crate::verifier) fn world(&self) -> Option<&Arc<dyn World>> {
        self.world.as_ref()
    }

    /// How long after its expiry the token is still accepted.
    pub(crate) fn leeway(&self) -> Duration {
        let world = self.world.as_ref();
        world.map_or(Duration::ZERO, |world| world.leeway())
    }

    /// The same token, whose signature was checked when it came before, or now.
    pub(crate) fn remembered(mut self, is_remembered: bool) -> Self {
        self.is_remembered = is_remembered;
        self
    }

    /// Returns whether the signature was found good when the token came before, and was not checked
    /// again. Everything else is always judged anew. For an opaque token, it says whether the answer of
    /// the authorization server was in the cache.
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        self.is_remembered
    }

    /// Takes what the judge of another kind of credential has found good.
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

    /// Returns by what the caller was proved: a token of this crate's form, or one of a provider.
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        self.facts().kind
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.facts().payload.issuer().text()
    }

    /// `sub`: whom the token is about.
    ///
    /// # Security
    ///
    /// Unique only within its issuer: where several issuers are trusted, an identity is the
    /// pair of [`issuer`](Self::issuer) and subject (RFC 9700 section 4.15, V6.8.1).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.facts().payload.subject().text()
    }

    /// `jti`: the token's own id.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.facts().payload.token_id().text()
    }

    /// `sid`: the session that the token belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.facts().payload.session_id().text()
    }

    /// `gen`: the generation of the session when the token was issued.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.facts().payload.generation()
    }

    /// The scopes, one by one.
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

    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|one| one == scope)
    }

    /// Returns the roles: of a token of this crate's form from the claim `roles` (RFC 9068 section
    /// 2.2.3.1), or from the claims that
    /// [`role_claim`](crate::verifier::TokenVerifierBuilder::role_claim) names.
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

    /// Whether the token has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|one| one == role)
    }

    /// `exp`: when the token expires. A JWT always does; an API key may not.
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.facts().expires_at
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.facts().payload.issued_at().value().copied()
    }

    /// All claims, as the JSON text that was signed.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.facts().payload.json()
    }

    /// The claims as a type of yours; parsed at the first call, shared from then on.
    ///
    /// # Errors
    ///
    /// [`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch): the claims do not fit the type.
    pub fn claims<C>(&self) -> Result<Arc<C>, AuthError>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let Facts { typed, payload, .. } = self.facts();
        typed
            .shared(payload.json())
            .map_err(|error| error.told_by(self.refusals()))
    }

    /// Parses the claims, for an extractor that takes them away.
    #[cfg(feature = "axum")]
    pub(crate) fn read<C: DeserializeOwned>(&self) -> Result<C, AuthError> {
        typed::parse(self.payload()).map_err(|error| error.told_by(self.refusals()))
    }

    /// The entry that revokes this one token; none if it never expires, or has no `jti`. A token of another
    /// provider that has no `jti` is named by the SHA-256 of its claims instead.
    #[must_use]
    pub fn revocation(&self) -> Option<Revocation> {
        Some(Revocation::token(
            self.revoked_under(),
            self.revocation_id()?,
            self.accepted_until()?,
        ))
    }

    /// The name under which revocations of it are kept: that of the issuer, and for API keys a name of
    /// their own, so that "log out everywhere" of their owner does not end them.
    fn revoked_under(&self) -> Option<&str> {
        match self.kind() {
            CredentialKind::ApiKey => Some(REVOKED_API_KEYS),
            _ => self.issuer(),
        }
    }

    /// What names this one token in a revocation: its `jti`, or for a provider's token without one the
    /// digest of its claims, which are signed and stay the same.
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

    /// When no verifier accepts the token any more.
    fn accepted_until(&self) -> Option<SystemTime> {
        self.expires_at()?.to_system_time()?.checked_add(MAX_LEEWAY)
    }

    /// What to look for; a token that lacks what the look-up needs is refused, never passed over.
    pub(crate) fn revocation_query(&self) -> Result<RevocationQuery<'_>, AuthError> {
        let (Some(subject), Some(token)) = (self.subject(), self.revocation_id()) else {
            return Err(AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token lacks `sub` or `jti`, without which it cannot be revoked"));
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

// What a stream asks about. The server that has vouched for an opaque token can be asked about one without a
// subject, too; a revocation store cannot, so its judge refuses such a token.
impl VerifiedToken {
    pub(in crate::verifier) fn stream_query(&self) -> Option<RevocationQuery<'_>> {
        let query = self.revocation_query().ok();
        if query.is_some() || self.kind() != CredentialKind::Introspection {
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
    fn a_credential_that_is_no_jwt_is_read_like_one() {
        let token = VerifiedToken::of_credential(Credential {
            kind: CredentialKind::Introspection,
            claims: r#"{"sub":"alice","jti":"key-1","iat":5,"scope":"ignored","aud":7}"#.to_owned(),
            scopes: ["read".into(), "not a scope".into(), "write".into()].into(),
            roles: ["admin".into()].into(),
            expires_at: NumericDate::from_secs_f64(1000.0),
        })
        .unwrap();
        assert_eq!(token.kind(), CredentialKind::Introspection);
        assert_eq!(token.subject(), Some("alice"));
        assert_eq!(token.scopes().collect::<Vec<_>>(), ["read", "write"]);
        assert!(token.has_role("admin") && !token.has_scope("ignored"));
        assert_eq!(token.expires_at().map(NumericDate::as_secs), Some(1000));
        assert!(token.revocation().is_some());
        let query = token.revocation_query().unwrap();
        assert_eq!((query.subject, query.token), ("alice", "key-1"));
    }

    #[test]
    fn a_credential_whose_claims_are_no_object_is_refused() {
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
