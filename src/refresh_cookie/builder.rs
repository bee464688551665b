//! [`RefreshCookieBuilder`]: the name, attributes and origins of a refresh cookie, checked once.

use std::sync::Arc;

use http::HeaderValue;

use super::{Inner, RefreshCookie};
use crate::error::ConfigError;
use crate::origin::{Scheme, check_origin, is_token, shown};

/// The default name of the cookie. Its prefix prevents other hosts from setting it.
pub const DEFAULT_COOKIE_NAME: &str = "__Host-refresh";
/// The prefix of every name.
const PREFIX: &str = "__Host-";

/// Builds a [`RefreshCookie`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct RefreshCookieBuilder {
    origins: Vec<String>,
    name: String,
    same_site: &'static str,
    insecure: bool,
}

// === impl RefreshCookieBuilder ===

impl RefreshCookieBuilder {
    pub(super) fn new(origins: Vec<String>) -> Self {
        Self {
            origins,
            name: DEFAULT_COOKIE_NAME.to_owned(),
            same_site: "Strict",
            insecure: false,
        }
    }

    /// Sets the name of the cookie, which must begin with `__Host-`. The default is
    /// `__Host-refresh`.
    ///
    /// The name may also begin with `__Host-Http-`. Newer browsers then accept the cookie only from
    /// a response, and never from a script.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets `SameSite=Lax` in place of `Strict`. Browsers then also send the cookie when the user
    /// follows a link from another site to yours.
    ///
    /// A page that refreshes with `fetch` does not need this, however it was opened. It is for
    /// servers that look for the cookie while they render the first page. Look for it in the
    /// request yourself: [`read`](RefreshCookie::read) refuses such a navigation, because it has no
    /// `Origin`.
    pub fn same_site_lax(mut self) -> Self {
        self.same_site = "Lax";
        self
    }

    /// Leaves out `Secure`, and with it the prefix `__Host-` of the name. Use it for development on
    /// plain http with a browser that keeps no `Secure` cookie from `http://localhost`, such as
    /// Safari.
    ///
    /// # Security
    ///
    /// Such a cookie crosses the network unencrypted, and other hosts can set it. So every origin
    /// must be on this machine, such as `http://localhost:3000` or `http://127.0.0.1:3000`;
    /// otherwise [`build`](Self::build) fails.
    pub fn dangerous_insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Builds the cookie.
    ///
    /// # Errors
    ///
    /// Fails if there is no origin, if one is not written as browsers send it or is plain http and
    /// not on this machine, if one is https although the cookie is
    /// [insecure](Self::dangerous_insecure), or if the name does not begin with `__Host-` or is not
    /// a token (RFC 6265 section 4.1.1).
    pub fn build(self) -> Result<RefreshCookie, ConfigError> {
        if self.origins.is_empty() {
            return Err(ConfigError::invalid(
                "the refresh cookie has no origins, so every request would be refused: list the \
                 origins of your pages, such as `https://app.example`",
            ));
        }
        for origin in &self.origins {
            check(origin, self.insecure).map_err(ConfigError::invalid)?;
        }
        check_name(&self.name).map_err(ConfigError::invalid)?;

        let (name, secure) = match self.name.strip_prefix(PREFIX) {
            Some(rest) if self.insecure => (rest, ""),
            _ => (self.name.as_str(), "Secure; "),
        };
        let attributes = format!("Path=/; {secure}HttpOnly; SameSite={}", self.same_site);
        let clear = HeaderValue::try_from(format!("{name}=; Max-Age=0; {attributes}"))
            .map_err(|_| ConfigError::invalid("the refresh cookie's name is not a token"))?;
        let origins = self.origins.iter().map(|origin| origin.as_str().into());
        Ok(RefreshCookie {
            inner: Arc::new(Inner {
                name: name.into(),
                origins: origins.collect(),
                attributes: attributes.into(),
                clear,
            }),
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let shown = shown(name);
    match name.strip_prefix(PREFIX) {
        None => Err(format!(
            "the cookie name `{shown}` does not begin with `__Host-`, so subdomains could set the \
             cookie: call it `{DEFAULT_COOKIE_NAME}`, or leave `name` out"
        )),
        Some("") => Err(format!(
            "the cookie name `__Host-` has nothing after the prefix: call it \
             `{DEFAULT_COOKIE_NAME}`, or leave `name` out"
        )),
        Some(rest) if !is_token(rest) => Err(format!(
            "the cookie name `{shown}` contains a character that is not allowed in one: use \
             letters, digits, `-` and `_`"
        )),
        Some(_) => Ok(()),
    }
}

/// Checks that an origin is written as browsers send it, and that its page may use the cookie.
fn check(origin: &str, insecure: bool) -> Result<(), String> {
    match check_origin(origin)? {
        Scheme::Https if insecure => Err(format!(
            "the origin `{}` uses TLS and needs no insecure cookie: leave \
             `dangerous_insecure` out",
            shown(origin)
        )),
        Scheme::Https | Scheme::LocalHttp => Ok(()),
    }
}
