//! The layer: what is configured once.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::decision::{Decision, DecisionHook};
use super::response::EmptyBody;
use super::service::{Config, JwtAuth, Token};
use crate::bearer::TokenSource;
use crate::challenge::Challenge;
use crate::credential::CredentialJudge;
use crate::names::Names;
use crate::resource_metadata::ResourceMetadataUrl;
use crate::verifier::TokenVerifier;

/// Verifies the bearer token of each request.
///
/// A request with a good token goes on, with a [`VerifiedToken`](crate::VerifiedToken) in
/// its extensions. Any other is answered at once, by default with an empty body and:
///
/// | the request | status | `WWW-Authenticate` |
/// |---|---|---|
/// | carries no bearer token | 401 | `Bearer realm="api"` |
/// | carries two, or a malformed header | 400 | `Bearer realm="api", error="invalid_request"` |
/// | carries a token that is refused | 401 | `Bearer realm="api", error="invalid_token"` |
/// | cannot be judged now | 503 with `Retry-After` | none |
///
/// The [`AuthError`](crate::AuthError) is in the extensions of the response, for logs. With the feature
/// `tracing`, the layer logs each refusal; in debug builds without a log, it writes the first refusal
/// of each kind to standard error. The guide has a page on [what causes each](crate::_guide::why_401).
///
/// Bodies of any type pass through it untouched. A token that is judged from memory costs
/// no boxed future and no wait.
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
/// Use `route_layer`. It protects the routes that were added before it, and unknown paths stay 404.
/// With `layer`, the router's answer to unknown paths is protected as well: they answer 401, even after
/// the router is merged into another that has open routes. A wrong method is 405 to a good token and
/// 401 to strangers; the [cookbook](crate::_guide::cookbook) shows how to make it 405 to everyone.
///
/// # CORS
///
/// Browsers send preflight requests without credentials. Put the CORS layer outside (after)
/// this one, so that it answers them, and adds its headers to refusals too; where that
/// is not possible, [`allow_preflight`](Self::allow_preflight) lets them through.
#[derive(Clone)]
pub struct JwtAuthLayer<R = EmptyBody> {
    config: Arc<Config>,
    respond: R,
}

impl JwtAuthLayer {
    /// Refuses every request that this verifier does not accept.
    #[must_use]
    pub fn new(verifier: TokenVerifier) -> Self {
        Self {
            config: Arc::new(Config::new(Some(verifier))),
            respond: EmptyBody,
        }
    }

    /// Refuses every request that this judge does not accept: for a service that takes API keys or
    /// opaque tokens, and no JWTs.
    ///
    /// ```
    /// # use tower_jwt_auth::JwtAuthLayer;
    /// # use tower_jwt_auth::credential::CredentialJudge;
    /// # fn example(api_keys: impl CredentialJudge) {
    /// let layer = JwtAuthLayer::for_credentials(api_keys);
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn for_credentials(judge: impl CredentialJudge) -> Self {
        let mut config = Config::new(None);
        config.judges.add(judge, None);
        Self {
            config: Arc::new(config),
            respond: EmptyBody,
        }
    }
}

impl<R> JwtAuthLayer<R> {
    /// Lets requests without a token through, too. A token that is there must still be good.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.config_mut().token = Token::Optional;
        self
    }

    /// Lets requests without a token through, as [`optional`](Self::optional) does, and treats a bad
    /// cookie as none. Use it for pages that anyone may see and that browsers open with a
    /// [cookie](TokenSource::cookie), such as the home page and the login page.
    ///
    /// Browsers send a cookie until it is removed. Behind `optional`, one that has expired, was
    /// revoked, or was signed with an old key answers 401 to every page, and two of them answer 400,
    /// so that the user cannot even log in. Here, such requests go on without a token, with an
    /// [`IgnoredCookie`](super::IgnoredCookie) in the extensions that says why, so that the page can
    /// remove the cookie.
    ///
    /// Only cookies are treated so:
    ///
    /// - A bad token in the `Authorization` header or another source is still refused, because the
    ///   client has put it there for this request and must learn that it is bad.
    /// - A token in the header or another source goes before a cookie, which is then not looked at.
    /// - If a cookie cannot be judged now, because the revocation store or the key server is
    ///   unavailable, the response is still 503. An outage must not look like a log-out: the page
    ///   would remove a good cookie. If such pages must stay up, choose it at the revocation store
    ///   (`OutagePolicy` of [`CachedRevocations`](crate::_guide::revocation)).
    /// - A cookie that does not count because of the request's `Origin` is no bad cookie.
    ///
    /// Routes that need a user belong behind a layer without this setting, or use a required
    /// extractor, which answers 401 if the cookie was ignored.
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

    /// Also reads the token from this source. Call it again to add more.
    #[must_use]
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.config_mut().sources.push(source);
        self
    }

    /// Also takes credentials of another kind, wherever a token may be: those whose form this judge
    /// [takes](CredentialJudge::takes), such as API keys with their prefix. Call it again to add more;
    /// a credential that several would take goes to the one that was added first.
    ///
    /// A credential goes to one judge alone. If that refuses it, the request is refused.
    ///
    /// ```
    /// # use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
    /// # use tower_jwt_auth::credential::CredentialJudge;
    /// # fn example(verifier: TokenVerifier, api_keys: impl CredentialJudge) {
    /// let layer = JwtAuthLayer::new(verifier).credentials(api_keys);
    /// # let _: JwtAuthLayer = layer; }
    /// ```
    #[must_use]
    pub fn credentials(mut self, judge: impl CredentialJudge) -> Self {
        self.config_mut().judges.add(judge, None);
        self
    }

    /// Reads credentials of another kind from this source, and hands all that it contains to this
    /// judge, whatever its form. A request that carries a token as well is refused with 400.
    ///
    /// ```
    /// # use tower_jwt_auth::{ConfigError, JwtAuthLayer, TokenVerifier};
    /// # use tower_jwt_auth::credential::CredentialJudge;
    /// # use tower_jwt_auth::layer::TokenSource;
    /// # fn example(verifier: TokenVerifier, api_keys: impl CredentialJudge) -> Result<(), ConfigError> {
    /// let header = TokenSource::header("X-Api-Key")?;
    /// let layer = JwtAuthLayer::new(verifier).credentials_in(header, api_keys);
    /// # let _: JwtAuthLayer = layer; Ok(()) }
    /// ```
    #[must_use]
    pub fn credentials_in(mut self, source: TokenSource, judge: impl CredentialJudge) -> Self {
        let config = self.config_mut();
        config.judges.add(judge, Some(config.sources.len()));
        config.sources.push(source);
        self
    }

    /// Names the protection space in every challenge (RFC 9110 section 11.5); `api`
    /// ([`DEFAULT_REALM`](super::DEFAULT_REALM)) by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.challenge_mut().realm = realm.into().into();
        self
    }

    /// Names the address of the resource's metadata in every challenge, so that clients find out where
    /// to get a token (RFC 9728 section 5.1): pass the [`ResourceMetadata`] that the service serves, or a URL.
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

    /// Names these scopes in every 401, so that clients know what to ask the authorization server for
    /// (RFC 6750 section 3). Without them, many clients ask for every scope that they find.
    ///
    /// It is advice and protects nothing: a [guard](crate::guard) demands scopes. The 403 of a guard
    /// names the scopes of that guard, and no others.
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
    #[must_use]
    pub fn allow_preflight(mut self) -> Self {
        self.config_mut().allow_preflight = true;
        self
    }

    /// Makes the answers to refused requests: [`ProblemJson`](super::ProblemJson),
    /// [`GrpcStatus`](super::GrpcStatus) for gRPC services, or a closure `Fn(&AuthError) -> Response<B>`. The challenge headers are added to what it returns.
    ///
    /// [Guards](crate::guard), extractors and handlers behind this layer refuse requests with the same
    /// responses, as long as their responses have the same type of body. With axum they always do.
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
    /// Without it, the body type of the inner service must implement `Default`. The compiler says so
    /// if it does not:
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

    /// Receives each decision: outcome, kind and reason code, issuer, where the token was, whether its
    /// signature was remembered, and the time that it took. Feed metrics from it; without it nothing is
    /// measured.
    ///
    /// The hook is called while the request is decided, so it must not block. A refusal by a guard, an
    /// extractor or a handler is reported when its response passes the layer. A panic is caught.
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
