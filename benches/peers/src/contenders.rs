//! The contenders: each is a router with one route that responds with 200 to a good token.
//!
//! Whatever a contender can build once is built once, even if its own example builds it for each request. All
//! of them use aws-lc-rs.

use std::future::{Ready, ready};
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use axum::{Extension, RequestPartsExt, Router};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::Value;
use tower::Service as _;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorizationLayer};
use tower_jwt_auth::verifier::TokenVerifierBuilder;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, JwtClaims, TokenVerifier};
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use crate::tokens::{Credentials, SECRET};
use crate::{AUDIENCE, ISSUER, Tokens, User};

pub const ROUTER: &str = "router alone";
pub const SIGNATURE: &str = "signature alone, aws-lc-rs";
pub const OURS: &str = "tower-jwt-auth";
pub const OURS_FORGETS: &str = "tower-jwt-auth, cached_tokens(0)";

/// A contender: something that verifies requests.
pub struct Contender {
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    Router(Box<Router>),
    Function(Judge),
}

/// Returns whether a token is valid.
type Judge = Box<dyn Fn(&Credentials) -> bool>;

// === impl Contender ===

impl Contender {
    fn router(name: &'static str, router: Router) -> Self {
        // As a server does it: otherwise axum would assemble each route again for every request.
        let kind = Kind::Router(Box::new(router.with_state(())));
        Self { name, kind }
    }

    fn function(name: &'static str, judge: impl Fn(&Credentials) -> bool + 'static) -> Self {
        let kind = Kind::Function(Box::new(judge));
        Self { name, kind }
    }

    /// Returns whether there is a router around it.
    pub fn is_routed(&self) -> bool {
        matches!(self.kind, Kind::Router(_))
    }

    /// Returns whether it is this crate, in one setting or another.
    pub fn is_ours(&self) -> bool {
        [OURS, OURS_FORGETS].contains(&self.name)
    }

    /// Returns whether it verifies tokens at all.
    pub fn verifies(&self) -> bool {
        self.name != ROUTER
    }

    /// Returns whether it verifies only signatures.
    pub fn ignores_claims(&self) -> bool {
        self.name == SIGNATURE
    }

    /// Returns the router, for a server.
    pub fn into_router(self) -> Option<Router> {
        match self.kind {
            Kind::Router(router) => Some(*router),
            Kind::Function(_) => None,
        }
    }

    /// Returns whether a request with these credentials is let through.
    pub async fn lets_through(&mut self, credentials: Option<&Credentials>) -> bool {
        if let Some(credentials) = credentials {
            credentials.arrive();
        }
        match &mut self.kind {
            Kind::Router(router) => {
                let mut request = Request::new(Body::empty());
                if let Some(credentials) = credentials {
                    let value = credentials.header.clone();
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
                let Ok(response) = router.call(request).await;
                response.status() == StatusCode::OK
            }
            Kind::Function(judge) => credentials.is_some_and(judge),
        }
    }
}

/// Wraps another router, to be measured like the others.
pub fn routed(name: &'static str, router: Router) -> Contender {
    Contender::router(name, router)
}

/// Returns all contenders, with the lower limits first.
pub async fn all(tokens: &Tokens) -> Vec<Contender> {
    let mut all = vec![
        bare_router(),
        limit(tokens),
        ours(tokens),
        ours_without_memory(tokens),
    ];
    all.extend([
        raw_jsonwebtoken(tokens),
        axum_pattern(tokens),
        tower_http_pattern(tokens),
        axum_jwt_auth(tokens),
        tower_oauth2(tokens).await,
    ]);
    all.extend(oauth_resource_server(tokens));
    all
}

/// The cost of the router and of the request, which all contenders have.
pub fn bare_router() -> Contender {
    let router = Router::new().route("/", get(async || StatusCode::OK));
    Contender::router(ROUTER, router)
}

/// The unavoidable cost of a verifier: the signature check, with a key that was parsed once.
pub fn limit(tokens: &Tokens) -> Contender {
    let name = SIGNATURE;
    if tokens.algorithm == Algorithm::HS256 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        return Contender::function(name, move |shown| {
            hmac::verify(&key, shown.message(), &shown.signature).is_ok()
        });
    }
    let jwk = tokens.key.verifying_key().to_jwk().unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let key = match tokens.algorithm {
        Algorithm::RS256 => RsaPublicKeyComponents {
            n: number("n"),
            e: number("e"),
        }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap(),
        Algorithm::ES256 => {
            let point = [vec![4], number("x"), number("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        _ => ParsedPublicKey::new(&ED25519, number("x")).unwrap(),
    };
    Contender::function(name, move |shown| {
        key.verify_sig(shown.message(), &shown.signature).is_ok()
    })
}

/// This crate, set up as its documentation says.
pub fn ours(tokens: &Tokens) -> Contender {
    layered(OURS, verifier(tokens))
}

/// This crate with `cached_tokens(0)`: no token is cached.
fn ours_without_memory(tokens: &Tokens) -> Contender {
    layered(OURS_FORGETS, verifier(tokens).cached_tokens(0))
}

fn verifier(tokens: &Tokens) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(tokens.key.verifying_key())
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

fn layered(name: &'static str, verifier: TokenVerifierBuilder) -> Contender {
    let layer = JwtAuthLayer::new(verifier.build().unwrap());
    let handler = async |JwtClaims(user): JwtClaims<User>| answer(&user);
    let router = Router::new().route("/", get(handler)).layer(layer);
    Contender::router(name, router)
}

/// `jsonwebtoken::decode`, without a router.
fn raw_jsonwebtoken(tokens: &Tokens) -> Contender {
    let (key, validation) = (decoding_key(tokens), validation(tokens));
    Contender::function("jsonwebtoken 11, no router", move |shown| {
        decode::<User>(&shown.token, &key, &validation).is_ok()
    })
}

/// The pattern of axum's `examples/jwt`: jsonwebtoken in an extractor.
fn axum_pattern(tokens: &Tokens) -> Contender {
    struct Keys(DecodingKey, Validation);
    struct Extracted(User);

    impl FromRequestParts<Arc<Keys>> for Extracted {
        type Rejection = StatusCode;

        async fn from_request_parts(
            parts: &mut Parts,
            keys: &Arc<Keys>,
        ) -> Result<Self, StatusCode> {
            let TypedHeader(Authorization(bearer)) = parts
                .extract::<TypedHeader<Authorization<Bearer>>>()
                .await
                .map_err(|_| StatusCode::UNAUTHORIZED)?;
            decode::<User>(bearer.token(), &keys.0, &keys.1)
                .map(|data| Self(data.claims))
                .map_err(|_| StatusCode::UNAUTHORIZED)
        }
    }

    let keys = Arc::new(Keys(decoding_key(tokens), validation(tokens)));
    let handler = async |Extracted(user): Extracted| answer(&user);
    let router = Router::new().route("/", get(handler)).with_state(keys);
    Contender::router("axum's example (jsonwebtoken 11)", router)
}

/// tower-http's `AsyncRequireAuthorization` around jsonwebtoken.
fn tower_http_pattern(tokens: &Tokens) -> Contender {
    #[derive(Clone)]
    struct Authorize(Arc<(DecodingKey, Validation)>);

    impl<B> AsyncAuthorizeRequest<B> for Authorize {
        type RequestBody = B;
        type ResponseBody = Body;
        type Future = Ready<Result<Request<B>, Response<Body>>>;

        fn authorize(&mut self, mut request: Request<B>) -> Self::Future {
            let token = request
                .headers()
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
            let (key, validation) = &*self.0;
            let user = token.and_then(|token| decode::<User>(token, key, validation).ok());
            ready(match user {
                Some(data) => {
                    request.extensions_mut().insert(data.claims);
                    Ok(request)
                }
                None => {
                    let mut refused = Response::new(Body::empty());
                    *refused.status_mut() = StatusCode::UNAUTHORIZED;
                    Err(refused)
                }
            })
        }
    }

    let authorize = Authorize(Arc::new((decoding_key(tokens), validation(tokens))));
    let router = Router::new()
        .route(
            "/",
            get(async |Extension(user): Extension<User>| answer(&user)),
        )
        .layer(AsyncRequireAuthorizationLayer::new(authorize));
    Contender::router("tower-http + jsonwebtoken 11", router)
}

fn axum_jwt_auth(tokens: &Tokens) -> Contender {
    use axum_jwt_auth::{Claims, Decoder, LocalDecoder};
    use jsonwebtoken_10 as jsonwebtoken;

    #[derive(Clone, FromRef)]
    struct State {
        decoder: Decoder<User>,
    }

    // With both back ends compiled in, it must be told which one to use.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let algorithm = tokens.algorithm.as_str().parse().unwrap();
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let key = match public_jwk(tokens) {
        None => jsonwebtoken::DecodingKey::from_secret(SECRET),
        Some(jwk) => {
            let jwk = serde_json::from_value(jwk).unwrap();
            jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap()
        }
    };
    let decoder = LocalDecoder::builder()
        .keys(vec![key])
        .validation(validation)
        .build()
        .unwrap();
    let state = State {
        decoder: Arc::new(decoder),
    };
    let handler = async |user: Claims<User>| answer(&user.claims);
    let router = Router::new().route("/", get(handler)).with_state(state);
    Contender::router("axum-jwt-auth", router)
}

/// With a fixed key set, which needs no network.
async fn tower_oauth2(tokens: &Tokens) -> Contender {
    let jwk = public_jwk(tokens).unwrap_or_else(|| {
        let secret = URL_SAFE_NO_PAD.encode(SECRET);
        serde_json::json!({ "kty": "oct", "k": secret, "alg": "HS256", "kid": tokens.key.key_id() })
    });
    let claims = ClaimsValidationSpec::new()
        .iss(ISSUER)
        .aud(&vec![AUDIENCE.to_owned()])
        .exp(true);
    let tenant =
        TenantConfiguration::static_builder(serde_json::json!({ "keys": [jwk] }).to_string())
            .claims_validation(claims)
            .allowed_algorithms(&[tokens.algorithm.as_str().parse().unwrap()])
            .build()
            .unwrap();
    let server = <OAuth2ResourceServer<User>>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .unwrap();
    let router = Router::new()
        .route(
            "/",
            get(async |Extension(user): Extension<User>| answer(&user)),
        )
        .layer(server.into_layer());
    Contender::router("tower-oauth2-resource-server", router)
}

/// With keys that are set at the start, which needs no network. It does not support HMAC.
fn oauth_resource_server(tokens: &Tokens) -> Option<Contender> {
    use oauth_resource_server::axum::AuthLayer;
    use oauth_resource_server::{AuthorizedToken, KeyNaming, OAuthConfig, OAuthValidator};

    let jwk = public_jwk(tokens)?;
    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.into(),
        jwks_uri: Some("https://issuer.example/jwks.json".into()),
        audience: AUDIENCE.into(),
        resource: "https://api.example/".into(),
        algorithms: vec![tokens.algorithm.as_str().into()],
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).unwrap();
    let validator = OAuthValidator::builder(&config?)
        .initial_jwks(&serde_json::json!({ "keys": [jwk] }).to_string())
        .build()
        .unwrap();
    let layer = AuthLayer::builder().oauth(Arc::new(validator));
    let handler = async |token: AuthorizedToken| match token.claims_as::<User>() {
        Ok(user) => answer(&user),
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let router = Router::new()
        .route("/", get(handler))
        .layer(layer.build().unwrap());
    Some(Contender::router("oauth-resource-server", router))
}

fn public_jwk(tokens: &Tokens) -> Option<Value> {
    tokens.key.verifying_key().to_jwk()
}

fn decoding_key(tokens: &Tokens) -> DecodingKey {
    match public_jwk(tokens) {
        None => DecodingKey::from_secret(SECRET),
        Some(jwk) => DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap(),
    }
}

fn validation(tokens: &Tokens) -> Validation {
    let mut validation = Validation::new(tokens.algorithm.as_str().parse().unwrap());
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation
}

/// What every handler does with the claims.
fn answer(user: &User) -> StatusCode {
    if user.sub.is_empty() || user.email.is_empty() || user.scope.is_empty() {
        return StatusCode::BAD_REQUEST;
    }
    StatusCode::OK
}
