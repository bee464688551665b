//! [`ConfigError`] for mistakes that are found at start-up, and [`AuthError`] for requests that are refused.
//!
//! Sessions, passwords, API keys, DPoP proofs, issuing and refresh cookies have error types of their own, in
//! their modules.

mod config;
mod kind;
mod mismatch;
mod reason;

pub use config::ConfigError;
pub use kind::AuthErrorKind;
pub(crate) use reason::Reason;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use smallvec::{SmallVec, smallvec};

use crate::challenge::{Challenge, Needed, Refusals, Scheme};
use crate::grpc::GrpcType;
use crate::names::Names;
use reason::Said;

/// The reason why a request was refused.
///
/// It is cheap to clone. Clients see only the [`status`](Self::status), the [`code`](Self::code) and the
/// [`client_message`](Self::client_message). The [`kind`](Self::kind), the [`reason`](Self::reason) and the
/// source are for logs and metrics; they contain no token and no key.
///
/// A request is *verified* (no error), *denied* (400, 401 or 403), or *cannot be judged now* (503). An outage
/// of a key server or a store is never answered with 401, and by default never lets an unchecked token
/// through.
///
/// ```
/// use http::StatusCode;
/// use tower_jwt_auth::{AuthError, AuthErrorKind};
///
/// let error = AuthError::new(AuthErrorKind::Expired);
/// assert_eq!(error.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(error.www_authenticate().as_deref(), Some(r#"Bearer realm="api", error="invalid_token""#));
/// ```
#[derive(Clone)]
pub struct AuthError {
    kind: AuthErrorKind,
    said: Said,
    detail: Option<Arc<Detail>>,
}

#[derive(Default, Clone)]
struct Detail {
    source: Option<Arc<dyn StdError + Send + Sync>>,
    scope: Option<Box<str>>,
    acr_values: Option<Box<str>>,
    max_age: Option<Duration>,
    retry_after: Option<Duration>,
    dpop_nonce: Option<HeaderValue>,
    refusals: Option<Arc<Refusals>>,
}

/// The default for `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

// === impl AuthError ===

impl AuthError {
    /// Makes an error of this kind, for stores, key sources and handlers of your own.
    #[must_use]
    pub const fn new(kind: AuthErrorKind) -> Self {
        Self {
            kind,
            said: Said::Text(kind.message()),
            detail: None,
        }
    }

    /// Adds the cause. It is returned by [`source`](StdError::source) and never sent to a client.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.detail_mut().source = Some(Arc::from(source.into()));
        self
    }

    /// Sets the `Retry-After` of a 503, in whole seconds, rounded up. The default is 1 second.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.detail_mut().retry_after = Some(after);
        self
    }

    /// Adds what exactly is wrong, for the log. The text must not contain anything that a client sent.
    pub(crate) fn because(mut self, said: impl Into<Said>) -> Self {
        self.said = said.into();
        self
    }

    /// Makes a 403 `insufficient_scope` that names the scopes that the resource needs, for handlers that
    /// decide by themselves.
    ///
    /// ```
    /// use tower_jwt_auth::AuthError;
    ///
    /// let error = AuthError::insufficient_scope(["orders:read", "orders:write"]);
    /// assert_eq!(error.status(), 403);
    /// let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:read orders:write""#;
    /// assert_eq!(error.www_authenticate().as_deref(), Some(challenge));
    /// ```
    #[must_use]
    pub fn insufficient_scope(needed: impl Names) -> Self {
        Self::new(AuthErrorKind::InsufficientScope).with_scope(needed)
    }

    /// Sets the scopes that the challenge names. The kind of the error stays the same.
    #[must_use]
    pub fn with_scope(mut self, needed: impl Names) -> Self {
        self.detail_mut().scope = joined(needed);
        self
    }

    /// Sets the authentication levels that the challenge of an
    /// [`InsufficientAuthentication`](AuthErrorKind::InsufficientAuthentication) names, the preferred
    /// one first (RFC 9470 section 3).
    #[must_use]
    pub fn with_acr_values(mut self, levels: impl Names) -> Self {
        self.detail_mut().acr_values = joined(levels);
        self
    }

    /// Sets the maximum age of a login that the challenge of an
    /// [`InsufficientAuthentication`](AuthErrorKind::InsufficientAuthentication) names, in whole
    /// seconds, rounded down (RFC 9470 section 3).
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.detail_mut().max_age = Some(max_age);
        self
    }

    /// Sets the nonce that the response gives to the client (RFC 9449 section 8).
    pub(crate) fn with_dpop_nonce(mut self, nonce: HeaderValue) -> Self {
        self.detail_mut().dpop_nonce = Some(nonce);
        self
    }

    /// Returns the nonce that the response gives to the client.
    pub(crate) fn dpop_nonce(&self) -> Option<&HeaderValue> {
        self.detail.as_ref()?.dpop_nonce.as_ref()
    }

    /// Whether the response is about DPoP. Pages on other origins must then be able to read its headers.
    pub(crate) fn is_about_dpop(&self) -> bool {
        matches!(
            self.kind,
            AuthErrorKind::InvalidProof | AuthErrorKind::NonceRequired
        ) || self
            .refusals()
            .is_some_and(|refusals| refusals.challenge.dpop.is_some())
    }

    fn detail_mut(&mut self) -> &mut Detail {
        Arc::make_mut(self.detail.get_or_insert_default())
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> AuthErrorKind {
        self.kind
    }

    /// Returns the stable, lower-case code of the reason, for logs and metric labels. It can be more precise
    /// than the [kind](Self::kind): for the kind `invalid_issuer`, for example, it may be
    /// `issuer_differs_by_slash`. The guide [lists the codes](crate::guide::why_401#reason-codes).
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.said {
            Said::Reason(reason) => reason.code,
            Said::Text(_) => self.kind.as_str(),
        }
    }

    /// Returns the status of the response: 400, 401, 403, 500 or 503.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.verdict().0
    }

    /// Returns the error code for the challenge (RFC 6750 section 3.1, RFC 9449 section 12.2, RFC 9470
    /// section 3), or `None` if there is none for this error, as for a request without credentials.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        self.kind.verdict().1
    }

    /// Returns the status code of gRPC: 16 `UNAUTHENTICATED` for 400 and 401, 7 `PERMISSION_DENIED` for
    /// 403, 14 `UNAVAILABLE` for 503, and 13 `INTERNAL` for 500.
    #[must_use]
    pub const fn grpc_code(&self) -> i32 {
        self.kind.grpc_code()
    }

    /// Returns the content type of the gRPC response if the refused request is a gRPC request, and `None`
    /// otherwise. It tells a closure for [`on_error`](crate::JwtAuthLayer::on_error) which kind of response
    /// the client expects; [`GrpcStatus`](crate::layer::GrpcStatus) uses it.
    ///
    /// A layer without `on_error` does not read the content type, so for errors of extractors and handlers
    /// behind it, this is `None`.
    #[must_use]
    pub fn grpc_content_type(&self) -> Option<&'static str> {
        self.refusals()?.grpc.map(GrpcType::as_str)
    }

    /// Returns the scopes that the resource needs, separated by spaces, if a missing scope is the reason.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.detail.as_ref()?.scope.as_deref()
    }

    /// Returns the authentication levels that the resource needs, separated by spaces, if the level of the
    /// login is the reason.
    #[must_use]
    pub fn acr_values(&self) -> Option<&str> {
        self.detail.as_ref()?.acr_values.as_deref()
    }

    /// Returns the maximum age of a login that the resource accepts, if the age of the login is the reason.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.detail.as_ref()?.max_age
    }

    /// Returns the time after which the client should try again if the status is 503, and `None` otherwise.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if self.kind != AuthErrorKind::Unavailable {
            return None;
        }
        let given = self.detail.as_ref().and_then(|detail| detail.retry_after);
        Some(given.unwrap_or(DEFAULT_RETRY_AFTER))
    }

    /// Returns the value of `WWW-Authenticate`, with the realm and the metadata URL of the layer that refused
    /// the request. Returns `None` if the response is not a challenge: a 500, a 503, or the 403 of
    /// [`ClaimsMismatch`](AuthErrorKind::ClaimsMismatch).
    ///
    /// A layer that accepts bearer tokens and DPoP makes two challenges. They are separated by a comma here,
    /// but the responses of this crate have two headers.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        let challenges = self.challenges();
        (!challenges.is_empty()).then(|| challenges.join(", "))
    }

    /// Returns the challenges one by one. The common ones are constants, so they allocate nothing.
    pub(crate) fn challenges(&self) -> SmallVec<[Cow<'static, str>; 2]> {
        let status = self.status();
        // No other token would help if the claims do not fit the handler, so there is no challenge.
        let told = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) && self.kind != AuthErrorKind::ClaimsMismatch;
        if !told {
            return SmallVec::new();
        }
        match (&self.detail, self.code()) {
            (None, None) => smallvec![r#"Bearer realm="api""#.into()],
            (None, Some("invalid_token")) => {
                smallvec![r#"Bearer realm="api", error="invalid_token""#.into()]
            }
            (_, code) => {
                let of_layer = self.refusals().map(|refusals| &refusals.challenge);
                let scope_of_layer = of_layer
                    .filter(|_| status == StatusCode::UNAUTHORIZED)
                    .and_then(|challenge| challenge.scope.as_deref());
                let needed = Needed {
                    code,
                    scope: self.scope().or(scope_of_layer),
                    acr_values: self.acr_values(),
                    max_age: self.max_age().map(|age| age.as_secs()),
                };
                let is_of_proof = matches!(
                    self.kind,
                    AuthErrorKind::InvalidProof | AuthErrorKind::NonceRequired
                );
                match of_layer {
                    Some(challenge) if challenge.dpop.is_some() || !is_of_proof => {
                        challenge.texts(needed)
                    }
                    Some(challenge) => smallvec![challenge.text(Scheme::Dpop, needed).into()],
                    None if is_of_proof => {
                        smallvec![Challenge::default().text(Scheme::Dpop, needed).into()]
                    }
                    None => Challenge::default().texts(needed),
                }
            }
        }
    }

    /// Returns a message for the client. It says no more than the status and the code do.
    #[must_use]
    pub const fn client_message(&self) -> &'static str {
        match self.kind.verdict() {
            (StatusCode::BAD_REQUEST, _) => "The credentials of the request are malformed.",
            (StatusCode::UNAUTHORIZED, None) => "The request needs a bearer token.",
            _ if matches!(self.kind, AuthErrorKind::InsufficientAuthentication) => {
                "The request needs a more recent or a stronger login."
            }
            _ if matches!(self.kind, AuthErrorKind::InvalidProof) => {
                "The DPoP proof of the request is missing or not valid."
            }
            _ if matches!(self.kind, AuthErrorKind::NonceRequired) => {
                "The DPoP proof of the request needs the nonce of the `DPoP-Nonce` header."
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => "The bearer token is not valid.",
            (StatusCode::FORBIDDEN, _) => "The bearer token does not allow this.",
            (StatusCode::SERVICE_UNAVAILABLE, _) => "The bearer token cannot be checked right now.",
            _ => "The request could not be processed.",
        }
    }

    /// Sets the layer whose settings the response follows, unless one was set before.
    pub(crate) fn told_by(mut self, refusals: Option<&Arc<Refusals>>) -> Self {
        if let (Some(refusals), None) = (refusals, self.refusals()) {
            self.detail_mut().refusals = Some(Arc::clone(refusals));
        }
        self
    }

    /// Makes the response follow the protocol of a request with these headers, unless a layer was set before.
    pub(crate) fn in_request(self, headers: &HeaderMap) -> Self {
        match GrpcType::of(headers) {
            Some(grpc) if self.refusals().is_none() => self.told_by(Some(&Arc::new(Refusals {
                grpc: Some(grpc),
                ..Refusals::default()
            }))),
            _ => self,
        }
    }

    pub(crate) fn refusals(&self) -> Option<&Arc<Refusals>> {
        self.detail.as_ref()?.refusals.as_ref()
    }
}

/// Joins the names by spaces. Returns `None` if there are none.
fn joined(names: impl Names) -> Option<Box<str>> {
    let mut joined = String::new();
    names.for_each(&mut |name| {
        for word in name.split_ascii_whitespace() {
            if !joined.split(' ').any(|known| known == word) {
                joined.push_str(if joined.is_empty() { "" } else { " " });
                joined.push_str(word);
            }
        }
    });
    (!joined.is_empty()).then(|| joined.into())
}

impl From<AuthErrorKind> for AuthError {
    fn from(kind: AuthErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AuthError");
        out.field("kind", &self.kind);
        out.field("reason", &self.reason());
        if let Said::Text(message) = self.said {
            out.field("message", &message);
        }
        if let Some(source) = self
            .detail
            .as_ref()
            .and_then(|detail| detail.source.as_ref())
        {
            out.field("source", source);
        }
        out.finish_non_exhaustive()
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.said {
            Said::Reason(reason) => reason.message,
            Said::Text(text) => text,
        })
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.detail.as_ref()?.source.as_ref()?;
        Some(&**source)
    }
}
