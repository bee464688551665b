//! [`ProviderConfig`]: an identity provider whose tokens a service takes, set from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::vars::Vars;
use crate::error::ConfigError;
use crate::jwks::RemoteJwks;
use crate::policy::TokenProfile;
use crate::verifier::{Preset, TokenVerifier, TokenVerifierBuilder};

/// The beginning of the variables.
const PREFIX: &str = "JWT_PROVIDER_";

/// An identity provider whose tokens a service takes.
///
/// [`AuthConfig`](super::AuthConfig) reads the first one from these variables, the second one from those with
/// a 2 in place of the 1, and so on. Several values are separated by commas or white space.
///
/// | variable | meaning |
/// |---|---|
/// | `JWT_PROVIDER_1` \[issuer\] | what its tokens have as `iss`, byte for byte; with a preset, the address of the provider, a tenant or a project |
/// | `JWT_PROVIDER_1_AUDIENCE` \[audience\] | what tokens for this service have as `aud`; required |
/// | `JWT_PROVIDER_1_PRESET` \[preset\] | the name of a [preset](Preset::named), such as `keycloak` |
/// | `JWT_PROVIDER_1_PROFILE` \[profile\] | `compatible` (the default), `rfc9068` or `id-token` |
/// | `JWT_PROVIDER_1_AUDIENCE_CLAIM` \[audience_claim\] | the claim that says whom a token is for, if it is not `aud` |
/// | `JWT_PROVIDER_1_SCOPE_CLAIM` \[scope_claim\] | where scopes are; `scope` and `scp` by default |
/// | `JWT_PROVIDER_1_ROLE_CLAIM` \[role_claim\] | where roles are, such as `realm_access.roles`; nowhere by default |
/// | `JWT_PROVIDER_1_KEYS_AT` \[keys_at\] | the address of its keys, if no metadata names it |
/// | `JWT_PROVIDER_1_KEYS_FROM` \[keys_from\] | origins that its keys may have, if not the issuer's own |
/// | `JWT_PROVIDER_1_PRIVATE_NETWORK` \[private_network\] | `yes` if it is in a private network, over https still |
/// | `JWT_PROVIDER_1_CA_FILE` \[ca_file\] | a file of certificates to trust (PEM), for an authority of its own |
/// | `JWT_PROVIDER_1_TOKEN_FILE` \[token_file\] | a file with a bearer token for fetching keys, read anew each time |
/// | `JWT_PROVIDER_1_DANGEROUS_HTTP` \[dangerous_http\] | [hosts](crate::jwks::RemoteJwksBuilder::dangerous_allow_http) from which keys are fetched over plain http |
///
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// What its tokens have as `iss`, or the address for the preset.
    pub issuer: String,
    /// What tokens for this service have as `aud`.
    pub audience: String,
    /// The name of a preset.
    pub preset: Option<String>,
    /// The name of a profile.
    pub profile: Option<String>,
    /// The claim that says whom a token is for, if it is not `aud`.
    pub audience_claim: Option<String>,
    /// The claims in which scopes are.
    pub scope_claim: Option<String>,
    /// The claims in which roles are.
    pub role_claim: Option<String>,
    /// The address of its keys.
    pub keys_at: Option<String>,
    /// Origins that its keys may have.
    pub keys_from: Option<String>,
    /// Whether it is in a private network.
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
    /// Reads those that there are, in the order of their numbers.
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
                keys_at: take("_KEYS_AT"),
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
        // A mistake in a name must not pass for a setting that is in force.
        for name in given.keys() {
            vars.problems.push(ConfigError::invalid(format!(
                "{name} is not a variable of this crate: write JWT_PROVIDER_1, or after `JWT_PROVIDER_1` one \
                 of _AUDIENCE, _PRESET, _PROFILE, _AUDIENCE_CLAIM, _SCOPE_CLAIM, _ROLE_CLAIM, _KEYS_AT, \
                 _KEYS_FROM, _PRIVATE_NETWORK, _CA_FILE, _TOKEN_FILE and _DANGEROUS_HTTP"
            )));
        }
        providers
    }

    /// Everything that is wrong, each with the variable; `number` begins with 1.
    pub(super) fn check(&self, number: usize, problems: &mut Vec<ConfigError>) {
        let before = problems.len();
        let is_named = |name: &str| self.preset.as_deref() == Some(name);
        let needs_no_address = ["google", "google-iap", "github-actions"];
        if self.issuer.is_empty() && !needs_no_address.into_iter().any(is_named) {
            problems.push(ConfigError::invalid(format!(
                "{PREFIX}{number} is not set: set it to what the provider's tokens have as `iss`"
            )));
        }
        if words(&self.audience).next().is_none() {
            problems.push(ConfigError::invalid(format!(
                "{PREFIX}{number}_AUDIENCE is not set: set it to what tokens for this service have as `aud`"
            )));
        }
        if problems.len() == before
            && let Err(problem) = self.settings().and_then(|()| self.keys()?.check())
        {
            problems.push(ConfigError::invalid(format!("{PREFIX}{number}: {problem}")));
        }
    }

    /// A verifier for its tokens, whose keys are being fetched already, to be completed with stores.
    pub(super) fn verifier(&self) -> Result<TokenVerifierBuilder, ConfigError> {
        let keys = self.keys()?.build()?;
        let mut builder = TokenVerifier::builder().remote(&keys);
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
        let mut keys = match (&self.keys_at, &preset) {
            (Some(url), Some(_)) => RemoteJwks::builder_at(url),
            (Some(url), None) => RemoteJwks::builder(&self.issuer).keys_at(url),
            (None, Some(preset)) => preset
                .remote()?
                .unwrap_or_else(|| RemoteJwks::builder(&self.issuer)),
            (None, None) => RemoteJwks::builder(&self.issuer),
        };
        keys = keys.proxy_from_env();
        // Plain http is only ever taken from this machine, for development.
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
