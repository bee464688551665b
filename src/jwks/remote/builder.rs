//! [`RemoteJwksBuilder`]: where keys come from, and what is allowed on the way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, AddressRules};
use super::client::{DynHttpClient, HttpClient};
use super::discovery::{Discovery, Sought};
use super::document::KeyRules;
use super::fetch::{Fetcher, Origin};
use super::https::HttpsClient;
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
        let address = |text: &str| Address::parse(text, rules).map_err(ConfigError::invalid);
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
        let (name, issuer, origin) = match self.place {
            Place::Issuer(issuer) => {
                let discovery =
                    Discovery::new(issuer.clone(), &self.elsewhere, rules, &Sought::KEYS);
                let origin = Origin::Issuer(discovery.map_err(ConfigError::invalid)?);
                (issuer.clone(), Some(issuer), origin)
            }
            Place::Keys(url) => (url.clone(), None, Origin::Keys(address(&url)?)),
        };
        let client = match self.client {
            Some(client) => client,
            None => Arc::new(HttpsClient::builder().rules(rules).build()?),
        };
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
