//! [`RequireScopeLayer`]: lets requests through whose token has the scopes that a route needs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::{is_scope_token, join_scopes};
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::layer::{EmptyBody, ResponseForAuthError, Seen, response_for};
use crate::verifier::VerifiedToken;

/// Requires scopes (RFC 6749 section 3.3) of tokens that a
/// [`JwtAuthLayer`](crate::JwtAuthLayer) further out has verified.
///
/// A token without them is answered with 403 and `error="insufficient_scope"`, naming all
/// scopes that would be needed. Without a token (behind an
/// [optional](crate::JwtAuthLayer::optional) layer) the answer is 401; without a layer it
/// is 500, and the error names the cure. So it is where the requirement is empty.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_jwt_auth::{JwtAuthLayer, RequireScopeLayer};
/// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
/// let app: Router = Router::new()
///     .route("/reports", get(|| async { "..." }))
///     .layer(RequireScopeLayer::any_of(["reports:read", "admin"]))
///     .layer(JwtAuthLayer::new(verifier)); // outside, so it runs first
/// # let _ = app; } }
/// ```
#[derive(Debug, Clone)]
pub struct RequireScopeLayer<R = EmptyBody> {
    rule: Arc<Rule>,
    respond: R,
}

/// The service that [`RequireScopeLayer`] makes.
#[derive(Clone)]
pub struct RequireScope<S, R = EmptyBody> {
    inner: S,
    rule: Arc<Rule>,
    respond: R,
}

#[derive(Debug)]
struct Rule {
    scopes: Box<[Box<str>]>,
    all: bool,
    /// Whether something that was to be required is empty, as a variable that is not set.
    is_empty: bool,
}

pin_project! {
    /// The response of [`RequireScope`].
    pub struct RequireScopeFuture<F, Res> {
        #[pin]
        state: State<F, Res>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, Res> {
        Refused { response: Option<Res> },
        Inner { #[pin] future: F },
    }
}

// === impl RequireScopeLayer ===

impl RequireScopeLayer {
    /// Requires every one of these scopes; one text may name several, separated by spaces.
    ///
    /// # Security
    ///
    /// An empty requirement lets nobody pass: without any scope, or with a text that names none,
    /// every request is answered with 500, and the error says why. For scopes that come from
    /// outside, [`try_all_of`](Self::try_all_of) finds it at start-up.
    #[must_use]
    pub fn all_of<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self::new(scopes, true)
    }

    /// Requires at least one of these scopes. An empty requirement lets nobody pass, as with
    /// [`all_of`](Self::all_of).
    #[must_use]
    pub fn any_of<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self::new(scopes, false)
    }

    /// Requires every one of these scopes, which are checked now: for scopes from a configuration.
    ///
    /// # Errors
    ///
    /// Fails if there is no scope, if a text names none, or if one is not a scope (RFC 6749
    /// section 3.3).
    ///
    /// ```
    /// use tower_jwt_auth::RequireScopeLayer;
    ///
    /// assert!(RequireScopeLayer::try_all_of(["reports:read"]).is_ok());
    /// let unset = std::env::var("REPORTS_SCOPE").unwrap_or_default();
    /// let error = RequireScopeLayer::try_all_of([unset]).unwrap_err();
    /// assert!(error.to_string().starts_with("a required scope is empty"));
    /// ```
    pub fn try_all_of<S: Into<String>>(
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::new(scopes, true).checked()
    }

    /// Requires at least one of these scopes, which are checked now: for scopes from a
    /// configuration.
    ///
    /// # Errors
    ///
    /// As [`try_all_of`](Self::try_all_of).
    pub fn try_any_of<S: Into<String>>(
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::new(scopes, false).checked()
    }

    fn new<S: Into<String>>(scopes: impl IntoIterator<Item = S>, all: bool) -> Self {
        let texts: Vec<String> = scopes.into_iter().map(Into::into).collect();
        let is_empty = texts.is_empty() || texts.iter().any(|text| text.trim_ascii().is_empty());
        let scopes = texts.iter().flat_map(|text| text.split_ascii_whitespace());
        let scopes = scopes.map(Into::into).collect();
        Self {
            rule: Arc::new(Rule {
                scopes,
                all,
                is_empty,
            }),
            respond: EmptyBody,
        }
    }

    fn checked(self) -> Result<Self, ConfigError> {
        if self.rule.is_empty {
            return Err(ConfigError::Invalid(
                "a required scope is empty, as from a variable that is not set: name at least one \
                 scope in each text, such as `reports:read`"
                    .into(),
            ));
        }
        match self.rule.scopes.iter().find(|scope| !is_scope_token(scope)) {
            Some(scope) => Err(ConfigError::Invalid(format!(
                "`{}` is not a scope: use printable ASCII without space, `\"` and `\\`",
                scope.escape_default().take(64).collect::<String>()
            ))),
            None => Ok(self),
        }
    }
}

impl<R> RequireScopeLayer<R> {
    /// Makes the answers to refused requests, as [`JwtAuthLayer::on_error`](crate::JwtAuthLayer::on_error).
    #[must_use]
    pub fn on_error<R2>(self, respond: R2) -> RequireScopeLayer<R2> {
        RequireScopeLayer {
            rule: self.rule,
            respond,
        }
    }
}

impl<S, R: Clone> Layer<S> for RequireScopeLayer<R> {
    type Service = RequireScope<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScope {
            inner,
            rule: Arc::clone(&self.rule),
            respond: self.respond.clone(),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn check(&self, extensions: &Extensions) -> Result<(), AuthError> {
        if self.is_empty {
            return Err(AuthError::new(AuthErrorKind::Internal).because(
                "a required scope of `RequireScopeLayer` is empty, so nobody is let through: name \
                 at least one scope in each text (`try_all_of` and `try_any_of` check it at start-up)",
            ));
        }
        let seen = extensions.get::<Seen>();
        let verdict = match (extensions.get::<VerifiedToken>(), seen) {
            (Some(token), _) if self.is_met_by(token) => return Ok(()),
            (Some(_), _) => AuthError::insufficient_scope(&join_scopes(&self.scopes)),
            (None, Some(_)) => AuthErrorKind::MissingToken.into(),
            (None, None) => AuthErrorKind::LayerMissing.into(),
        };
        Err(match seen {
            Some(seen) => verdict.told_by(&seen.challenge),
            None => verdict,
        })
    }

    fn is_met_by(&self, token: &VerifiedToken) -> bool {
        let mut needed = self.scopes.iter();
        if self.all {
            needed.all(|scope| token.has_scope(scope))
        } else {
            needed.any(|scope| token.has_scope(scope))
        }
    }
}

// === impl RequireScope ===

impl<S, R, B, ResBody> Service<Request<B>> for RequireScope<S, R>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    R: ResponseForAuthError<ResBody>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RequireScopeFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.rule.check(request.extensions()) {
            Ok(()) => State::Inner {
                future: self.inner.call(request),
            },
            Err(error) => State::Refused {
                response: Some(response_for(&self.respond, error)),
            },
        };
        RequireScopeFuture { state }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for RequireScope<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScope")
            .field("inner", &self.inner)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl<F, Res, E> Future for RequireScopeFuture<F, Res>
where
    F: Future<Output = Result<Res, E>>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future.poll(cx),
            StateProjection::Refused { response } => {
                let response = response
                    .take()
                    .expect("invariant: not polled after completion");
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl<F, Res> fmt::Debug for RequireScopeFuture<F, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScopeFuture").finish_non_exhaustive()
    }
}
