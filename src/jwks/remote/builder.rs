//! [`RemoteJwksBuilder`]: sets where keys come from, and what is allowed when fetching them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, AddressRules};
use super::bearer_file::WithBearerFile;
use super::client::{DynHttpClient, HttpClient};
use super::discovery::{Discovery, Sought};
use super::document::KeyRules;
use super::fetch::{Fetcher, Origin};
use super::https::{HttpsClient, HttpsClientBuilder};
use super::shared::Shared;
use super::source::RemoteJwks;
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// The default time for which keys are used past their expiry if they cannot be fetched again.
const DEFAULT_STALE_FOR: Duration = Duration::from_secs(3600);
/// The longest such time, because a key may have been withdrawn by the provider.
const MAX_STALE_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Builds a [`RemoteJwks`]; made by [`RemoteJwks::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct RemoteJwksBuilder {
    place: Place,
    elsewhere: Vec<String>,
    addresses: AddressRules,
    algorithms: Vec<Algorithm>,
    stale_for: Duration,
    jwks_uri: Option<String>,
    bearer_token_file: Option<PathBuf>,
    https: HttpsClientBuilder,
    client: Option<Arc<dyn DynHttpClient>>,
}

#[derive(Debug, Clone)]
enum Place {
    Issuer(String),
    Keys(String),
}

// === impl RemoteJwksBuilder ===

impl RemoteJwksBuilder {
    pub(super) fn discover(issuer: String) -> Self {
        Self::new(Place::Issuer(issuer))
    }

    pub(super) fn at(url: String) -> Self {
        Self::new(Place::Keys(url))
    }

    fn new(place: Place) -> Self {
        let algorithms = Algorithm::ALL.into_iter();
        Self {
            place,
            elsewhere: Vec::new(),
            addresses: AddressRules::default(),
            algorithms: algorithms.filter(|one| !one.is_symmetric()).collect(),
            stale_for: DEFAULT_STALE_FOR,
            jwks_uri: None,
            bearer_token_file: None,
            https: HttpsClient::builder(),
            client: None,
        }
    }

    /// Accepts only keys of these algorithms. By default, all asymmetric algorithms are accepted. If exactly
    /// one RSA algorithm is among them, it is used for RSA keys without an `alg`; otherwise, that is RS256.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Adds an origin, such as `https://www.googleapis.com`, at which the issuer's metadata may say that its
    /// keys are. By default, the keys must be at the origin of the issuer. Call it again to add more.
    pub fn allow_keys_from(mut self, origin: impl Into<String>) -> Self {
        self.elsewhere.push(origin.into());
        self
    }

    /// Fetches the keys of the issuer from this URL, without its metadata. Use it for an issuer that serves
    /// no metadata, or whose public URL cannot be reached from this service.
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.jwks_uri = Some(url.into());
        self
    }

    /// Sends the bearer token in this file with each fetch, which the API server of Kubernetes requires. The
    /// file is read again each time, because the token in it is replaced before it expires. The token is sent
    /// only to the configured origin.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bearer_token_file = Some(path.into());
        self
    }

    /// Adds the certificates in this file (PEM) to those that are trusted, for a provider with a private
    /// certificate authority. It has no effect on a [client](Self::client) of your own.
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.https = self.https.root_certificates_file(path);
        self
    }

    /// Fetches through the proxies in `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`: see
    /// [`HttpsClientBuilder::proxy_from_env`]. It has no effect on a [client](Self::client) of your own.
    pub fn proxy_from_env(mut self) -> Self {
        self.https = self.https.proxy_from_env();
        self
    }

    /// Allows plain http to this host, given by its name or IP address without a port, such as
    /// `keycloak.auth.svc`. Call it again to add more.
    ///
    /// # Security
    ///
    /// Anybody who can answer in place of this host, or change its responses on the way, can issue tokens for
    /// every user. Use it only inside a cluster whose network is encrypted or fully trusted.
    pub fn dangerous_allow_http(mut self, host: impl AsRef<str>) -> Self {
        self.addresses.add_plain_http(host.as_ref());
        self
    }

    /// Allows plain http to this machine, for development and tests.
    pub fn allow_loopback(mut self) -> Self {
        self.addresses.loopback = true;
        self
    }

    /// Allows fetches from hosts in private networks, such as a provider in the same cluster. They still need
    /// https.
    ///
    /// # Security
    ///
    /// Anybody who can change the provider's metadata or its DNS records can then make this service send GET
    /// requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.addresses.private = true;
        self
    }

    /// Sets for how long cached keys stay valid past their expiry if they cannot be fetched again: 1 hour by
    /// default, 7 days at most. After that, requests are answered with 503.
    ///
    /// # Security
    ///
    /// While the provider cannot be reached, a key that it has withdrawn is accepted for this time.
    pub fn stale_for(mut self, duration: Duration) -> Self {
        self.stale_for = duration;
        self
    }

    /// Sets the HTTP client that fetches the keys, instead of an [`HttpsClient`].
    pub fn client(mut self, client: impl HttpClient) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Builds the key source. Inside a Tokio runtime, the first fetch begins at once, and otherwise with the
    /// first use. This call does not wait for it, and succeeds even if the provider is down.
    ///
    /// The runtime must have its timers and I/O enabled.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - a URL is malformed, does not begin with `https://`, or contains the IP address of a private host,
    ///   unless that is allowed;
    /// - the issuer has a query;
    /// - an algorithm is symmetric, or there is none;
    /// - `stale_for` is longer than 7 days;
    /// - a certificate or its file cannot be read, or there is no certificate to trust.
    pub fn build(self) -> Result<RemoteJwks, ConfigError> {
        let stale_for = self.stale_for;
        let (name, issuer, fetcher) = self.fetcher()?;
        let shared = Shared::new(name, issuer, fetcher, stale_for);
        Ok(RemoteJwks::new(shared))
    }

    /// Fails in the same cases as [`build`](Self::build), but fetches nothing.
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.fetcher().map(drop)
    }

    /// Returns the name of the source, its issuer, and the fetcher.
    fn fetcher(self) -> Result<(String, Option<String>, Fetcher), ConfigError> {
        let rules = self.addresses;
        let address = |text: &str| Address::parse(text, &rules).map_err(ConfigError::invalid);
        if self.algorithms.is_empty() {
            return Err(ConfigError::invalid(
                "no algorithm is allowed for the keys that are fetched: name asymmetric ones, such as RS256 \
                 or ES256, or leave `algorithms` out to allow all of them",
            ));
        }
        if let Some(one) = self.algorithms.iter().find(|one| one.is_symmetric()) {
            return Err(ConfigError::invalid(format!(
                "{one} is not for keys that are fetched, which must be asymmetric: remove it from `algorithms`"
            )));
        }
        if self.stale_for > MAX_STALE_FOR {
            return Err(ConfigError::invalid(format!(
                "`stale_for` is {} seconds, but expired keys must not be used for more than 7 days: set at most \
                 604800 seconds",
                self.stale_for.as_secs()
            )));
        }
        let (name, issuer, origin, home) = match (self.place, self.jwks_uri) {
            (Place::Issuer(issuer), None) => {
                let home = address(&issuer)?;
                let discovery = Discovery::new(
                    issuer.clone(),
                    &self.elsewhere,
                    rules.clone(),
                    &Sought::KEYS,
                );
                let origin = Origin::Issuer(discovery.map_err(ConfigError::invalid)?);
                (issuer.clone(), Some(issuer), origin, home)
            }
            (Place::Issuer(issuer), Some(url)) => {
                let keys = address(&url)?;
                (
                    issuer.clone(),
                    Some(issuer),
                    Origin::Keys(keys.clone()),
                    keys,
                )
            }
            (Place::Keys(url), other) => {
                let keys = address(other.as_ref().unwrap_or(&url))?;
                (url, None, Origin::Keys(keys.clone()), keys)
            }
        };
        let mut client = match self.client {
            Some(client) => client,
            None => Arc::new(self.https.rules(rules).build()?),
        };
        if let Some(path) = self.bearer_token_file {
            let origin = home;
            client = Arc::new(WithBearerFile {
                client,
                path,
                origin,
            });
        }
        let fetcher = Fetcher {
            client,
            origin,
            keys: KeyRules {
                algorithms: self.algorithms.into(),
            },
        };
        Ok((name, issuer, fetcher))
    }
}

impl fmt::Debug for RemoteJwksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwksBuilder")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
