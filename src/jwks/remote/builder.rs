//! [`RemoteJwksBuilder`]: where keys come from, and what is allowed on the way.

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
use super::source::RemoteJwks;
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// For how long keys count that could not be fetched again, once they are old.
const DEFAULT_STALE_FOR: Duration = Duration::from_secs(3600);
/// A key that a provider has withdrawn must not be believed for longer, whatever is asked for.
const MAX_STALE_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Builds a [`RemoteJwks`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct RemoteJwksBuilder {
    place: Place,
    elsewhere: Vec<String>,
    addresses: AddressRules,
    algorithms: Vec<Algorithm>,
    stale_for: Duration,
    keys_at: Option<String>,
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
            keys_at: None,
            bearer_token_file: None,
            https: HttpsClient::builder(),
            client: None,
        }
    }

    /// Takes only keys of these algorithms; by default all that are not symmetric. Where one RSA
    /// algorithm is among them, it is that of RSA keys that name none (otherwise RS256).
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Also takes keys from this origin, such as `https://www.googleapis.com`, where the issuer's
    /// metadata says that they are there. By default they must be at the issuer's own.
    pub fn allow_keys_from(mut self, origin: impl Into<String>) -> Self {
        self.elsewhere.push(origin.into());
        self
    }

    /// Fetches the keys of the issuer from this address, and no metadata: for an issuer that serves none, or
    /// whose public address cannot be reached from here.
    pub fn keys_at(mut self, url: impl Into<String>) -> Self {
        self.keys_at = Some(url.into());
        self
    }

    /// Sends the bearer token in this file with each fetch, as the API server of Kubernetes wants it. The
    /// file is read anew each time, because the token in it is replaced before it expires. Nobody but the
    /// configured origin gets the token.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bearer_token_file = Some(path.into());
        self
    }

    /// Also trusts the certificates in this file (PEM), for a provider with an authority of its own. Not for
    /// a [client](Self::client) of your own.
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.https = self.https.root_certificates_file(path);
        self
    }

    /// Fetches through the proxies that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, as
    /// [`HttpsClientBuilder::proxy_from_env`] has it. Not for a [client](Self::client) of your own.
    pub fn proxy_from_env(mut self) -> Self {
        self.https = self.https.proxy_from_env();
        self
    }

    /// Also fetches over plain http from this host, by its name or address and without a port, such as
    /// `keycloak.auth.svc`. Call it again to add more.
    ///
    /// # Security
    ///
    /// Whoever can answer in place of this host, or change its answers on their way, can sign tokens for
    /// every user. Use it only inside a cluster whose network is encrypted or trusted as a whole.
    pub fn dangerous_allow_http(mut self, host: impl AsRef<str>) -> Self {
        self.addresses.add_plain_http(host.as_ref());
        self
    }

    /// Also fetches over plain http from this machine: for development and tests.
    pub fn allow_loopback(mut self) -> Self {
        self.addresses.loopback = true;
        self
    }

    /// Also fetches from hosts in private networks, as a provider in the same cluster; over https still.
    ///
    /// # Security
    ///
    /// Whoever can change the provider's metadata, or its name's address, can then make this
    /// service send GET requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.addresses.private = true;
        self
    }

    /// For how long keys still count that could not be fetched again, once they are old; an hour
    /// by default, 7 days at most. Then tokens are answered with 503.
    ///
    /// # Security
    ///
    /// For as long, a key that the provider has withdrawn is believed if the provider cannot be reached.
    pub fn stale_for(mut self, duration: Duration) -> Self {
        self.stale_for = duration;
        self
    }

    /// Fetches by this client instead of an [`HttpsClient`].
    pub fn client(mut self, client: impl HttpClient) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// The source. Inside a tokio runtime the first fetch begins at once, otherwise with the first
    /// use; it never waits for it, and a provider that is down is no error.
    ///
    /// The runtime must have its timers and I/O enabled.
    ///
    /// # Errors
    ///
    /// An address that is no https URL, or leads to a private host, unless that is allowed; a symmetric
    /// algorithm, or none; a `stale_for` over 7 days; no certificates to trust.
    pub fn build(self) -> Result<RemoteJwks, ConfigError> {
        let stale_for = self.stale_for;
        let (name, issuer, fetcher) = self.fetcher()?;
        Ok(RemoteJwks::new(name, issuer, fetcher, stale_for))
    }

    /// Fails where [`build`](Self::build) would; fetches nothing.
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.fetcher().map(drop)
    }

    /// What to fetch, by its name, and the issuer that it belongs to.
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
                "{one} is not for keys that are fetched, which must be asymmetric: take it out of `algorithms`"
            )));
        }
        if self.stale_for > MAX_STALE_FOR {
            return Err(ConfigError::invalid(format!(
                "`stale_for` is {} seconds, but old keys must not count for more than 7 days (604800 seconds)",
                self.stale_for.as_secs()
            )));
        }
        let (name, issuer, origin, home) = match (self.place, self.keys_at) {
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
