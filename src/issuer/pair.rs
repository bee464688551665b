//! [`PairRequest`] and [`TokenPair`]: an access token with its refresh token. [`AccessTokenResponse`]: a pair
//! without its refresh token.

use std::fmt;

use serde::Serialize;

use super::error::IssueError;
use super::request::TokenRequest;
use crate::dpop::DpopProof;

/// An access token and a refresh token that are about to be issued; see
/// [`TokenIssuer::pair`](super::TokenIssuer::pair).
#[must_use = "no token is issued until `issue()`"]
#[derive(Clone)]
pub struct PairRequest<'a> {
    pub(super) request: TokenRequest<'a>,
}

/// An access token with its refresh token, ready to be the body of a token response
/// (RFC 6749 section 5.1). `Debug` shows neither.
///
/// As JSON it has the members `access_token`, `token_type`, `expires_in`, `refresh_token` and
/// `refresh_expires_in`. With the feature `axum` it is a response, so a handler may return
/// `Result<TokenPair, SessionError>`.
///
/// # Security
///
/// Send it with `Cache-Control: no-store`; the response for axum has that header. Keep the refresh
/// token away from scripts in a browser: see [`RefreshCookie`](crate::refresh_cookie::RefreshCookie).
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct TokenPair {
    /// The access token, which the client sends with each request.
    pub access_token: String,
    /// The token type: `DPoP` if the access token is bound to the key of a proof (RFC 9449 section 5), and
    /// otherwise `Bearer`.
    pub token_type: &'static str,
    /// The remaining lifetime of the access token, in seconds.
    pub expires_in: u64,
    /// The refresh token, which the client exchanges for the next pair.
    pub refresh_token: String,
    /// The remaining lifetime of the refresh token, in seconds.
    pub refresh_expires_in: u64,
}

/// A token pair without its refresh token, as the body of the response to a page whose refresh token
/// is in a cookie. `Debug` does not show the token.
///
/// # Security
///
/// Send it with `Cache-Control: no-store`. With the feature `axum` it is a response with that
/// header.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct AccessTokenResponse {
    /// The access token, which the client sends with each request.
    pub access_token: String,
    /// The token type: `DPoP` if the access token is bound to the key of a proof (RFC 9449 section 5), and
    /// otherwise `Bearer`.
    pub token_type: &'static str,
    /// The remaining lifetime of the access token, in seconds.
    pub expires_in: u64,
    /// The remaining lifetime of the refresh token in the cookie, in seconds.
    pub refresh_expires_in: u64,
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

    /// Adds a scope to both tokens, or several that are separated by spaces.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.request = self.request.scope(scope);
        self
    }

    /// Adds scopes to both tokens.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.scopes(scopes);
        self
    }

    /// Adds a role to both tokens, in the claim `roles`. An empty text adds no role.
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        self.request = self.request.role(role);
        self
    }

    /// Adds several roles to both tokens.
    pub fn roles<S: AsRef<str>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.request = self.request.roles(roles);
        self
    }

    /// Sets the session (`sid`) that both tokens belong to.
    pub fn session(mut self, sid: impl Into<String>) -> Self {
        self.request = self.request.session(sid);
        self
    }

    /// Binds both tokens to the key of a DPoP proof: see [`TokenRequest::dpop`].
    pub fn dpop<'p>(mut self, proof: impl Into<Option<&'p DpopProof>>) -> Self {
        self.request = self.request.dpop(proof);
        self
    }

    /// Issues both tokens.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`TokenRequest::issue`].
    pub fn issue(self) -> Result<TokenPair, IssueError> {
        let access = self.request;
        let mut refresh = access.issuer.refresh(access.subject.clone());
        refresh.scopes.clone_from(&access.scopes);
        refresh.session.clone_from(&access.session);
        refresh.claims.clone_from(&access.claims);
        refresh.key.clone_from(&access.key);
        refresh.problem.clone_from(&access.problem);
        Ok(TokenPair {
            expires_in: access.ttl.as_secs(),
            token_type: token_type_of(access.key.as_deref()),
            access_token: access.issue()?,
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

/// The token type of a token that is bound to this key.
pub(crate) const fn token_type_of(key: Option<&str>) -> &'static str {
    match key {
        Some(_) => "DPoP",
        None => "Bearer",
    }
}

// === impl TokenPair ===

impl TokenPair {
    /// Removes the refresh token. The rest is the body of a response that has the refresh token in a
    /// cookie.
    #[must_use]
    pub fn without_refresh_token(self) -> AccessTokenResponse {
        AccessTokenResponse {
            access_token: self.access_token,
            token_type: self.token_type,
            expires_in: self.expires_in,
            refresh_expires_in: self.refresh_expires_in,
        }
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

// === impl AccessTokenResponse ===

impl fmt::Debug for AccessTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenResponse")
            .field("access_token", &"[redacted]")
            .field("expires_in", &self.expires_in)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .finish_non_exhaustive()
    }
}
