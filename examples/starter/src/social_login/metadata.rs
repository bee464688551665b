//! [`Metadata`]: what an issuer publishes about itself (OpenID Connect Discovery 1.0), read again every
//! hour.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::verifier::TokenProfile;
use url::Url;

use super::exchange::{self, Authentication};
use super::refusal::Refusal;
use super::settings::is_safe;
use crate::config::is_this_machine;
use crate::error::with_causes;

/// How long metadata is used before it is read again.
const FRESH: Duration = Duration::from_secs(3600);
/// How long the issuer is not asked again after a failure. Meanwhile, callers get the known metadata or an error.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest ID token, in bytes. Those with the groups of a user are long.
const MAX_TOKEN_BYTES: usize = 32 * 1024;
const GOOGLE: &str = "https://accounts.google.com";

/// The metadata of one issuer, and the verifier of its ID tokens.
#[derive(Debug)]
pub(super) struct Metadata {
    issuer: String,
    client_id: String,
    client: reqwest::Client,
    /// The lock is held while the metadata is read, so that concurrent callers wait for the same response.
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    known: Option<Arc<Known>>,
    read_at: Option<Instant>,
    failed_at: Option<Instant>,
}

/// The current metadata of an issuer, and what follows from it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) authentication: Authentication,
    /// Whether its responses name their issuer (RFC 9207 section 3).
    pub(super) names_itself: bool,
    pub(super) verifier: TokenVerifier,
    keys: String,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    userinfo_endpoint: Option<Url>,
    jwks_uri: Url,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

// === impl Metadata ===

impl Metadata {
    pub(super) fn new(issuer: &str, client_id: &str, client: &reqwest::Client) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client: client.clone(),
            cache: Mutex::default(),
        }
    }

    /// Returns the metadata. Older metadata is still used while the issuer is unavailable.
    pub(super) async fn known(&self) -> Result<Arc<Known>, Refusal> {
        let mut cache = self.cache.lock().await;
        let within = |time: Option<Instant>, limit| time.is_some_and(|time| time.elapsed() < limit);
        if within(cache.read_at, FRESH) || within(cache.failed_at, PAUSE) {
            return cache.known.clone().ok_or(Refusal::Unavailable);
        }
        match self.read(cache.known.as_deref()).await {
            Ok(known) => {
                let known = Arc::new(known);
                cache.known = Some(Arc::clone(&known));
                (cache.read_at, cache.failed_at) = (Some(Instant::now()), None);
                Ok(known)
            }
            Err(refusal) => {
                cache.failed_at = Some(Instant::now());
                cache.known.clone().ok_or(refusal)
            }
        }
    }

    async fn read(&self, before: Option<&Known>) -> Result<Known, Refusal> {
        let issuer = self.issuer.trim_end_matches('/');
        let address = Url::parse(&format!("{issuer}/.well-known/openid-configuration"));
        let address = address.map_err(|_| Refusal::Unavailable)?;
        let request = self.client.get(address.clone());
        let document: Document = exchange::fetch(request, &address).await?;
        let wrong = |reason: &str| exchange::unavailable(&address, reason);
        if let Some(problem) = document.problem(&self.issuer) {
            return Err(wrong(&problem));
        }
        let keys = document.jwks_uri.to_string();
        // The existing verifier has cached its keys.
        let verifier = match before.filter(|known| known.keys == keys) {
            Some(known) => known.verifier.clone(),
            None => self
                .verifier(&keys)
                .map_err(|error| wrong(&with_causes(&error)))?,
        };
        Ok(Known {
            authentication: document.authentication(),
            authorization: document.authorization_endpoint,
            token: document.token_endpoint,
            userinfo: document.userinfo_endpoint,
            names_itself: document.authorization_response_iss_parameter_supported,
            verifier,
            keys,
        })
    }

    fn verifier(&self, keys: &str) -> Result<TokenVerifier, tower_jwt_auth::ConfigError> {
        // The issuer, which the operator trusts, has named this URL over TLS.
        let mut source = RemoteJwks::builder(&*self.issuer)
            .jwks_uri(keys)
            .allow_private_network()
            .proxy_from_env(); // like all other requests
        let host = Url::parse(&self.issuer);
        if host.is_ok_and(|url| url.host_str().is_some_and(is_this_machine)) {
            source = source.allow_loopback();
        }
        let mut verifier = TokenVerifier::builder()
            .remote_jwks(&source.build()?)
            .audience(&*self.client_id)
            .profile(TokenProfile::IdToken)
            .max_token_bytes(MAX_TOKEN_BYTES)
            .cached_tokens(0);
        if self.issuer == GOOGLE {
            // According to Google's documentation, tokens contain either of the two.
            verifier = verifier.issuers([GOOGLE, "accounts.google.com"]);
        }
        verifier.build()
    }
}

// === impl Document ===

impl Document {
    /// Returns why the metadata must not be used, or `None` if it may be used.
    fn problem(&self, issuer: &str) -> Option<String> {
        if self.issuer != issuer {
            // Discovery section 4.3: otherwise it could belong to another issuer.
            return Some(format!(
                "expected the issuer `{issuer}`, but the metadata says `{}`: configure exactly that",
                self.issuer.escape_debug().take(256).collect::<String>()
            ));
        }
        let endpoints = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.userinfo_endpoint.as_ref(),
        ];
        if endpoints.into_iter().flatten().any(|url| !is_safe(url)) {
            return Some("one of its endpoints does not start with https://".to_owned());
        }
        let methods = self.code_challenge_methods_supported.as_ref();
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Some("it does not support PKCE with S256".to_owned());
        }
        None
    }

    fn authentication(&self) -> Authentication {
        match &self.token_endpoint_auth_methods_supported {
            // Discovery section 3: the default is `client_secret_basic`.
            None => Authentication::Basic,
            Some(methods) if methods.iter().any(|method| method == "client_secret_basic") => {
                Authentication::Basic
            }
            Some(_) => Authentication::Post,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(change: &[(&str, Value)]) -> Document {
        let mut document = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://keys.example/jwks",
        });
        for (name, value) in change {
            document[*name] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn metadata_of_another_issuer_or_without_tls_is_not_used() {
        let other = "https://other.example";
        for (name, value, good) in [
            ("issuer", json!("https://idp.example"), true),
            ("issuer", json!("https://idp.example/"), false),
            ("issuer", json!(other), false),
            ("userinfo_endpoint", json!("https://idp.example/me"), true),
            ("userinfo_endpoint", json!("http://idp.example/me"), false),
            ("token_endpoint", json!("http://idp.example/token"), false),
            ("jwks_uri", json!("file:///etc/passwd"), false),
            ("code_challenge_methods_supported", json!(["plain"]), false),
            (
                "code_challenge_methods_supported",
                json!(["plain", "S256"]),
                true,
            ),
        ] {
            let problem = document(&[(name, value.clone())]).problem("https://idp.example");
            assert_eq!(problem.is_none(), good, "{name} {value}");
        }
    }

    #[test]
    fn the_client_secret_is_sent_as_the_issuer_requires() {
        let methods = "token_endpoint_auth_methods_supported";
        for (said, expected) in [
            (json!(null), Authentication::Basic),
            (
                json!(["client_secret_post", "client_secret_basic"]),
                Authentication::Basic,
            ),
            (json!(["client_secret_post"]), Authentication::Post),
        ] {
            assert_eq!(document(&[(methods, said)]).authentication(), expected);
        }
    }
}
