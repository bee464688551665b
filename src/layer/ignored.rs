//! [`IgnoredCookie`]: a bad cookie that was ignored, and why.

use std::fmt;
use std::sync::Arc;

use crate::error::AuthError;

/// A bad cookie that was ignored, and the reason. A page can remove the cookie, so that the browser does not
/// send it again.
///
/// It is in the extensions of requests behind
/// [`optional_ignoring_bad_cookies`](crate::JwtAuthLayer::optional_ignoring_bad_cookies). With the feature
/// `axum`, it is also an optional extractor.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::response::{AppendHeaders, IntoResponse};
/// use http::header::SET_COOKIE;
/// use tower_jwt_auth::VerifiedToken;
/// use tower_jwt_auth::layer::IgnoredCookie;
///
/// async fn home(user: Option<VerifiedToken>, ignored: Option<IgnoredCookie>) -> impl IntoResponse {
///     let clear = ignored.map(|cookie| {
///         let name = cookie.name();
///         (SET_COOKIE, format!("{name}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"))
///     });
///     let who = user.map_or("Please log in.", |_| "Welcome back.");
///     (AppendHeaders(clear), who)
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(home)); }
/// ```
#[derive(Clone)]
pub struct IgnoredCookie {
    name: Arc<str>,
    error: AuthError,
}

// === impl IgnoredCookie ===

impl IgnoredCookie {
    pub(super) const fn new(name: Arc<str>, error: AuthError) -> Self {
        Self { name, error }
    }

    /// Returns the name of the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what is wrong with the cookie. The status of the error is 400 if the request has two such
    /// cookies with different values, or cookies for two token sources, and 401 if the token in the cookie is
    /// refused.
    #[must_use]
    pub const fn error(&self) -> &AuthError {
        &self.error
    }
}

impl fmt::Debug for IgnoredCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IgnoredCookie")
            .field("name", &self.name)
            .field("error", &self.error)
            .finish()
    }
}
