//! [`JwksService`]: serves the public keys of an issuer to services that verify its tokens.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use crate::keys::{KeyRing, KeySet, digest};

/// The path at which a JWK set is usually served: `/.well-known/jwks.json`.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// The default time for which clients may cache the JWK set: 300 seconds.
pub const DEFAULT_JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// Serves public keys as a JWK set (RFC 7517): all keys that are accepted now, beginning with the one that
/// signs. HMAC secrets are never included.
///
/// It is a tower service for requests with any body: pass it to axum's `route_service`, or use it directly
/// with hyper. It answers GET and HEAD, with `Cache-Control` and an `ETag`, and any other method with 405.
///
/// The content type is `application/json`, which all large providers send and every client reads. Some
/// clients refuse `application/jwk-set+json`, which RFC 7517 registers.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, body::Body};
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_jwt_auth::{Algorithm, KeyRing, SigningKey};
/// use tower_jwt_auth::jwks::{JWKS_PATH, JwksService};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?);
/// let app: Router = Router::new().route_service(JWKS_PATH, JwksService::new(&ring));
///
/// let answer = app.oneshot(Request::get(JWKS_PATH).body(Body::empty())?).await?;
/// assert_eq!(answer.headers()["Content-Type"], "application/json");
/// assert_eq!(answer.headers()["Cache-Control"], "public, max-age=300");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JwksService {
    keys: PublishedKeys,
    max_age: Duration,
}

/// The keys that a [`JwksService`] serves. Convert them from a [`KeyRing`], a
/// [`TokenIssuer`](crate::TokenIssuer) or a [`KeySet`].
#[derive(Debug, Clone)]
pub struct PublishedKeys(Keys);

#[derive(Debug, Clone)]
enum Keys {
    Fixed(Arc<Document>),
    Ring(KeyRing),
    Issuer(Arc<dyn IssuerKeySet>),
}

/// The changing keys of an issuer.
pub(crate) trait IssuerKeySet: fmt::Debug + Send + Sync {
    fn key_set(&self) -> KeySet;
    /// Returns for how long a key is in the set before it signs, if that is known.
    fn published_for(&self) -> Option<Duration>;
}

/// The body of the responses of a [`JwksService`].
#[derive(Debug, Default)]
pub struct JwksBody {
    left: Option<Bytes>,
}

#[derive(Debug, Clone)]
struct Document {
    text: Bytes,
    etag: Option<HeaderValue>,
}

// === impl JwksService ===

impl JwksService {
    /// Makes a service for these keys. Each response contains the current keys of a ring, or of an issuer
    /// with a ring.
    #[must_use]
    pub fn new(keys: impl Into<PublishedKeys>) -> Self {
        Self {
            keys: keys.into(),
            max_age: DEFAULT_JWKS_MAX_AGE,
        }
    }

    /// Sets for how long clients may cache the set, in whole seconds: [300](DEFAULT_JWKS_MAX_AGE) by default.
    ///
    /// If the keys are those of a [`KeyRing`] that rotates, the time is limited to that for which the ring
    /// publishes a key before it signs, so that clients know each key in time.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<JwksBody> {
        let mut response = Response::new(JwksBody::default());
        if method != Method::GET && method != Method::HEAD {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let document = self.keys.document();
        let found = response.headers_mut();
        let max_age = match self.keys.published_for() {
            Some(lead) => self.max_age.min(lead),
            None => self.max_age,
        };
        let cache = format!("public, max-age={}", max_age.as_secs());
        found.extend(HeaderValue::try_from(cache).map(|cache| (CACHE_CONTROL, cache)));
        found.extend(document.etag.clone().map(|etag| (ETAG, etag)));
        if document.etag.is_some_and(|etag| is_known(headers, &etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        found.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        found.insert(CONTENT_LENGTH, document.text.len().into());
        if method == Method::GET {
            response.body_mut().left = Some(document.text);
        }
        response
    }
}

impl<B> Service<Request<B>> for JwksService {
    type Response = Response<JwksBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.headers())))
    }
}

/// Whether the client already has the document with this `ETag` (RFC 9110 section 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag)
}

// === impl PublishedKeys ===

impl PublishedKeys {
    pub(crate) fn of_issuer(issuer: impl IssuerKeySet + 'static) -> Self {
        Self(Keys::Issuer(Arc::new(issuer)))
    }

    fn document(&self) -> Document {
        match &self.0 {
            Keys::Fixed(document) => Document::clone(document),
            Keys::Ring(ring) => Document::of(&ring.key_set()),
            Keys::Issuer(issuer) => Document::of(&issuer.key_set()),
        }
    }

    /// Returns for how long a key is in the set before it signs, if that is known.
    fn published_for(&self) -> Option<Duration> {
        match &self.0 {
            Keys::Fixed(_) => None,
            Keys::Ring(ring) => ring.publish_for(),
            Keys::Issuer(issuer) => issuer.published_for(),
        }
    }
}

impl From<&KeyRing> for PublishedKeys {
    fn from(ring: &KeyRing) -> Self {
        Self(Keys::Ring(ring.clone()))
    }
}

impl From<KeyRing> for PublishedKeys {
    fn from(ring: KeyRing) -> Self {
        Self(Keys::Ring(ring))
    }
}

impl From<&KeySet> for PublishedKeys {
    fn from(keys: &KeySet) -> Self {
        Self(Keys::Fixed(Arc::new(Document::of(keys))))
    }
}

impl From<KeySet> for PublishedKeys {
    fn from(keys: KeySet) -> Self {
        Self::from(&keys)
    }
}

// === impl Document ===

impl Document {
    fn of(keys: &KeySet) -> Self {
        let text = Bytes::from(keys.to_jwks().to_string());
        let etag =
            digest(&text).and_then(|digest| HeaderValue::try_from(format!("\"{digest}\"")).ok());
        Self { text, etag }
    }
}

// === impl JwksBody ===

impl Body for JwksBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.take().map(|left| Ok(Frame::data(left))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.as_ref().map_or(0, |left| left.len() as u64))
    }
}
