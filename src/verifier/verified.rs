//! [`VerifiedToken`]: the proof that a token was verified, and what it says.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::claims::{NumericDate, is_scope_token, join_scopes};
use crate::codec::{Field, Header, RegisteredPlaces, Text};
use crate::error::{AuthError, AuthErrorKind};
use crate::jti;
use crate::keys::VerifyingKey;
use crate::policy::{ClaimPath, MAX_LEEWAY, roles_at, scopes_at};
use crate::revocation::{Revocation, RevocationQuery};

/// A token whose signature and claims were found good: to hold one is the proof.
///
/// Only a [`TokenVerifier`](super::TokenVerifier) makes one. Cheap to clone; its typed claims are parsed once
/// per type, however many clones ask. `Debug` shows neither the claims nor the token.
#[derive(Clone)]
pub struct VerifiedToken {
    inner: Arc<Verified>,
}

struct Verified {
    payload: String,
    claims: RegisteredPlaces,
    expires_at: NumericDate,
    elsewhere: Elsewhere,
    /// Where the token is to be known when it comes again.
    #[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is known"))]
    proof: Option<Proof>,
    /// The claims as the type that they were first shared as; rarely is there another.
    typed: OnceLock<Typed>,
    other_types: Mutex<Vec<Typed>>,
}

/// What a token's signature was found good by.
#[cfg_attr(not(feature = "cache"), expect(dead_code, reason = "none is known"))]
pub(super) struct Proof {
    pub(super) key: VerifyingKey,
    /// The same object for all tokens of a key.
    pub(super) header: Arc<Header<'static>>,
}

type Typed = Arc<dyn Any + Send + Sync>;

/// Scopes and roles from where this issuer writes them, if not in `scope` as RFC 9068 has it.
#[derive(Default)]
pub(super) struct Elsewhere {
    scope: Option<Box<str>>,
    roles: Box<[Box<str>]>,
}

// === impl Elsewhere ===

impl Elsewhere {
    pub(super) fn read(
        claims: &Value,
        scope_claims: &[ClaimPath],
        role_claims: &[ClaimPath],
    ) -> Self {
        let scope = (!scope_claims.is_empty()).then(|| {
            let scopes = scopes_at(scope_claims, claims);
            // No scope holds a space (RFC 6749 section 3.3): what does would turn into several.
            let scopes = scopes.iter().filter(|scope| is_scope_token(scope));
            join_scopes(scopes).into()
        });
        let roles = roles_at(role_claims, claims);
        Self { scope, roles }
    }
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Takes claims that were checked, with their places in `payload`.
    pub(super) fn new(
        payload: String,
        claims: RegisteredPlaces,
        elsewhere: Elsewhere,
        proof: Option<Proof>,
    ) -> Result<Self, AuthError> {
        let expires_at = *claims.exp.value().ok_or(AuthErrorKind::InvalidClaim)?;
        let inner = Arc::new(Verified {
            payload,
            claims,
            expires_at,
            elsewhere,
            proof,
            typed: OnceLock::new(),
            other_types: Mutex::default(),
        });
        Ok(Self { inner })
    }

    /// What has proved it, if it is known when it comes again.
    #[cfg(feature = "cache")]
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.inner.proof.as_ref()
    }

    /// The registered claims, to be judged anew.
    #[cfg(feature = "cache")]
    pub(super) fn registered(&self) -> crate::codec::Registered<'_> {
        self.inner.claims.read(&self.inner.payload)
    }

    fn text<'t>(&'t self, field: &'t Field<Text>) -> Option<&'t str> {
        field.value().map(|text| text.read(&self.inner.payload))
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text(&self.inner.claims.iss)
    }

    /// `sub`: whom the token is about.
    ///
    /// # Security
    ///
    /// Unique only within its issuer: where several issuers are trusted, an identity is the
    /// pair of [`issuer`](Self::issuer) and subject (RFC 9700 section 4.15, V6.8.1).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text(&self.inner.claims.sub)
    }

    /// `jti`: the token's own id.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text(&self.inner.claims.jti)
    }

    /// `sid`: the session that the token belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.text(&self.inner.claims.sid)
    }

    /// `gen`: the generation of the session when the token was issued.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.inner.claims.generation
    }

    /// The scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let elsewhere = self.inner.elsewhere.scope.as_deref();
        elsewhere
            .or_else(|| self.text(&self.inner.claims.scope))
            .unwrap_or_default()
            .split(' ')
            .filter(|scope| !scope.is_empty())
    }

    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|one| one == scope)
    }

    /// The roles, from the claims that [`role_claim`](super::TokenVerifierBuilder::role_claim) names.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.inner.elsewhere.roles.iter().map(|role| &**role)
    }

    /// Whether the token has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|one| one == role)
    }

    /// `exp`: when the token expires.
    #[must_use]
    pub fn expires_at(&self) -> NumericDate {
        self.inner.expires_at
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.inner.claims.iat.value().copied()
    }

    /// All claims, as the JSON text that was signed.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.inner.payload
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
        let Verified {
            typed, other_types, ..
        } = &*self.inner;
        let as_type = |claims: &Typed| Arc::clone(claims).downcast::<C>().ok();
        if let Some(claims) = typed.get().and_then(as_type) {
            return Ok(claims);
        }
        let mut others = other_types.lock().unwrap_or_else(PoisonError::into_inner);
        // By now another thread may have put it here or there.
        let known = typed.get().into_iter().chain(&*others).find_map(as_type);
        if let Some(claims) = known {
            return Ok(claims);
        }
        let claims = Arc::new(self.read::<C>()?);
        if let Err(claims) = typed.set(Arc::clone(&claims) as Typed) {
            others.push(claims);
        }
        Ok(claims)
    }

    /// Parses the claims, for an extractor that takes them away.
    pub(crate) fn read<C: DeserializeOwned>(&self) -> Result<C, AuthError> {
        let payload = self.payload();
        serde_json::from_str(payload)
            .map_err(|error| AuthError::claims_mismatch::<C>(&error, payload))
    }

    /// The entry that revokes this one token; none if it has no `jti`.
    #[must_use]
    pub fn revocation(&self) -> Option<Revocation> {
        Some(Revocation::token(
            self.issuer(),
            self.token_id()?,
            self.accepted_until()?,
        ))
    }

    /// When no verifier accepts the token any more.
    fn accepted_until(&self) -> Option<SystemTime> {
        self.expires_at().to_system_time()?.checked_add(MAX_LEEWAY)
    }

    /// What to look for; a token that lacks what the look-up needs is refused, never passed over.
    pub(super) fn revocation_query(&self) -> Result<RevocationQuery<'_>, AuthError> {
        let (Some(subject), Some(token)) = (self.subject(), self.token_id()) else {
            return Err(AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token lacks `sub` or `jti`, without which it cannot be revoked"));
        };
        let iat = self.issued_at().map_or(0.0, NumericDate::as_secs_f64);
        Ok(RevocationQuery {
            issuer: self.issuer(),
            subject,
            session: self.session_id(),
            token,
            issued_at: jti::issued_micros(token, iat),
        })
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").finish_non_exhaustive()
    }
}
