//! [`JwtAuthLayer`]: the layer and its settings.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::decide::{Config, Token};
use super::decision::{Decision, DecisionHook};
use super::response::EmptyBody;
use super::service::JwtAuth;
use crate::bearer::TokenSource;
use crate::challenge::Challenge;
use crate::credential::CredentialVerifier;
use crate::names::Names;
use crate::resource_metadata::ResourceMetadataUrl;
use crate::verifier::TokenVerifier;

/// Verifies the bearer token of each request: the tower middleware of this crate.
///
/// A request with a valid token goes on, with a [`VerifiedToken`](crate::VerifiedToken) in its extensions.
/// Any other request is answered at once. By default, the body of the response is empty, and the status and
/// challenge are:
///
/// | the request | status | `WWW-Authenticate` |
/// |---|---|---|
/// | carries no bearer token | 401 | `Bearer realm="api"` |
/// | carries two tokens, or a malformed header | 400 | `Bearer realm="api", error="invalid_request"` |
/// | carries a token that is refused | 401 | `Bearer realm="api", error="invalid_token"` |
/// | cannot be judged now, because a store or a key server is unavailable | 503 with `Retry-After` | none |
///
/// The [`AuthError`](crate::AuthError) is in the extensions of the response, for logs. With the feature
/// `tracing`, the layer logs each refusal. Debug builds without a log write each reason to
/// standard error, once. The guide says [what causes each refusal](crate::guide::why_401).
///
/// Bodies of any type pass through unchanged. If no I/O is needed, a request neither waits nor allocates a
/// future.
///
/// # With axum
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_jwt_auth::{Algorithm, JwtAuthLayer, JwtClaims, SigningKey, TokenIssuer};
///
/// let tokens = TokenIssuer::builder(SigningKey::generate(Algorithm::HS256)?)
///     .issuer("me")
///     .audience("api")
///     .build()?;
/// let app: Router = Router::new()
///     .route("/me", get(async |JwtClaims(claims): JwtClaims| claims.sub.unwrap_or_default()))
///     .route_layer(JwtAuthLayer::new(tokens.verifier()));
/// # let _ = app; }
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
///
/// Use `route_layer`. It protects the routes that were added before it, and unknown paths still answer 404.
/// `layer` also protects the fallback of the router, so unknown paths answer 401, even after the router is
/// merged into another one with open routes. A wrong method answers 405 with a valid token and 401 without
/// one; the [guide](crate::guide::protecting_routes#why-does-an-unknown-path-answer-401) shows how to make it always 405.
///
/// # CORS
///
/// Browsers send preflight requests without credentials. Add the CORS layer after this one, so that it is
/// outside: then it answers preflight requests, and adds its headers to refusals as well. If that is not
/// possible, [`allow_preflight`](Self::allow_preflight) lets preflight requests through.
#[derive(Clone)]
pub struct JwtAuthLayer<R = EmptyBody> {
    config: Arc<Config>,
    respond: R,
}

impl JwtAuthLayer {
    /// Makes a layer that refuses every request whose token this verifier does not accept.
    #[must_use]
    pub fn new(verifier: TokenVerifier) -> Self {
        Self {
            config: Arc::new(Config::new(Some(verifier))),
            respond: EmptyBody,
        }
    }

    /// Makes a layer that refuses every request whose credential this verifier does not accept, for a service
    /// that accepts API keys or opaque tokens but no JWTs.
    ///
    /// ```
    /// # use tower_jwt_auth::JwtAuthLayer;
    /// # use tower_jwt_auth::credential::CredentialVerifier;
    /// # fn example(api_keys: impl CredentialVerifier) {
    /// let layer = JwtAuthLayer::for_credentials(api_keys);
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn for_credentials(verifier: impl CredentialVerifier) -> Self {
        let mut config = Config::new(None);
        config.judges.add(verifier, None);
        Self {
            config: Arc::new(config),
            respond: EmptyBody,
        }
    }
}

impl<R> JwtAuthLayer<R> {
    /// Makes the token optional: requests without one pass. If a request carries a token, that must be valid.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.config_mut().token = Token::Optional;
        self
    }

    /// Makes the token optional, as [`optional`](Self::optional) does, and also ignores bad cookies. Use it
    /// for pages that anybody may see and that browsers open with a [cookie](TokenSource::cookie), such as the
    /// home page and the login page.
    ///
    /// Browsers send a cookie until it is removed. Behind `optional`, a cookie that has expired, was revoked,
    /// or was signed with an old key makes every page answer 401, and two cookies make it answer 400, so the
    /// user cannot even log in. With this setting, such requests go on without a token. An
    /// [`IgnoredCookie`](super::IgnoredCookie) in the extensions says why, so that the page can remove the
    /// cookie.
    ///
    /// Only cookies are treated this way:
    ///
    /// - A bad token in the `Authorization` header or another source is still refused, because the client has
    ///   put it there for this request and must learn that it is bad.
    /// - A token in the header or another source takes precedence over a cookie, which is then not read.
    /// - If a cookie cannot be judged now, because the revocation store or the key server is unavailable, the
    ///   response is still 503. An outage must not look like a logout: the page would remove a valid cookie.
    ///   To keep such pages up during an outage, set the `OutagePolicy` of
    ///   [`CachedRevocations`](crate::guide::revocation).
    /// - A cookie that is ignored because of the request's `Origin` does not count as a bad cookie.
    ///
    /// Put routes that need a user behind a layer without this setting, or use a required extractor, which
    /// answers 401 if the cookie was ignored.
    ///
    /// ```
    /// use tower_jwt_auth::JwtAuthLayer;
    /// use tower_jwt_auth::layer::TokenSource;
    ///
    /// # fn example(verifier: tower_jwt_auth::TokenVerifier) -> Result<(), tower_jwt_auth::ConfigError> {
    /// let pages = JwtAuthLayer::new(verifier)
    ///     .token_source(TokenSource::cookie("__Host-token", ["https://app.example"])?)
    ///     .optional_ignoring_bad_cookies();
    /// # let _: JwtAuthLayer = pages; Ok(()) }
    /// ```
    #[must_use]
    pub fn optional_ignoring_bad_cookies(mut self) -> Self {
        self.config_mut().token = Token::OptionalWithLenientCookies;
        self
    }

    /// Adds a source from which the token is read. Call it again to add more.
    #[must_use]
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.config_mut().sources.push(source);
        self
    }

    /// Adds a verifier for credentials of another kind, such as API keys. It is given the credentials whose
    /// form it [handles](CredentialVerifier::handles), such as those with a certain prefix, from every source
    /// of tokens. Call it again to add more; if several verifiers handle a form, the one that was added first
    /// is used.
    ///
    /// Each credential goes to one verifier only. If that verifier refuses it, the request is refused.
    ///
    /// ```
    /// # use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// # use tower_jwt_auth::credential::CredentialVerifier;
    /// # fn example(verifier: TokenVerifier, api_keys: impl CredentialVerifier) {
    /// let layer = JwtAuthLayer::new(verifier).credentials(api_keys);
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn credentials(mut self, verifier: impl CredentialVerifier) -> Self {
        self.config_mut().judges.add(verifier, None);
        self
    }

    /// Adds a verifier for credentials of another kind, with a source of its own. It is given everything
    /// that the source contains, in any form. A request that also carries a token is refused with 400.
    ///
    /// ```
    /// # use tower_jwt_auth::{ConfigError, JwtAuthLayer, TokenVerifier};
    /// # use tower_jwt_auth::credential::CredentialVerifier;
    /// # use tower_jwt_auth::layer::TokenSource;
    /// # fn example(verifier: TokenVerifier, api_keys: impl CredentialVerifier) -> Result<(), ConfigError> {
    /// let header = TokenSource::header("X-Api-Key")?;
    /// let layer = JwtAuthLayer::new(verifier).credentials_in(header, api_keys);
    /// # let _: JwtAuthLayer = layer; Ok(()) }
    /// ```
    #[must_use]
    pub fn credentials_in(
        mut self,
        source: TokenSource,
        verifier: impl CredentialVerifier,
    ) -> Self {
        let config = self.config_mut();
        config.judges.add(verifier, Some(config.sources.len()));
        config.sources.push(source);
        self
    }

    /// Sets the realm that every challenge names (RFC 9110 section 11.5): `api`
    /// ([`DEFAULT_REALM`](super::DEFAULT_REALM)) by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.challenge_mut().realm = realm.into().into();
        self
    }

    /// Sets the URL of the resource metadata that every challenge names, so that clients can find out where
    /// to get a token (RFC 9728 section 5.1). Pass the [`ResourceMetadata`] that the service serves, or a
    /// URL.
    ///
    /// [`ResourceMetadata`]: crate::resource_metadata::ResourceMetadata
    ///
    /// ```
    /// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// use tower_jwt_auth::resource_metadata::ResourceMetadata;
    ///
    /// # fn example(verifier: TokenVerifier) -> Result<(), tower_jwt_auth::ConfigError> {
    /// let metadata = ResourceMetadata::builder("https://api.example/mcp", &verifier).build()?;
    /// let layer = JwtAuthLayer::new(verifier).resource_metadata(&metadata);
    /// # let _: JwtAuthLayer = layer; Ok(()) }
    /// ```
    #[must_use]
    pub fn resource_metadata(mut self, url: impl Into<ResourceMetadataUrl>) -> Self {
        self.challenge_mut().resource_metadata = Some(url.into().into_text());
        self
    }

    /// Sets the scopes that every 401 names, so that clients know what to request from the authorization
    /// server (RFC 6750 section 3). Without them, many clients request every scope that they can find.
    ///
    /// This is only a hint to clients: use a [guard](crate::guard) to require scopes. The 403 of a guard
    /// names the scopes of that guard only.
    ///
    /// ```
    /// # use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// # fn example(verifier: TokenVerifier) {
    /// let layer = JwtAuthLayer::new(verifier).challenge_scope(["notes:read", "notes:write"]);
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn challenge_scope(mut self, scopes: impl Names) -> Self {
        let mut text = String::new();
        scopes.for_each(&mut |names| {
            for name in names.split_whitespace() {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(name);
            }
        });
        self.challenge_mut().scope = (!text.is_empty()).then(|| text.into());
        self
    }

    /// Lets CORS preflight requests through: `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`.
    ///
    /// # Security
    ///
    /// Anybody can send such a request, and it reaches the inner service without a token. So no handler for
    /// `OPTIONS` behind this layer may do or reveal anything that needs a token.
    #[must_use]
    pub fn allow_preflight(mut self) -> Self {
        self.config_mut().allow_preflight = true;
        self
    }

    /// Sets what makes the responses to refused requests: [`ProblemJson`](super::ProblemJson),
    /// [`GrpcStatus`](super::GrpcStatus) for gRPC services, or a closure `Fn(&AuthError) -> Response<B>`. The
    /// challenge headers are added to its response. By default, the body is empty.
    ///
    /// [Guards](crate::guard), extractors and handlers behind this layer make their refusals in the same way,
    /// if their responses have the same body type. With axum they always do.
    ///
    /// ```
    /// use http::Response;
    /// use tower_jwt_auth::{AuthError, JwtAuthLayer};
    /// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
    /// let layer = JwtAuthLayer::new(verifier).on_error(|error: &AuthError| {
    ///     let mut response = Response::new(String::from("no"));
    ///     *response.status_mut() = error.status();
    ///     response
    /// });
    /// # let _: JwtAuthLayer<_> = layer; }
    /// ```
    ///
    /// Without this setting, the body type of the inner service must implement `Default`. Otherwise the code
    /// does not compile:
    ///
    /// ```compile_fail
    /// use http::{Request, Response};
    /// use tower::{Layer, Service, service_fn};
    /// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    ///
    /// struct NoDefault;
    ///
    /// fn example(verifier: TokenVerifier) -> impl Service<Request<()>> {
    ///     let inner = service_fn(async |_| Ok::<_, ()>(Response::new(NoDefault)));
    ///     JwtAuthLayer::new(verifier).layer(inner)
    /// }
    /// ```
    #[must_use]
    pub fn on_error<R2>(self, respond: R2) -> JwtAuthLayer<R2> {
        JwtAuthLayer {
            config: self.config,
            respond,
        }
    }

    /// Sets a hook that is called with each decision, for metrics: the outcome, kind and reason code, the
    /// issuer, where the token was, whether its signature was cached, and how long it took. Without a hook,
    /// nothing is measured.
    ///
    /// The request waits for the hook, so it must not block. A refusal by a guard, an extractor or a handler
    /// is reported when its response passes through the layer. A panic in the hook is caught.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use tower_jwt_auth::JwtAuthLayer;
    ///
    /// static COUNTS: Mutex<Vec<(&str, &str)>> = Mutex::new(Vec::new());
    ///
    /// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
    /// let layer = JwtAuthLayer::new(verifier).on_decision(|decision| {
    ///     let labels = (decision.outcome().as_str(), decision.reason());
    ///     COUNTS.lock().unwrap().push(labels);
    /// });
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn on_decision(mut self, hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        self.config_mut().on_decision = DecisionHook::new(hook);
        self
    }

    pub(super) fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }

    pub(super) fn challenge_mut(&mut self) -> &mut Challenge {
        &mut self.config_mut().challenge
    }
}

impl<S, R: Clone> Layer<S> for JwtAuthLayer<R> {
    type Service = JwtAuth<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        JwtAuth::new(inner, Arc::clone(&self.config), self.respond.clone())
    }
}

impl<R> fmt::Debug for JwtAuthLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthLayer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
