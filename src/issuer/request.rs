//! [`TokenRequest`]: one token, described and then issued.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::IssueError;
use super::{Inner, MAX_TTL, TokenIssuer};
use crate::claims::{NumericDate, RESERVED_CLAIMS, TokenType, is_scope_token, join_scopes};
use crate::codec::{self, Payload};
use crate::dpop::DpopProof;
use crate::jti;
use crate::keys::SigningKey;
use crate::mtls::ClientCertificate;
use crate::policy::ROLES;

/// An upper limit for the bytes of a token besides its payload: a header with a long key id, and the signature
/// of a 4096-bit RSA key.
const ROOM_BESIDE_PAYLOAD: usize = 1200;

/// A token that is about to be issued; see [`TokenIssuer::access`] and [`TokenIssuer::refresh`].
#[must_use = "no token is issued until `issue()`"]
#[derive(Clone)]
pub struct TokenRequest<'a> {
    pub(super) issuer: &'a TokenIssuer,
    pub(super) token_type: TokenType,
    pub(crate) subject: String,
    pub(crate) ttl: Duration,
    pub(crate) scopes: Vec<String>,
    pub(crate) session: Option<String>,
    /// The generation, if the token belongs to a session of `Sessions`.
    pub(crate) generation: Option<u64>,
    /// In seconds since the epoch.
    pub(crate) auth_time: Option<u64>,
    /// The thumbprint of the key that the token is bound to (`cnf.jkt`).
    pub(crate) key: Option<String>,
    /// The thumbprint of the certificate that the token is bound to (`cnf.x5t#S256`).
    pub(crate) certificate: Option<String>,
    pub(crate) claims: Map<String, Value>,
    pub(super) problem: Option<IssueError>,
}

// === impl TokenRequest ===

impl<'a> TokenRequest<'a> {
    /// Adds a custom claim. Names that the issuer sets itself are [reserved](RESERVED_CLAIMS).
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => self.add(name, value),
            Err(_) => self.fail(IssueError::InvalidClaim(name)),
        }
        self
    }

    /// Adds the fields of a struct or the entries of a map, each as a custom claim.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => {
                for (name, value) in claims {
                    self.add(name, value);
                }
            }
            _ => self.fail(IssueError::InvalidClaims),
        }
        self
    }

    /// Adds a scope, or several that are separated by spaces. An empty text adds no scope.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        for scope in scope.as_ref().split(' ').filter(|scope| !scope.is_empty()) {
            if is_scope_token(scope) {
                self.scopes.push(scope.to_owned());
            } else {
                self.fail(IssueError::InvalidScope);
            }
        }
        self
    }

    /// Adds several scopes.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        scopes
            .into_iter()
            .fold(self, |request, scope| request.scope(scope))
    }

    /// Adds a role to the claim `roles` (RFC 9068 section 2.2.3.1), from which verifiers of this
    /// crate's tokens read [`VerifiedToken::roles`](crate::VerifiedToken::roles). An empty text adds
    /// no role.
    ///
    /// ```
    /// # use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
    /// # let key = SigningKey::generate(Algorithm::EdDSA)?;
    /// # let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
    /// let token = tokens.access("alice").role("admin").issue()?;
    /// assert!(tokens.verifier().verify_local(&token)?.has_role("admin"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        let role = role.as_ref();
        if role.is_empty() {
            return self;
        }
        let roles = self.claims.entry(ROLES);
        let roles = roles.or_insert_with(|| Value::Array(Vec::new()));
        if let Value::String(one) = roles {
            *roles = Value::Array(vec![std::mem::take(one).into()]);
        }
        match roles {
            Value::Array(roles) => roles.push(role.into()),
            _ => self.fail(IssueError::InvalidClaim(ROLES.to_owned())),
        }
        self
    }

    /// Adds several roles.
    pub fn roles<S: AsRef<str>>(self, roles: impl IntoIterator<Item = S>) -> Self {
        roles
            .into_iter()
            .fold(self, |request, role| request.role(role))
    }

    /// Sets the session (`sid`) that the token belongs to.
    pub fn session(mut self, sid: impl Into<String>) -> Self {
        self.session = Some(sid.into());
        self
    }

    /// Sets the lifetime of this token, in whole seconds, instead of the issuer's default. A fraction of a
    /// second is dropped.
    ///
    /// The limit is [`max_access_ttl`](super::TokenIssuerBuilder::max_access_ttl) for an
    /// access token, and [`refresh_ttl`](super::TokenIssuerBuilder::refresh_ttl) for a refresh
    /// token. So a revocation outlives every token that it covers.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets the time at which the user logged in, as `auth_time`.
    pub fn auth_time(mut self, time: SystemTime) -> Self {
        self.auth_time = Some(NumericDate::from(time).as_secs());
        self
    }

    /// Binds the token to the key of a DPoP proof (RFC 9449 section 6), so that it is accepted only with
    /// proofs by this key. `None` leaves it a bearer token. The proof must be
    /// [marked as used](DpopProof::mark_used). The type of the token in a token response is `DPoP`.
    ///
    /// ```
    /// use http::Request;
    /// use tower_jwt_auth::TokenIssuer;
    /// use tower_jwt_auth::dpop::Dpop;
    ///
    /// async fn token_for<B>(
    ///     tokens: &TokenIssuer,
    ///     dpop: &Dpop,
    ///     request: &Request<B>,
    /// ) -> Result<String, Box<dyn std::error::Error>> {
    ///     let proof = dpop.verify_proof(request.method(), request.uri(), request.headers())?;
    ///     proof.mark_used().await?;
    ///     Ok(tokens.access("machine-7").dpop(&proof).issue()?)
    /// }
    /// ```
    pub fn dpop<'p>(mut self, proof: impl Into<Option<&'p DpopProof>>) -> Self {
        if let Some(proof) = proof.into() {
            if !proof.is_used() {
                self.fail(IssueError::ProofNotMarkedUsed);
            }
            self.key = Some(proof.thumbprint().to_owned());
        }
        self
    }

    /// Binds the token to a client certificate (RFC 8705 section 3), so that it is accepted only over
    /// connections with this certificate.
    pub fn client_certificate(mut self, certificate: &ClientCertificate) -> Self {
        self.certificate = Some(certificate.thumbprint());
        self
    }

    /// Issues the token.
    ///
    /// # Errors
    ///
    /// Fails if a claim is reserved or not serializable, a scope is malformed, the subject is empty, the
    /// lifetime is out of range, the proof that the token is bound to is not marked as used, the token would
    /// be too long to be accepted, or the token cannot be signed. [`IssueError`] lists all cases.
    pub fn issue(self) -> Result<String, IssueError> {
        check_ttl(self.ttl)?;
        let Inner {
            max_access_ttl,
            refresh_ttl,
            ..
        } = &*self.issuer.inner;
        let longest = match self.token_type {
            TokenType::Access => *max_access_ttl,
            TokenType::Refresh => *refresh_ttl,
        };
        if self.ttl > longest {
            return Err(IssueError::InvalidLifetime);
        }
        let stamp = self.issuer.stamp();
        self.issue_stamped(stamp)
    }

    /// Issues the token at the time `stamp`, in microseconds, with which its id begins.
    pub(crate) fn issue_stamped(self, stamp: u64) -> Result<String, IssueError> {
        let exp = (stamp / 1_000_000).saturating_add(self.ttl.as_secs());
        self.issue_at(stamp, exp, jti::new_id(stamp).ok_or(IssueError::Internal)?)
    }

    /// Fails if a claim or scope was invalid, or if the subject is empty.
    pub(crate) fn check(&self) -> Result<(), IssueError> {
        match &self.problem {
            Some(problem) => Err(problem.clone()),
            None if self.subject.is_empty() => Err(IssueError::EmptySubject),
            None => Ok(()),
        }
    }

    /// Returns the key to sign with, and the payload.
    fn prepare(
        self,
        stamp: u64,
        exp: u64,
        token_id: String,
    ) -> Result<(Cow<'a, SigningKey>, String), IssueError> {
        self.check()?;
        let Inner {
            keys,
            issuer,
            audience,
            ..
        } = &*self.issuer.inner;
        let now = stamp / 1_000_000;
        let mut claims = self.claims;
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        if let Some(issuer) = issuer {
            set("iss", issuer.as_str().into());
        }
        if !audience.is_empty() {
            set(
                "aud",
                serde_json::to_value(audience).map_err(|_| IssueError::Internal)?,
            );
        }
        set("sub", self.subject.into());
        set("iat", now.into());
        set("nbf", now.into());
        set("exp", exp.into());
        set("jti", token_id.into());
        set("type", self.token_type.as_str().into());
        if !self.scopes.is_empty() {
            set("scope", join_scopes(self.scopes).into());
        }
        if let Some(session) = self.session {
            set("sid", session.into());
        }
        if let Some(generation) = self.generation {
            set("gen", generation.into());
        }
        if let Some(auth_time) = self.auth_time {
            set("auth_time", auth_time.into());
        }
        let bound_to = [("jkt", self.key), ("x5t#S256", self.certificate)];
        let bound_to = bound_to
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
        let bound_to: Map<_, _> = bound_to.collect();
        if !bound_to.is_empty() {
            claims.insert("cnf".to_owned(), Value::Object(bound_to));
        }
        let payload = Value::Object(claims).to_string();
        let payload = Payload::parse(payload, &[])
            .map_err(|_| IssueError::InvalidClaims)?
            .into_json();
        Ok((keys.current().map_err(|_| IssueError::Internal)?, payload))
    }

    /// Fails in the same cases as `issue_at`. It signs the token only if the token may be too long.
    pub(crate) fn check_issuable(self, stamp: u64) -> Result<(), IssueError> {
        let id = jti::new_id(stamp).ok_or(IssueError::Internal)?;
        let token_type = self.token_type;
        let (key, payload) = self.prepare(stamp, stamp / 1_000_000, id)?;
        let base64 = payload.len().div_ceil(3) * 4;
        if base64 + ROOM_BESIDE_PAYLOAD <= codec::MAX_TOKEN_BYTES {
            return Ok(());
        }
        sign(&key, token_type, &payload).map(drop)
    }

    /// Issues the token at the time `stamp`, in microseconds. `exp` is in seconds.
    pub(crate) fn issue_at(
        self,
        stamp: u64,
        exp: u64,
        token_id: String,
    ) -> Result<String, IssueError> {
        let token_type = self.token_type;
        let (key, payload) = self.prepare(stamp, exp, token_id)?;
        sign(&key, token_type, &payload)
    }

    fn add(&mut self, name: String, value: Value) {
        if RESERVED_CLAIMS.contains(&name.as_str()) {
            self.fail(IssueError::ReservedClaim(name));
        } else {
            self.claims.insert(name, value);
        }
    }

    /// Keeps the first problem, which `issue` returns.
    fn fail(&mut self, problem: IssueError) {
        self.problem.get_or_insert(problem);
    }
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("token_type", &self.token_type)
            .finish_non_exhaustive()
    }
}

fn sign(key: &SigningKey, token_type: TokenType, payload: &str) -> Result<String, IssueError> {
    let token = codec::sign(key, token_type.header_typ(), payload.as_bytes())
        .map_err(|_| IssueError::Internal)?;
    if token.len() > codec::MAX_TOKEN_BYTES {
        return Err(IssueError::TooLong);
    }
    Ok(token)
}

pub(crate) fn check_ttl(ttl: Duration) -> Result<(), IssueError> {
    if ttl < Duration::from_secs(1) || ttl > MAX_TTL {
        return Err(IssueError::InvalidLifetime);
    }
    Ok(())
}
