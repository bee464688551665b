//! Whose tokens are taken and what this server is called, from the variables `MCP_*`.

use std::collections::BTreeMap;
use std::env;

use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{ConfigError, TokenVerifier};

/// The authorization server beside this program, which is meant where nothing is configured.
const DEVELOPMENT_ISSUER: &str = "http://127.0.0.1:4000";
const DEVELOPMENT_RESOURCE: &str = "http://127.0.0.1:3000/mcp";

const NAMES: &str = "MCP_ISSUER, MCP_RESOURCE, MCP_AUDIENCE, MCP_PROFILE, MCP_SCOPE_CLAIM, \
                     MCP_KEYS_FROM and MCP_ALLOWED_ORIGINS";

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    /// The URL of the MCP endpoint, as clients are given it.
    pub(crate) resource: String,
    /// What tokens have as `aud`; the resource, at authorization servers that follow RFC 8707.
    audiences: Vec<String>,
    profile: TokenProfile,
    scope_claims: Vec<String>,
    keys_from: Vec<String>,
    /// The pages that may call the endpoint.
    pub(crate) origins: Vec<String>,
    pub(crate) development: bool,
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// Every problem, one a line.
    pub(crate) fn from_env() -> Result<Self, String> {
        Self::from_variables(variables())
    }

    fn from_variables(mut given: BTreeMap<String, String>) -> Result<Self, String> {
        if given.is_empty() {
            return Ok(Self {
                issuer: DEVELOPMENT_ISSUER.into(),
                resource: DEVELOPMENT_RESOURCE.into(),
                audiences: vec![DEVELOPMENT_RESOURCE.into()],
                profile: TokenProfile::Rfc9068,
                scope_claims: Vec::new(),
                keys_from: Vec::new(),
                origins: Vec::new(),
                development: true,
            });
        }
        let mut problems = Vec::new();
        let issuer = given.remove("MCP_ISSUER").unwrap_or_else(|| {
            problems.push("MCP_ISSUER is not set: what tokens have as `iss`".to_owned());
            String::new()
        });
        let resource = given.remove("MCP_RESOURCE").unwrap_or_else(|| {
            let what = "the URL of the MCP endpoint, such as https://mcp.example/mcp";
            problems.push(format!("MCP_RESOURCE is not set: {what}"));
            String::new()
        });
        let profile = match given.remove("MCP_PROFILE").as_deref() {
            Some("rfc9068") => TokenProfile::Rfc9068,
            None | Some("compatible") => TokenProfile::Compatible,
            Some(_) => {
                problems.push("MCP_PROFILE must be `rfc9068` or `compatible`".to_owned());
                TokenProfile::Rfc9068
            }
        };
        let audiences = match words(given.remove("MCP_AUDIENCE")) {
            none if none.is_empty() => vec![resource.clone()],
            audiences => audiences,
        };
        let scope_claims = words(given.remove("MCP_SCOPE_CLAIM"));
        let keys_from = words(given.remove("MCP_KEYS_FROM"));
        let origins = words(given.remove("MCP_ALLOWED_ORIGINS"));
        for origin in &origins {
            if with_port(origin).is_none() {
                problems.push(format!(
                    "MCP_ALLOWED_ORIGINS: `{origin}` is not an origin such as https://page.example: \
                     scheme, host and port as browsers send them, with no slash at the end"
                ));
            }
        }
        // A mistake in a name must not pass for a setting that is in force.
        for name in given.keys() {
            problems.push(format!("{name} means nothing: write one of {NAMES}"));
        }
        if !problems.is_empty() {
            let problems = problems.join("\n- ");
            return Err(format!("the configuration has problems:\n- {problems}"));
        }
        Ok(Self {
            issuer,
            resource,
            audiences,
            profile,
            scope_claims,
            keys_from,
            origins,
            development: false,
        })
    }

    /// The name of the machine in the resource, without the port.
    pub(crate) fn host(&self) -> &str {
        let authority = self.resource.split('/').nth(2).unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        }
    }

    /// The pages that may call the endpoint, with their ports: without one, the MCP server would let
    /// pages on any port of that host call it.
    pub(crate) fn origins_with_ports(&self) -> Vec<String> {
        let origins = self.origins.iter();
        origins.filter_map(|origin| with_port(origin)).collect()
    }

    /// The keys are being fetched when it returns.
    pub(crate) fn verifier(&self) -> Result<TokenVerifier, ConfigError> {
        let mut keys = RemoteJwks::builder(&self.issuer);
        // Plain http is only ever taken from this machine, for development.
        if self.issuer.starts_with("http://") {
            keys = keys.allow_loopback();
        }
        for origin in &self.keys_from {
            keys = keys.allow_keys_from(origin);
        }
        let mut verifier = TokenVerifier::builder()
            .remote(&keys.build()?)
            .profile(self.profile);
        for audience in &self.audiences {
            verifier = verifier.audience(audience);
        }
        for claim in &self.scope_claims {
            verifier = verifier.scope_claim(claim);
        }
        verifier.build()
    }
}

/// An origin with its port, or `None` if it is not written as browsers send it.
fn with_port(origin: &str) -> Option<String> {
    let (scheme, authority) = origin.split_once("://")?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let is_host = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()?),
        _ => (authority, default),
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_good = if host.starts_with('[') {
        name.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && host.bytes().all(is_host)
    };
    is_good.then(|| format!("{scheme}://{host}:{port}"))
}

/// Those that begin with `MCP_` and hold something.
fn variables() -> BTreeMap<String, String> {
    let given = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = value.to_string_lossy().trim().to_owned();
        (name.starts_with("MCP_") && !value.is_empty()).then_some((name, value))
    });
    given.collect()
}

fn words(value: Option<String>) -> Vec<String> {
    let value = value.unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}
