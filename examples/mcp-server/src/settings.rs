//! The issuers whose tokens are accepted, from `JWT_PROVIDER_1` and so on, and the names of this server, from
//! `MCP_*`.

use std::collections::BTreeMap;
use std::env;
use std::net::Ipv6Addr;

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{ConfigError, TokenVerifier};

/// The authorization server in the folder `provider/`, which is used if nothing is configured.
pub(crate) const DEVELOPMENT: &str = "http://127.0.0.1:4000";
const DEVELOPMENT_RESOURCE: &str = "http://127.0.0.1:3000/mcp";

pub(crate) struct Settings {
    /// The verifier of all tokens. The keys of its issuers are already being fetched.
    pub(crate) verifier: TokenVerifier,
    /// The URL of the MCP endpoint, as users type it into their clients.
    pub(crate) resource: String,
    /// The pages that may call the endpoint.
    pub(crate) origins: Vec<String>,
    pub(crate) development: bool,
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// Fails with every problem of the configuration at once.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let mut given = variables();
        let development = given.is_empty() && AuthConfig::env_is_empty();
        let config = if development {
            AuthConfig::from_vars([
                ("JWT_PROVIDER_1", DEVELOPMENT),
                ("JWT_PROVIDER_1_AUDIENCE", DEVELOPMENT_RESOURCE),
                ("JWT_PROVIDER_1_PROFILE", "rfc9068"),
            ])
        } else {
            AuthConfig::from_env()
        };
        let mut problems = Vec::new();
        let resource = match given.remove("MCP_RESOURCE") {
            Some(resource) => resource,
            None if development => DEVELOPMENT_RESOURCE.to_owned(),
            None => {
                let what = "set it to the URL of the endpoint, such as https://mcp.example/mcp";
                problems.push(format!("MCP_RESOURCE is not set: {what}"));
                String::new()
            }
        };
        let origins = given.remove("MCP_ALLOWED_ORIGINS").unwrap_or_default();
        let origins: Vec<String> = origins.split_whitespace().map(str::to_owned).collect();
        for origin in origins.iter().filter(|origin| with_port(origin).is_none()) {
            problems.push(format!(
                "MCP_ALLOWED_ORIGINS: `{origin}` is not an origin such as https://page.example: write \
                 scheme, host and port as browsers send them, with no slash at the end"
            ));
        }
        // A misspelled name must not look like a setting that is in effect.
        for name in given.keys() {
            problems.push(format!(
                "{name} is not a variable of this program: write MCP_RESOURCE or MCP_ALLOWED_ORIGINS"
            ));
        }
        let problems = problems.into_iter().map(ConfigError::Invalid).collect();
        let config = match (config, problems) {
            (Ok(config), problems) if Vec::is_empty(&problems) => config,
            (Ok(_), problems) => return Err(ConfigError::Multiple(problems)),
            (Err(ConfigError::Multiple(mut all)), problems) => {
                all.extend(problems);
                return Err(ConfigError::Multiple(all));
            }
            (Err(problem), mut all) => {
                all.insert(0, problem);
                return Err(ConfigError::Multiple(all));
            }
        };
        Ok(Self {
            // To set a revocation store or more rules, change the builder of each issuer here.
            verifier: config.token_verifier(|builder| builder)?,
            resource,
            origins,
            development,
        })
    }

    /// Returns the host name in the resource, without the port.
    pub(crate) fn host(&self) -> &str {
        let authority = self.resource.split('/').nth(2).unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        }
    }

    /// Returns the origins of the pages that may call the endpoint, with their ports: without a port, the MCP
    /// server would allow pages on any port of that host.
    pub(crate) fn origins_with_ports(&self) -> Vec<String> {
        let origins = self.origins.iter();
        origins.filter_map(|origin| with_port(origin)).collect()
    }
}

/// Returns an origin with its port, or `None` if it is not written as browsers send it.
fn with_port(origin: &str) -> Option<String> {
    let (scheme, authority) = origin.split_once("://")?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()?),
        _ => (authority, default),
    };
    let v6 = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
    let is_good = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_host = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
            !host.is_empty() && host.bytes().all(is_host)
        }
    };
    is_good.then(|| format!("{scheme}://{host}:{port}"))
}

/// Returns the variables that begin with `MCP_` and are not empty.
fn variables() -> BTreeMap<String, String> {
    let given = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = value.to_string_lossy().trim().to_owned();
        (name.starts_with("MCP_") && !value.is_empty()).then_some((name, value))
    });
    given.collect()
}
