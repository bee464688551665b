//! [`Endpoint`]: the URL at which the server is asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::answer::Problem;
use super::outage::Outage;
use crate::jwks::{Address, Discovery, DynHttpClient};

/// The URL of the endpoint.
pub(super) enum Endpoint {
    At(Address),
    /// The metadata of the issuer names the URL. It is fetched once, however many requests need it.
    Discovered {
        discovery: Discovery,
        found: Mutex<Arc<OnceCell<Address>>>,
    },
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn discovered(discovery: Discovery) -> Self {
        Self::Discovered {
            discovery,
            found: Mutex::default(),
        }
    }

    pub(super) async fn address(
        &self,
        client: &dyn DynHttpClient,
        outage: &Outage,
    ) -> Result<Address, Problem> {
        match self {
            Self::At(address) => Ok(address.clone()),
            Self::Discovered { discovery, found } => {
                let found = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let address = found.get_or_try_init(async || {
                    // A request that has waited for an attempt that failed does not make another one.
                    if outage.has_begun() {
                        return Err(Problem::left_alone());
                    }
                    discovery.find(client).await.map_err(Problem::from)
                });
                address.await.cloned()
            }
        }
    }

    /// Forgets the URL, because the endpoint is no longer there. The metadata is fetched again next time.
    pub(super) fn forget(&self) {
        if let Self::Discovered { found, .. } = self {
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        }
    }

    /// Returns the URL or the issuer for logs.
    pub(super) fn name(&self) -> Name<'_> {
        Name(self)
    }
}

/// An endpoint in a log, without its query, which may contain secrets.
pub(super) struct Name<'e>(&'e Endpoint);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::At(address) => {
                let uri = address.uri();
                let host = uri.authority().map_or("", |authority| authority.as_str());
                write!(f, "{host}{}", uri.path())
            }
            Endpoint::Discovered { discovery, .. } => f.write_str(discovery.issuer()),
        }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
