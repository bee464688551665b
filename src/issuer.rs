//! [`TokenIssuer`]: makes tokens, and revokes them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::claims::{Audience, RESERVED_CLAIMS, TokenType, is_scope_token, join_scopes};
use crate::clock::{Clock, SystemClock};
use crate::codec;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::jti::{self, Stamps};
use crate::keys::{KeySet, SigningKey, VerifyingKey};
use crate::policy::{DEFAULT_LEEWAY, MAX_LEEWAY};
use crate::revocation::{DynRevocationStore, Revocation, RevocationStore};
use crate::verifier::{TokenVerifier, VerifiedToken};

/// How long an access token lives: short, because it is good until then (RFC 6750 section 5.3).
pub const DEFAULT_ACCESS_TTL: Duration = Duration::from_secs(900);
/// How long a refresh token lives: 30 days.
pub const DEFAULT_REFRESH_TTL: Duration = Duration::from_secs(2_592_000);
/// The longest lifetime that can be asked for.
const MAX_TTL: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Makes access and refresh tokens, and the verifiers that accept them.
///
/// Cheap to clone, and made to be shared.
///
/// Each token carries `exp`, `iat`, `nbf`, `jti`, `type`, `sub`, and `iss` and `aud` where
/// configured; its header carries `alg`, `kid` and `typ`. The payload is signed, not
/// encrypted: put nothing into claims that the holder of the token must not read.
///
/// ```
/// use tower_jwt_auth::keys::Algorithm;
/// use tower_jwt_auth::{SigningKey, TokenIssuer};
///
/// let key = SigningKey::generate(Algorithm::EdDSA)?;
/// let tokens = TokenIssuer::builder(key).issuer("https://me.example").audience("api").build()?;
///
/// let token = tokens.access("alice").scope("read").claim("tenant", 7).issue()?;
/// let verified = tokens.verifier().verify_local(&token)?;
/// assert!(verified.has_scope("read"));
///
/// let reserved = tokens.access("alice").claim("exp", 0).issue().unwrap_err();
/// assert_eq!(reserved.to_string(), "the claim `exp` is reserved");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenIssuer {
    inner: Arc<Inner>,
}

struct Inner {
    key: SigningKey,
    issuer: Option<String>,
    audience: Audience,
    access_ttl: Duration,
    refresh_ttl: Duration,
    clock: Arc<dyn Clock>,
    stamps: Stamps,
    revocation: Option<Arc<dyn DynRevocationStore>>,
    access_verifier: TokenVerifier,
    refresh_verifier: TokenVerifier,
}

/// Builds a [`TokenIssuer`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct TokenIssuerBuilder {
    key: SigningKey,
    previous: Vec<VerifyingKey>,
    issuer: Option<String>,
    audiences: Vec<String>,
    no_issuer: bool,
    no_audience: bool,
    access_ttl: Duration,
    refresh_ttl: Duration,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    revocation: Option<Arc<dyn DynRevocationStore>>,
}

/// One token to be made; see [`TokenIssuer::access`] and [`TokenIssuer::refresh`].
#[must_use = "no token is made until `issue()`"]
pub struct TokenRequest<'a> {
    issuer: &'a TokenIssuer,
    token_type: TokenType,
    subject: String,
    ttl: Duration,
    scopes: Vec<String>,
    session: Option<String>,
    claims: Map<String, Value>,
    problem: Option<IssueError>,
}

/// An access token and a refresh token to be made; see [`TokenIssuer::pair`].
#[must_use = "no token is made until `issue()`"]
pub struct PairRequest<'a> {
    request: TokenRequest<'a>,
}

/// An access token with its refresh token, ready to be the body of a token response
/// (RFC 6749 section 5.1). `Debug` shows neither.
///
/// # Security
///
/// Send it with `Cache-Control: no-store`.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct TokenPair {
    /// Opens resources.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
    /// Is traded for the next pair.
    pub refresh_token: String,
    /// How long the refresh token lives, in seconds.
    pub refresh_expires_in: u64,
}

/// Why a token could not be made: a mistake in the program that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// A custom claim has the name of one that the issuer sets.
    ReservedClaim(String),
    /// A claim cannot be written as JSON, or the claims are not an object.
    InvalidClaim(String),
    /// A scope is empty, or holds a space, a quote, a backslash, or what is not printable ASCII.
    InvalidScope,
    /// The subject is empty.
    EmptySubject,
    /// The lifetime is under one second or over 100 years.
    InvalidLifetime,
    /// The token would be longer than a verifier accepts: 8192 bytes.
    TooLong,
    /// The system has no randomness to give, or the back end could not sign.
    Internal,
}

// === impl TokenIssuer ===

impl TokenIssuer {
    /// Starts an issuer that signs with `key`.
    pub fn builder(key: SigningKey) -> TokenIssuerBuilder {
        TokenIssuerBuilder {
            key,
            previous: Vec::new(),
            issuer: None,
            audiences: Vec::new(),
            no_issuer: false,
            no_audience: false,
            access_ttl: DEFAULT_ACCESS_TTL,
            refresh_ttl: DEFAULT_REFRESH_TTL,
            leeway: DEFAULT_LEEWAY,
            clock: Arc::new(SystemClock),
            revocation: None,
        }
    }

    /// An access token for this subject.
    pub fn access(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Access, sub.into(), self.inner.access_ttl)
    }

    /// A refresh token for this subject. It opens no resource.
    pub fn refresh(&self, sub: impl Into<String>) -> TokenRequest<'_> {
        self.request(TokenType::Refresh, sub.into(), self.inner.refresh_ttl)
    }

    /// An access token and a refresh token for this subject.
    pub fn pair(&self, sub: impl Into<String>) -> PairRequest<'_> {
        PairRequest {
            request: self.access(sub),
        }
    }

    fn request(&self, token_type: TokenType, subject: String, ttl: Duration) -> TokenRequest<'_> {
        TokenRequest {
            issuer: self,
            token_type,
            subject,
            ttl,
            scopes: Vec::new(),
            session: None,
            claims: Map::new(),
            problem: None,
        }
    }

    /// The verifier of this issuer's access tokens: the same keys, issuer, audience, clock and
    /// revocation store, so that the two cannot drift apart.
    #[must_use]
    pub fn verifier(&self) -> TokenVerifier {
        self.inner.access_verifier.clone()
    }

    /// The verifier of this issuer's refresh tokens, for the endpoint that trades them.
    #[must_use]
    pub fn refresh_verifier(&self) -> TokenVerifier {
        self.inner.refresh_verifier.clone()
    }

    /// How long access tokens live.
    #[must_use]
    pub fn access_ttl(&self) -> Duration {
        self.inner.access_ttl
    }

    /// How long refresh tokens live.
    #[must_use]
    pub fn refresh_ttl(&self) -> Duration {
        self.inner.refresh_ttl
    }

    /// Revokes this one token.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](AuthErrorKind::Unavailable): the store does not answer, and the
    /// token may still be good. [`Internal`](AuthErrorKind::Internal): no store is configured.
    pub async fn revoke(&self, token: &VerifiedToken) -> Result<(), AuthError> {
        let revocation = token.revocation().ok_or_else(|| {
            AuthError::new(AuthErrorKind::InvalidClaim)
                .because("the token lacks `jti`, without which it cannot be revoked")
        })?;
        self.record(&revocation).await
    }

    /// Revokes all tokens of a session.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_session(&self, sid: &str) -> Result<(), AuthError> {
        let until = self.last_token_ends();
        self.record(&Revocation::session(self.issuer(), sid, until))
            .await
    }

    /// Revokes every token that the subject has been issued up to now: "log out everywhere".
    ///
    /// A token issued before is refused and one issued afterwards is good, within the same
    /// second too. Between nodes, "before" is as exact as their clocks agree.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_subject(&self, sub: &str) -> Result<(), AuthError> {
        let cutoff = self.inner.stamps.next(&*self.inner.clock);
        let until = self.last_token_ends();
        self.record(&Revocation::subject_at(self.issuer(), sub, cutoff, until))
            .await
    }

    async fn record(&self, revocation: &Revocation) -> Result<(), AuthError> {
        let store = self.inner.revocation.as_ref().ok_or_else(|| {
            AuthError::new(AuthErrorKind::Internal)
                .because("no revocation store is configured: call `.revocation(store)`")
        })?;
        Ok(store.revoke(revocation).await?)
    }

    fn issuer(&self) -> Option<&str> {
        self.inner.issuer.as_deref()
    }

    /// When every token issued up to now has expired, whatever the leeway.
    fn last_token_ends(&self) -> SystemTime {
        let longest = self.inner.access_ttl.max(self.inner.refresh_ttl);
        self.inner.clock.now() + longest + MAX_LEEWAY
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("key", &self.inner.key)
            .field("issuer", &self.inner.issuer)
            .field("audience", &self.inner.audience)
            .finish_non_exhaustive()
    }
}

// === impl TokenIssuerBuilder ===

impl TokenIssuerBuilder {
    /// The `iss` of every token: commonly the https URL of the service.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `aud` of every token: whom it is for. Again for another one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Issues tokens without `iss`, and accepts them.
    ///
    /// # Security
    ///
    /// Sound only where this key signs for nobody else.
    pub fn dangerous_no_issuer(mut self) -> Self {
        self.no_issuer = true;
        self
    }

    /// Issues tokens without `aud`, and accepts them.
    ///
    /// # Security
    ///
    /// Every service that trusts this key accepts every token (RFC 8725 section 3.9).
    pub fn dangerous_no_audience(mut self) -> Self {
        self.no_audience = true;
        self
    }

    /// Still accepts tokens that were signed with this key. Again for another one.
    pub fn previous_key(mut self, key: VerifyingKey) -> Self {
        self.previous.push(key);
        self
    }

    /// How long access tokens live; 900 seconds by default.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// How long refresh tokens live; 2,592,000 seconds (30 days) by default.
    pub fn refresh_ttl(mut self, ttl: Duration) -> Self {
        self.refresh_ttl = ttl;
        self
    }

    /// By how much the clocks of verifiers may differ: 30 seconds by default, 300 at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Where revocations are recorded, and looked up by the verifiers.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.revocation = Some(Arc::new(store));
        self
    }

    /// Reads the time from this clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The issuer.
    ///
    /// # Errors
    ///
    /// No issuer or audience, and no word that this is meant; a lifetime under a second or
    /// over 100 years; a leeway over 300 seconds; two keys with one id.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        for ttl in [self.access_ttl, self.refresh_ttl] {
            check_ttl(ttl).map_err(|_| ConfigError::InvalidLifetime)?;
        }
        let keys = KeySet::new(std::iter::once(self.key.verifying_key()).chain(self.previous))?;
        let mut verifier = TokenVerifier::builder(keys)
            .leeway(self.leeway)
            .shared_clock(Arc::clone(&self.clock))
            .shared_revocation(self.revocation.clone());
        if let Some(issuer) = &self.issuer {
            verifier = verifier.issuer(issuer);
        } else if self.no_issuer {
            verifier = verifier.dangerous_no_issuer();
        }
        for audience in &self.audiences {
            verifier = verifier.audience(audience);
        }
        if self.audiences.is_empty() && self.no_audience {
            verifier = verifier.dangerous_no_audience();
        }
        Ok(TokenIssuer {
            inner: Arc::new(Inner {
                access_verifier: verifier.clone().build()?,
                refresh_verifier: verifier.token_type(TokenType::Refresh).build()?,
                key: self.key,
                issuer: self.issuer,
                audience: self.audiences.into_iter().collect(),
                access_ttl: self.access_ttl,
                refresh_ttl: self.refresh_ttl,
                clock: self.clock,
                stamps: Stamps::default(),
                revocation: self.revocation,
            }),
        })
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// === impl TokenRequest ===

impl TokenRequest<'_> {
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
            _ => self.fail(IssueError::InvalidClaim("the claims".to_owned())),
        }
        self
    }

    /// Adds a scope; several may stand in one text, separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        for scope in scope.as_ref().split(' ') {
            if is_scope_token(scope) {
                self.scopes.push(scope.to_owned());
            } else {
                self.fail(IssueError::InvalidScope);
            }
        }
        self
    }

    /// Adds scopes.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        scopes
            .into_iter()
            .fold(self, |request, scope| request.scope(scope))
    }

    /// The session that the token belongs to, as `sid`.
    pub fn session(mut self, sid: impl Into<String>) -> Self {
        self.session = Some(sid.into());
        self
    }

    /// How long this token lives, in place of the issuer's default.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Makes the token.
    ///
    /// # Errors
    ///
    /// A claim that is reserved or not JSON, a scope that is none, an empty subject, a
    /// lifetime that is none, or a token too long to be accepted.
    pub fn issue(self) -> Result<String, IssueError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.subject.is_empty() {
            return Err(IssueError::EmptySubject);
        }
        check_ttl(self.ttl)?;
        let Inner {
            key,
            issuer,
            audience,
            clock,
            stamps,
            ..
        } = &*self.issuer.inner;

        let stamp = stamps.next(&**clock);
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
        set("exp", now.saturating_add(self.ttl.as_secs()).into());
        set(
            "jti",
            jti::new_id(stamp).ok_or(IssueError::Internal)?.into(),
        );
        set("type", self.token_type.as_str().into());
        if !self.scopes.is_empty() {
            set("scope", join_scopes(self.scopes).into());
        }
        if let Some(session) = self.session {
            set("sid", session.into());
        }
        let payload = Value::Object(claims).to_string();
        let token = codec::sign(key, self.token_type.header_typ(), payload.as_bytes())
            .map_err(|_| IssueError::Internal)?;
        if token.len() > codec::MAX_TOKEN_BYTES {
            return Err(IssueError::TooLong);
        }
        Ok(token)
    }

    fn add(&mut self, name: String, value: Value) {
        if RESERVED_CLAIMS.contains(&name.as_str()) {
            self.fail(IssueError::ReservedClaim(name));
        } else {
            self.claims.insert(name, value);
        }
    }

    /// The first problem is the one that is told.
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

// === impl PairRequest ===

impl PairRequest<'_> {
    /// Adds a custom claim to both tokens.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.request = self.request.claim(name, value);
        self
    }

    /// Adds the fields of a struct or the entries of a map to both tokens.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        self.request = self.request.claims(claims);
        self
    }

    /// Adds a scope to both tokens; several may stand in one text, separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope);
        self
    }

    /// Adds scopes to both tokens.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.scopes(scopes);
        self
    }

    /// The session that both tokens belong to, as `sid`.
    pub fn session(mut self, sid: impl Into<String>) -> Self {
        self.request = self.request.session(sid);
        self
    }

    /// Makes both tokens.
    ///
    /// # Errors
    ///
    /// As [`TokenRequest::issue`].
    pub fn issue(self) -> Result<TokenPair, IssueError> {
        let access = self.request;
        let issuer = access.issuer;
        let refresh = TokenRequest {
            issuer,
            token_type: TokenType::Refresh,
            subject: access.subject.clone(),
            ttl: issuer.refresh_ttl(),
            scopes: access.scopes.clone(),
            session: access.session.clone(),
            claims: access.claims.clone(),
            problem: access.problem.clone(),
        };
        Ok(TokenPair {
            expires_in: access.ttl.as_secs(),
            access_token: access.issue()?,
            token_type: "Bearer",
            refresh_expires_in: refresh.ttl.as_secs(),
            refresh_token: refresh.issue()?,
        })
    }
}

impl fmt::Debug for PairRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("access_token", &"[redacted]")
            .field("expires_in", &self.expires_in)
            .field("refresh_token", &"[redacted]")
            .field("refresh_expires_in", &self.refresh_expires_in)
            .finish_non_exhaustive()
    }
}

// === impl IssueError ===

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedClaim(name) => write!(f, "the claim `{name}` is reserved"),
            Self::InvalidClaim(name) => write!(f, "the claim `{name}` cannot be written as JSON"),
            Self::InvalidScope => f.write_str(
                "a scope must be printable ASCII without spaces, quotes and backslashes",
            ),
            Self::EmptySubject => f.write_str("the subject is empty"),
            Self::InvalidLifetime => f.write_str("the lifetime must be 1 second to 100 years"),
            Self::TooLong => f.write_str("the token would be longer than 8192 bytes"),
            Self::Internal => f.write_str("the token could not be signed"),
        }
    }
}

impl std::error::Error for IssueError {}

impl From<IssueError> for AuthError {
    fn from(error: IssueError) -> Self {
        Self::new(AuthErrorKind::Internal).with_source(error)
    }
}

fn check_ttl(ttl: Duration) -> Result<(), IssueError> {
    if ttl < Duration::from_secs(1) || ttl > MAX_TTL {
        return Err(IssueError::InvalidLifetime);
    }
    Ok(())
}
