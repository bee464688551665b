//! [`Hardening`]: the routes to attack, and what the attacks are made from.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::Value;

use super::body::RequestBody;
use super::forge::{Forge, Sign};
use super::public_key::forms;
use super::weakness::Weakness;
use crate::error::ConfigError;
use crate::keys::SigningKey;
use crate::testing::TestIssuer;

/// The settings of [`assert_hardened`](super::assert_hardened): the protected routes, and how tokens for them
/// are made.
///
/// Every attack changes one good token or request, so that the service has exactly one reason to refuse it.
pub struct Hardening<B = RequestBody> {
    pub(super) forge: Forge,
    /// The service's public key in all its forms.
    pub(super) public: Vec<(String, Vec<u8>)>,
    pub(super) routes: Vec<Request<String>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) required: Vec<String>,
    pub(super) accepted: Vec<Weakness>,
    make_body: MakeBody<B>,
}

type MakeBody<B> = Arc<dyn Fn(String) -> B + Send + Sync>;

// === impl Hardening ===

impl Hardening {
    /// Starts from a good token of a [`TestIssuer`]. Every route must accept it, so it needs the scopes and
    /// roles of all routes.
    ///
    /// # Errors
    ///
    /// Fails if the token is not a signed JWT, or if the system's random number generator fails.
    pub fn new(issuer: &TestIssuer, good_token: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::with_key(issuer.key(), good_token)
    }

    /// Starts from a good token that was signed with this key: your own, or that of a
    /// `TestProvider` (feature `jwks`), whose `signing_key` returns it.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`new`](Self::new).
    pub fn with_key(key: &SigningKey, good_token: impl AsRef<str>) -> Result<Self, ConfigError> {
        let public = key.verifying_key().to_jwk();
        let key = key.clone();
        let sign = move |message: &[u8]| key.sign(message).unwrap_or_default();
        let kit = Self::from_forge(Forge::new(good_token.as_ref(), Arc::new(sign))?);
        Ok(match public {
            Some(jwk) => kit.public_jwk(&jwk),
            None => kit,
        })
    }

    /// Starts from a good token and a function that signs `header.payload` as its issuer does, for
    /// services with other algorithms or keys.
    ///
    /// ```
    /// use tower_jwt_auth::testing::Hardening;
    ///
    /// # fn mac(_: &[u8], _: &[u8]) -> Vec<u8> { Vec::new() }
    /// # let good = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln";
    /// let kit = Hardening::with_signer(good, |message| mac(b"the key of the test", message))?;
    /// # let _ = kit; Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`new`](Self::new).
    pub fn with_signer(
        good_token: impl AsRef<str>,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let sign: Sign = Arc::new(sign);
        Ok(Self::from_forge(Forge::new(good_token.as_ref(), sign)?))
    }

    fn from_forge(forge: Forge) -> Self {
        Self {
            forge,
            public: Vec::new(),
            routes: Vec::new(),
            headers: Vec::new(),
            required: Vec::new(),
            accepted: Vec::new(),
            make_body: Arc::new(RequestBody::from),
        }
    }
}

impl<B> Hardening<B> {
    /// Makes bodies of another type, for a service that accepts no other: `.body(axum::body::Body::from)`.
    #[must_use]
    pub fn body<C>(self, make: impl Fn(String) -> C + Send + Sync + 'static) -> Hardening<C> {
        Hardening {
            forge: self.forge,
            public: self.public,
            routes: self.routes,
            headers: self.headers,
            required: self.required,
            accepted: self.accepted,
            make_body: Arc::new(make),
        }
    }

    /// Adds the service's public key as a JWK. The attacks use it as an HMAC secret, in the forms in which
    /// a service may have loaded it. [`new`](Self::new) and [`with_key`](Self::with_key) know the key already.
    #[must_use]
    pub fn public_jwk(mut self, jwk: &Value) -> Self {
        self.public.extend(forms(jwk));
        self
    }

    /// Adds the service's public key as the bytes of the file that it is loaded from.
    #[must_use]
    pub fn public_key_file(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.public.push(("the key file".to_owned(), bytes.into()));
        self
    }

    /// Adds a protected route, by its method and a path. A request with a good token must get a success or a
    /// redirect. Call it again to add more. Leave public routes out.
    ///
    /// # Panics
    ///
    /// Panics if `path` is not the path of a URL.
    #[must_use]
    pub fn route(self, method: Method, path: impl AsRef<str>) -> Self {
        let path = path.as_ref();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(String::new());
        match request {
            Ok(request) => self.request(request),
            Err(_) => panic!("`{path}` is not the path of a URL: write one such as `/orders/7`"),
        }
    }

    /// Adds a protected route by a whole request without credentials, for routes that need a body or headers.
    #[must_use]
    pub fn request(mut self, request: Request<String>) -> Self {
        self.routes.push(request);
        self
    }

    /// Adds a header to each request, such as `Host`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a check that a token without this claim is refused. `exp`, `iss` and `aud` are checked if the good
    /// token has them, and `type` unless its header has `typ: at+jwt`, which says the same.
    #[must_use]
    pub fn require(mut self, claim: impl Into<String>) -> Self {
        self.required.push(claim.into());
        self
    }

    /// Leaves out the attacks for a weakness that is intended, such as [`Weakness::TokenInQuery`] for a
    /// service that reads tokens from its URL.
    #[must_use]
    pub fn accept(mut self, weakness: Weakness) -> Self {
        self.accepted.push(weakness);
        self
    }

    /// Returns the request of a route, with the headers of all requests.
    pub(super) fn prepared(&self, route: &Request<String>) -> Request<String> {
        let mut request = route.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    pub(super) fn with_body(&self, request: Request<String>) -> Request<B> {
        request.map(|text| (self.make_body)(text))
    }
}

impl<B> fmt::Debug for Hardening<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self
            .routes
            .iter()
            .map(|route| (route.method(), route.uri().path()));
        f.debug_struct("Hardening")
            .field("routes", &routes.collect::<Vec<_>>())
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
