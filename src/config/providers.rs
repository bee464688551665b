//! [`ProviderConfig`]: the configuration of an identity provider whose tokens a service accepts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::vars::Vars;
use crate::error::ConfigError;
use crate::jwks::RemoteJwks;
use crate::policy::TokenProfile;
use crate::verifier::{Preset, TokenVerifier, TokenVerifierBuilder};

/// The beginning of the variables' names.
const PREFIX: &str = "JWT_PROVIDER_";

/// An identity provider whose tokens a service accepts.
///
/// [`AuthConfig`](super::AuthConfig) reads the first provider from these variables, the second one from those
/// with a 2 in place of the 1, and so on. Separate several values by commas or white space.
///
/// | variable | meaning |
/// |---|---|
/// | `JWT_PROVIDER_1` \[issuer\] | the `iss` of its tokens, byte for byte; with a preset, the URL of the provider, a tenant or a project; not needed with the presets `google`, `google-iap` and `github-actions` |
/// | `JWT_PROVIDER_1_AUDIENCE` \[audience\] | the `aud` of tokens for this service; required |
/// | `JWT_PROVIDER_1_PRESET` \[preset\] | the name of a [preset](Preset::named), such as `keycloak` |
/// | `JWT_PROVIDER_1_PROFILE` \[profile\] | `compatible` (the default), `rfc9068` or `id-token` |
/// | `JWT_PROVIDER_1_AUDIENCE_CLAIM` \[audience_claim\] | the claim with the audience, if it is not `aud` |
/// | `JWT_PROVIDER_1_SCOPE_CLAIM` \[scope_claim\] | the claim with the scopes; `scope` and `scp` by default |
/// | `JWT_PROVIDER_1_ROLE_CLAIM` \[role_claim\] | the claim with the roles, such as `realm_access.roles`; none by default |
/// | `JWT_PROVIDER_1_JWKS_URI` \[jwks_uri\] | the URL of its keys, if no metadata names it |
/// | `JWT_PROVIDER_1_KEYS_FROM` \[keys_from\] | further origins from which its keys may come, besides that of the issuer |
/// | `JWT_PROVIDER_1_PRIVATE_NETWORK` \[private_network\] | `yes` if it is in a private network; https is still required |
/// | `JWT_PROVIDER_1_CA_FILE` \[ca_file\] | a file of certificates to trust (PEM), for a private certificate authority |
/// | `JWT_PROVIDER_1_TOKEN_FILE` \[token_file\] | a file with a bearer token for fetching keys; it is read again for each fetch |
/// | `JWT_PROVIDER_1_DANGEROUS_HTTP` \[dangerous_http\] | [hosts](crate::jwks::RemoteJwksBuilder::dangerous_allow_http) from which keys are fetched over plain http |
///
/// The proxy variables `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are respected.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// The `iss` of the provider's tokens or, with a preset, its URL, a tenant or a project.
    pub issuer: String,
    /// The `aud` of tokens for this service.
    pub audience: String,
    /// The name of a preset.
    pub preset: Option<String>,
    /// The name of a profile.
    pub profile: Option<String>,
    /// The claim with the audience, if it is not `aud`.
    pub audience_claim: Option<String>,
    /// The claims with the scopes.
    pub scope_claim: Option<String>,
    /// The claims with the roles.
    pub role_claim: Option<String>,
    /// The URL of the provider's keys.
    pub jwks_uri: Option<String>,
    /// Further origins from which the keys may come.
    pub keys_from: Option<String>,
    /// Whether the provider is in a private network.
    pub private_network: bool,
    /// The file of certificates to trust.
    pub ca_file: Option<String>,
    /// The file of the bearer token for fetches.
    pub token_file: Option<String>,
    /// Hosts from which keys are fetched over plain http.
    pub dangerous_http: Option<String>,
}

// === impl ProviderConfig ===

impl ProviderConfig {
    /// Reads all providers, in the order of their numbers.
    pub(super) fn read(vars: &mut Vars<'_>) -> Vec<Self> {
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        let names: BTreeSet<String> = vars.vars.keys().cloned().collect();
        for name in names.into_iter().filter(|name| name.starts_with(PREFIX)) {
            given.extend(vars.text(&name).map(|value| (name, value)));
        }
        let number_of = |name: &String| name[PREFIX.len()..].split('_').next()?.parse().ok();
        let numbers: BTreeSet<u16> = given.keys().filter_map(number_of).collect();
        let mut providers = Vec::new();
        for number in numbers {
            let mut take = |suffix: &str| given.remove(&format!("{PREFIX}{number}{suffix}"));
            let private = take("_PRIVATE_NETWORK");
            providers.push(Self {
                issuer: take("").unwrap_or_default(),
                audience: take("_AUDIENCE").unwrap_or_default(),
                preset: take("_PRESET"),
                profile: take("_PROFILE"),
                audience_claim: take("_AUDIENCE_CLAIM"),
                scope_claim: take("_SCOPE_CLAIM"),
                role_claim: take("_ROLE_CLAIM"),
                jwks_uri: take("_JWKS_URI"),
                keys_from: take("_KEYS_FROM"),
                private_network: private.as_deref() == Some("yes"),
                ca_file: take("_CA_FILE"),
                token_file: take("_TOKEN_FILE"),
                dangerous_http: take("_DANGEROUS_HTTP"),
            });
            if private.is_some_and(|value| value != "yes" && value != "no") {
                vars.problems.push(ConfigError::invalid(format!(
                    "{PREFIX}{number}_PRIVATE_NETWORK must be `yes` or `no`"
                )));
            }
        }
        // A mistyped name must not look like a setting that takes effect.
        for name in given.keys() {
            vars.problems.push(ConfigError::invalid(format!(
                "{name} is not a variable of this crate: write JWT_PROVIDER_1, or after `JWT_PROVIDER_1` one \
                 of _AUDIENCE, _PRESET, _PROFILE, _AUDIENCE_CLAIM, _SCOPE_CLAIM, _ROLE_CLAIM, _JWKS_URI, \
                 _KEYS_FROM, _PRIVATE_NETWORK, _CA_FILE, _TOKEN_FILE and _DANGEROUS_HTTP"
            )));
        }
        providers
    }

    /// Adds everything that is wrong, each with its variable. `number` begins with 1.
    pub(super) fn check(&self, number: usize, problems: &mut Vec<ConfigError>) {
        let before = problems.len();
        let is_named = |name: &str| self.preset.as_deref() == Some(name);
        let needs_no_address = ["google", "google-iap", "github-actions"];
        if self.issuer.is_empty() && !needs_no_address.into_iter().any(is_named) {
            problems.push(ConfigError::invalid(format!(
                "{PREFIX}{number} is not set: set it to the `iss` of the provider's tokens"
            )));
        }
        if words(&self.audience).next().is_none() {
            problems.push(ConfigError::invalid(format!(
                "{PREFIX}{number}_AUDIENCE is not set: set it to the `aud` of tokens for this service"
            )));
        }
        if problems.len() == before
            && let Err(problem) = self.settings().and_then(|()| self.keys()?.check())
        {
            problems.push(ConfigError::invalid(format!("{PREFIX}{number}: {problem}")));
        }
    }

    /// Returns the builder of a verifier for the provider's tokens, and begins to fetch the keys.
    pub(super) fn verifier_builder(&self) -> Result<TokenVerifierBuilder, ConfigError> {
        let keys = self.keys()?.build()?;
        let mut builder = TokenVerifier::builder().remote_jwks(&keys);
        if let Some(preset) = self.preset()? {
            builder = builder.preset(preset);
        } else {
            builder = builder.issuer(&self.issuer);
        }
        if let Some(profile) = self.profile()? {
            builder = builder.profile(profile);
        }
        for audience in words(&self.audience) {
            builder = builder.audience(audience);
        }
        if let Some(claim) = &self.audience_claim {
            builder = builder.audience_claim(claim);
        }
        for claim in words(self.scope_claim.as_deref().unwrap_or_default()) {
            builder = builder.scope_claim(claim);
        }
        for claim in words(self.role_claim.as_deref().unwrap_or_default()) {
            builder = builder.role_claim(claim);
        }
        Ok(builder)
    }

    fn settings(&self) -> Result<(), ConfigError> {
        self.preset()?;
        self.profile().map(drop)
    }

    fn preset(&self) -> Result<Option<Preset>, ConfigError> {
        let preset = self.preset.as_deref();
        preset
            .map(|name| Preset::named(name, &self.issuer))
            .transpose()
    }

    fn profile(&self) -> Result<Option<TokenProfile>, ConfigError> {
        Ok(Some(match self.profile.as_deref() {
            None => return Ok(None),
            Some("compatible") => TokenProfile::Compatible,
            Some("rfc9068") => TokenProfile::Rfc9068,
            Some("id-token") => TokenProfile::IdToken,
            Some(other) => {
                let other: String = other.escape_default().take(64).collect();
                return Err(ConfigError::invalid(format!(
                    "there is no profile `{other}`: write `compatible`, `rfc9068` or `id-token`"
                )));
            }
        }))
    }

    fn keys(&self) -> Result<crate::jwks::RemoteJwksBuilder, ConfigError> {
        let preset = self.preset()?;
        let mut keys = match (&self.jwks_uri, &preset) {
            (Some(url), Some(_)) => RemoteJwks::builder_at(url),
            (Some(url), None) => RemoteJwks::builder(&self.issuer).jwks_uri(url),
            (None, Some(preset)) => preset
                .remote()?
                .unwrap_or_else(|| RemoteJwks::builder(&self.issuer)),
            (None, None) => RemoteJwks::builder(&self.issuer),
        };
        keys = keys.proxy_from_env();
        // Plain http is accepted only on this machine, for development.
        if self.issuer.starts_with("http://") {
            keys = keys.allow_loopback();
        }
        if self.private_network {
            keys = keys.allow_private_network();
        }
        if let Some(path) = &self.ca_file {
            keys = keys.root_certificates_file(path);
        }
        if let Some(path) = &self.token_file {
            keys = keys.bearer_token_file(path);
        }
        for host in words(self.dangerous_http.as_deref().unwrap_or_default()) {
            keys = keys.dangerous_allow_http(host);
        }
        for origin in words(self.keys_from.as_deref().unwrap_or_default()) {
            keys = keys.allow_keys_from(origin);
        }
        Ok(keys)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty())
}
