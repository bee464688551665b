//! [`RefreshCookie`]: the refresh token of a browser page, in a cookie that no script can read.

mod builder;
mod error;

pub use builder::{DEFAULT_COOKIE_NAME, RefreshCookieBuilder};
pub use error::RefreshCookieError;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::bearer::find_cookie;
use crate::error::ConfigError;
use crate::issuer::TokenPair;
use crate::origin::is_from;
use crate::sessions::SessionError;

/// The header in which the browser says where the requesting page is from (Fetch Metadata). No
/// script can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The most bytes of name and value together that browsers keep (RFC 6265bis section 5.6).
const MAX_COOKIE_BYTES: usize = 4096;

/// The cookie that carries the refresh token of a browser page.
///
/// The page keeps the access token in memory, and the browser keeps the refresh token, where no
/// script can read it: `__Host-refresh=..; Path=/; Secure; HttpOnly; SameSite=Strict`, for as long
/// as the session lasts. This type is cheap to clone.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::extract::State;
/// use axum::http::{HeaderMap, Request, StatusCode};
/// use axum::response::{IntoResponse, Response};
/// use axum::{Router, body::Body, routing::post};
/// use tower::ServiceExt;
/// use tower_jwt_auth::Sessions;
/// use tower_jwt_auth::issuer::TokenPair;
/// use tower_jwt_auth::refresh_cookie::{RefreshCookie, RefreshCookieError};
/// use tower_jwt_auth::sessions::{MemorySessions, SessionError};
///
/// #[derive(Clone)]
/// struct App {
///     sessions: Sessions,
///     cookie: RefreshCookie,
/// }
///
/// /// Check the password first, which this example leaves out.
/// async fn login(
///     State(app): State<App>,
///     headers: HeaderMap,
/// ) -> Result<Response, RefreshCookieError> {
///     // Otherwise another page could log its visitors in to an account of its own.
///     app.cookie.check_origin(&headers)?;
///     Ok(match app.sessions.open("alice").issue().await {
///         Ok(pair) => app.cookie.respond(pair),
///         Err(error) => app.cookie.reject(error),
///     })
/// }
///
/// async fn refresh(
///     State(app): State<App>,
///     headers: HeaderMap,
/// ) -> Result<Response, RefreshCookieError> {
///     let Some(token) = app.cookie.read(&headers)? else {
///         return Ok(StatusCode::NO_CONTENT.into_response()); // nobody is logged in
///     };
///     Ok(match next_pair(&app.sessions, token).await {
///         Ok(pair) => app.cookie.respond(pair),
///         // Removes the cookie if the session is over, and never because of an outage.
///         Err(error) => app.cookie.reject(error),
///     })
/// }
///
/// async fn next_pair(sessions: &Sessions, token: &str) -> Result<TokenPair, SessionError> {
///     Ok(sessions.refresh(token).await?.issue().await?.tokens)
/// }
///
/// async fn logout(
///     State(app): State<App>,
///     headers: HeaderMap,
/// ) -> Result<Response, RefreshCookieError> {
///     if let Some(token) = app.cookie.read(&headers)?
///         && let Err(error) = app.sessions.end_by_token(token).await
///     {
///         return Ok(app.cookie.reject(error)); // 503: the page should retry
///     }
///     Ok(app.cookie.clear_response())
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
/// # let key = SigningKey::generate(Algorithm::HS256)?;
/// # let tokens = TokenIssuer::builder(key).issuer("me").audience("api").build()?;
/// let app = App {
///     sessions: Sessions::builder(&tokens, MemorySessions::new()).build()?,
///     cookie: RefreshCookie::new(["https://app.example"])?,
/// };
/// let app = Router::new()
///     .route("/auth/login", post(login))
///     .route("/auth/refresh", post(refresh))
///     .route("/auth/logout", post(logout))
///     .with_state(app);
///
/// let ours = |path| Request::post(path).header("Origin", "https://app.example");
/// let response = app.clone().oneshot(ours("/auth/login").body(Body::empty())?).await?;
/// let cookie = response.headers()["Set-Cookie"].to_str()?.to_owned();
/// assert!(cookie.starts_with("__Host-refresh="));
/// assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"));
/// let (cookie, _) = cookie.split_once(';').unwrap_or_default(); // what a browser sends back
///
/// let with_cookie = |path| ours(path).header("Cookie", cookie).body(Body::empty());
/// let response = app.clone().oneshot(with_cookie("/auth/refresh")?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
///
/// // A page of another origin is refused.
/// let theirs = Request::post("/auth/refresh").header("Origin", "https://evil.example");
/// let response = app.clone().oneshot(theirs.header("Cookie", cookie).body(Body::empty())?).await?;
/// assert_eq!(response.status(), StatusCode::FORBIDDEN);
///
/// let response = app.clone().oneshot(with_cookie("/auth/logout")?).await?;
/// assert_eq!(response.status(), StatusCode::NO_CONTENT);
/// assert!(response.headers()["Set-Cookie"].to_str()?.contains("Max-Age=0"));
///
/// // The session is over, so the response removes the cookie.
/// let response = app.oneshot(with_cookie("/auth/refresh")?).await?;
/// assert_eq!(response.status(), StatusCode::BAD_REQUEST); // `invalid_grant`
/// assert!(response.headers()["Set-Cookie"].to_str()?.contains("Max-Age=0"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// - The name always begins with `__Host-`. A browser then accepts the cookie only from this very
///   host, over TLS and for all paths, so that no subdomain can set a cookie of the same name
///   (RFC 6265bis section 4.1.3.2). A name without the prefix is refused when the cookie is built.
/// - A browser also sends cookies with requests that other pages cause. Therefore
///   [`read`](Self::read) refuses every request with the cookie whose `Origin` is not one of yours,
///   whatever its method. `SameSite=Strict` is the second line of defense.
/// - Only the error `invalid_grant` removes the cookie; see [`clear_after`](Self::clear_after).
/// - The page receives only the access token: [`TokenPair::without_refresh_token`] is the body.
/// - A script that was injected into the page cannot read the refresh token, but it can refresh as
///   long as the page is open. Only a page without such scripts is safe from that.
///
/// # Pages on another origin
///
/// The page and the service must belong to the same site, such as `https://app.example` and
/// `https://api.app.example`: browsers send no `SameSite=Strict` cookie to another site. If their
/// origins differ, the page must fetch with `credentials: "include"`, and a CORS layer must allow
/// its origin, with credentials.
///
/// # Development without TLS
///
/// Current versions of Chrome and Firefox keep such a cookie from `http://localhost` as well, so an
/// origin may be `http://localhost:3000`. Safari and older versions of Chrome do not keep it. For
/// them, use [`dangerous_insecure`](RefreshCookieBuilder::dangerous_insecure), which allows only
/// origins on this machine.
#[derive(Debug, Clone)]
pub struct RefreshCookie {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Box<str>,
    origins: Box<[Box<str>]>,
    /// All attributes except `Max-Age`.
    attributes: Box<str>,
    /// The value of `Set-Cookie` that removes the cookie.
    clear: HeaderValue,
}

// === impl RefreshCookie ===

impl RefreshCookie {
    /// Creates the cookie `__Host-refresh` for pages of these origins. Write them exactly as
    /// browsers send them in `Origin`, such as `https://app.example`.
    ///
    /// # Errors
    ///
    /// Fails if there is no origin, or if one is not written as browsers send it: with a path, a
    /// slash at the end, an upper-case letter or a default port. Fails also if one is plain http
    /// and not on this machine.
    pub fn new<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Result<Self, ConfigError> {
        Self::builder(origins).build()
    }

    /// Starts building a cookie with other settings than the defaults, for pages of these origins.
    pub fn builder<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> RefreshCookieBuilder {
        RefreshCookieBuilder::new(origins.into_iter().map(Into::into).collect())
    }

    /// Returns the name of the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Reads the refresh token of a request. Returns `None` if the request has no such cookie,
    /// which means that nobody is logged in.
    ///
    /// # Errors
    ///
    /// - [`MissingOrigin`](RefreshCookieError::MissingOrigin) or
    ///   [`CrossOrigin`](RefreshCookieError::CrossOrigin): the request has the cookie, but is
    ///   not from one of your pages.
    /// - [`DuplicateCookie`](RefreshCookieError::DuplicateCookie): the request has two cookies of the name
    ///   with different values. Two of equal value are one.
    ///
    /// These errors say nothing about the session: do not remove the cookie.
    pub fn read<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r str>, RefreshCookieError> {
        let found = find_cookie(headers, &self.inner.name);
        if matches!(found, Ok(None)) {
            return Ok(None);
        }
        // The origin is checked first, so that a foreign page learns nothing about the cookies.
        self.check_origin(headers)?;
        found.map_err(|_| RefreshCookieError::DuplicateCookie)
    }

    /// Checks that a request is from one of your pages, whether or not it has the cookie. Call it
    /// at login, too: otherwise another page could log its visitors in to an account of its own.
    ///
    /// The request must have exactly one `Origin`, which must be one of yours. If it has
    /// `Sec-Fetch-Site`, that must be `same-origin` or `same-site`.
    ///
    /// # Errors
    ///
    /// - [`MissingOrigin`](RefreshCookieError::MissingOrigin): the request has no `Origin`.
    /// - [`CrossOrigin`](RefreshCookieError::CrossOrigin): the request is from another page.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), RefreshCookieError> {
        if !headers.contains_key(ORIGIN) {
            return Err(RefreshCookieError::MissingOrigin);
        }
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        let own_site = match (sites.next(), sites.next()) {
            (None, _) => true, // Safari before 16.4, and clients that are not browsers
            (Some(site), None) => site == "same-origin" || site == "same-site",
            (Some(_), Some(_)) => false,
        };
        if own_site && is_from(headers, &self.inner.origins) {
            Ok(())
        } else {
            Err(RefreshCookieError::CrossOrigin)
        }
    }

    /// Returns the value of `Set-Cookie` that gives the refresh token to the browser, for as long
    /// as the session lasts. The value is marked as sensitive, so `Debug` and loggers show
    /// `Sensitive` in its place.
    ///
    /// # Errors
    ///
    /// - [`TokenTooLong`](RefreshCookieError::TokenTooLong): browsers would silently drop the
    ///   cookie.
    /// - [`MalformedToken`](RefreshCookieError::MalformedToken): the pair was changed, and its
    ///   refresh token is not one that this crate issues.
    pub fn set(&self, pair: &TokenPair) -> Result<HeaderValue, RefreshCookieError> {
        let (name, token) = (&*self.inner.name, &*pair.refresh_token);
        if token.is_empty() || !token.bytes().all(is_cookie_octet) {
            return Err(RefreshCookieError::MalformedToken);
        }
        if name.len() + token.len() > MAX_COOKIE_BYTES {
            return Err(RefreshCookieError::TokenTooLong);
        }
        let seconds = pair.refresh_expires_in;
        let attributes = &self.inner.attributes;
        let cookie = format!("{name}={token}; Max-Age={seconds}; {attributes}");
        let mut cookie =
            HeaderValue::try_from(cookie).map_err(|_| RefreshCookieError::MalformedToken)?;
        cookie.set_sensitive(true);
        Ok(cookie)
    }

    /// Returns the value of `Set-Cookie` that removes the cookie. Use it after a logout.
    #[must_use]
    pub fn clear(&self) -> HeaderValue {
        self.inner.clear.clone()
    }

    /// Returns the value of `Set-Cookie` that removes the cookie if this error means that the
    /// session is over, which is the case if its code is `invalid_grant`. Returns `None` for every
    /// other error.
    ///
    /// # Security
    ///
    /// Remove the cookie only after such an error and after a logout. After a 503, a 429 of a rate
    /// limit, a 405 or a 403 the session is still valid, and removing the cookie would log the user
    /// out because of an outage.
    #[must_use]
    pub fn clear_after(&self, error: &SessionError) -> Option<HeaderValue> {
        (error.code() == "invalid_grant").then(|| self.clear())
    }
}

/// Whether a byte may be in the value of a cookie (RFC 6265 section 4.1.1).
const fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~')
}
