//! [`ResourceMetadataBuilder`]: sets the content of the document, which is checked once.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::address::{Address, is_url};
use super::document::Document;
use super::{DEFAULT_METADATA_MAX_AGE, ResourceMetadata};
use crate::claims::is_scope_token;
use crate::dpop::Dpop;
use crate::error::ConfigError;
use crate::keys::digest;
use crate::names::Names;
use crate::origin::shown;

/// The members that the builder itself sets, by a setter or because they follow from what the layer does.
const SET_OTHERWISE: [&str; 8] = [
    "resource",
    "authorization_servers",
    "bearer_methods_supported",
    "scopes_supported",
    "resource_name",
    "resource_documentation",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
];

/// Builds a [`ResourceMetadata`]; made by [`ResourceMetadata::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct ResourceMetadataBuilder {
    resource: String,
    issuers: Vec<String>,
    servers: Vec<String>,
    scopes: Vec<String>,
    name: Option<String>,
    documentation: Option<String>,
    /// The algorithms of DPoP proofs, and whether proofs are required.
    dpop: Option<(Vec<&'static str>, bool)>,
    further: Vec<(String, Option<Value>)>,
    max_age: Duration,
}

// === impl ResourceMetadataBuilder ===

impl ResourceMetadataBuilder {
    pub(super) fn new(resource: String, issuers: Vec<String>) -> Self {
        Self {
            resource,
            issuers,
            servers: Vec::new(),
            scopes: Vec::new(),
            name: None,
            documentation: None,
            dpop: None,
            further: Vec::new(),
            max_age: DEFAULT_METADATA_MAX_AGE,
        }
    }

    /// Sets the authorization servers, instead of the issuers of the verifier.
    ///
    /// Use it if the verifier knows its issuers only by a pattern or at run time, if the layer also accepts
    /// opaque tokens of another server, or if the `iss` of the tokens is not the server at which clients log
    /// in, as for tokens of version 1 of Entra ID. Make sure that the layer accepts the tokens of these
    /// servers.
    pub fn authorization_servers(mut self, urls: impl Names) -> Self {
        self.servers.clear();
        urls.for_each(&mut |url| self.servers.push(url.to_owned()));
        self
    }

    /// Adds scopes to `scopes_supported`, which clients may request.
    ///
    /// Clients request all of them if the challenge names no scopes: see
    /// [`challenge_scope`](crate::JwtAuthLayer::challenge_scope).
    pub fn scopes_supported(mut self, scopes: impl Names) -> Self {
        scopes.for_each(&mut |names| {
            let names = names.split(' ').map(str::to_owned);
            self.scopes.extend(names);
        });
        self
    }

    /// Sets the name of the resource, for people to read.
    pub fn resource_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the URL of a page for developers who use the resource.
    pub fn resource_documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Announces that the resource accepts tokens that are bound to a key (RFC 9449), and the algorithms for
    /// proofs. Use it with a layer that has [`dpop`](crate::JwtAuthLayer::dpop).
    pub fn dpop(self, dpop: &Dpop) -> Self {
        self.proofs(dpop, false)
    }

    /// Announces that the resource accepts only tokens that are bound to a key. Use it with a layer that has
    /// [`require_dpop`](crate::JwtAuthLayer::require_dpop).
    pub fn require_dpop(self, dpop: &Dpop) -> Self {
        self.proofs(dpop, true)
    }

    fn proofs(mut self, dpop: &Dpop, is_required: bool) -> Self {
        let algorithms = dpop.algorithms().iter().map(|one| one.as_str());
        self.dpop = Some((algorithms.collect(), is_required));
        self
    }

    /// Adds another member, such as `resource_policy_uri` or `resource_name#fr` (RFC 9728 section 2).
    /// [`build`](Self::build) refuses members that the builder itself sets, such as `resource`.
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).ok();
        self.further.push((name.into(), value));
        self
    }

    /// Sets for how long clients may cache the document, in whole seconds: [300](DEFAULT_METADATA_MAX_AGE) by
    /// default.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Builds the document.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - the resource identifier is not an https URL in the form that clients compare (http is accepted only
    ///   for this machine);
    /// - there is no authorization server, or one is not a URL;
    /// - a scope is malformed;
    /// - the documentation is not a URL;
    /// - a further member is not serializable, was set twice, or is one that the builder itself sets.
    pub fn build(self) -> Result<ResourceMetadata, ConfigError> {
        let address = Address::of(&self.resource)?;
        let mut members = Map::new();
        members.insert("resource".into(), self.resource.as_str().into());
        members.insert("authorization_servers".into(), self.servers()?.into());
        // The layer reads the `Authorization` header. Of its other sources, RFC 6750 only has the query,
        // which no client should use.
        members.insert("bearer_methods_supported".into(), json!(["header"]));
        if !self.scopes.is_empty() {
            let malformed = self.scopes.iter().find(|scope| !is_scope_token(scope));
            if let Some(scope) = malformed {
                return Err(ConfigError::invalid(format!(
                    "`{}` in `scopes_supported` is not a scope: it must not be empty, and has printable \
                     ASCII characters other than `\"` and `\\` (RFC 6749 section 3.3)",
                    shown(scope)
                )));
            }
            members.insert("scopes_supported".into(), self.scopes.clone().into());
        }
        if let Some(name) = self.name {
            members.insert("resource_name".into(), name.into());
        }
        if let Some(url) = self.documentation {
            // A fragment is allowed here.
            if !is_url(url.split('#').next().unwrap_or_default()) {
                return Err(ConfigError::invalid(format!(
                    "the resource documentation `{}` is not an https URL",
                    shown(&url)
                )));
            }
            members.insert("resource_documentation".into(), url.into());
        }
        if let Some((algorithms, is_required)) = self.dpop {
            let name = "dpop_signing_alg_values_supported";
            members.insert(name.into(), algorithms.into());
            if is_required {
                members.insert("dpop_bound_access_tokens_required".into(), true.into());
            }
        }
        for (name, value) in self.further {
            let shown = shown(&name);
            if SET_OTHERWISE.contains(&name.as_str()) {
                return Err(ConfigError::invalid(format!(
                    "the metadata member `{shown}` cannot be set by `member`: the builder sets it"
                )));
            }
            let Some(value) = value else {
                return Err(ConfigError::invalid(format!(
                    "the metadata member `{shown}` cannot be written as JSON"
                )));
            };
            if members.insert(name, value).is_some() {
                return Err(ConfigError::invalid(format!(
                    "the metadata member `{shown}` is set twice"
                )));
            }
        }
        let text = Value::Object(members).to_string();
        let etag = digest(text.as_bytes())
            .and_then(|digest| HeaderValue::try_from(format!("\"{digest}\"")).ok());
        let cache_control = format!("public, max-age={}", self.max_age.as_secs());
        let cache_control = HeaderValue::try_from(cache_control).map_err(|_| {
            ConfigError::invalid("`max_age` cannot be written into a header: set a shorter time")
        })?;
        let document = Arc::new(Document {
            resource: self.resource,
            path: address.path,
            url: address.url,
            text,
            etag,
            cache_control,
        });
        Ok(ResourceMetadata { document })
    }

    /// Returns the servers that were set or, by default, those issuers of the verifier that are URLs: a
    /// provider with several names may have one that is not a URL.
    fn servers(&self) -> Result<Vec<String>, ConfigError> {
        if let Some(wrong) = self.servers.iter().find(|server| !is_url(server)) {
            return Err(ConfigError::invalid(format!(
                "the authorization server `{}` is not an https URL",
                shown(wrong)
            )));
        }
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let urls = self.issuers.iter().filter(|issuer| is_url(issuer));
        let urls: Vec<String> = urls.cloned().collect();
        if !urls.is_empty() {
            return Ok(urls);
        }
        let problem = match self.issuers.first() {
            None => "the metadata names no authorization server: the verifier trusts no issuer by name, or \
                     the list is empty; set `issuer(..)` on the verifier, or `authorization_servers(..)` here"
                .to_owned(),
            Some(issuer) => format!(
                "the verifier's issuer `{}` is not an https URL, but clients find the authorization server by that \
                 URL (RFC 8414): set the servers by `authorization_servers(..)`",
                shown(issuer)
            ),
        };
        Err(ConfigError::invalid(problem))
    }
}
