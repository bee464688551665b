//! [`DpopBuilder`]: sets the rules for proofs, which are checked once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::htu::PublicAddress;
use super::known::KnownKeys;
use super::nonce::DpopNonces;
use super::service::{Dpop, Inner};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::keys::Algorithm;
use crate::policy::{DEFAULT_LEEWAY, MAX_LEEWAY};
use crate::replay::{DynReplayStore, ReplayStore};

/// The algorithms that are accepted for proofs by default. All are asymmetric.
pub const DEFAULT_PROOF_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::Ed25519,
    Algorithm::RS256,
];
/// The default age from which a proof is refused: 60 seconds.
pub const DEFAULT_PROOF_MAX_AGE: Duration = Duration::from_secs(60);
/// The longest age that can be set: 300 seconds (RFC 9449 section 11.1: "seconds or minutes").
pub const MAX_PROOF_AGE: Duration = Duration::from_secs(300);
/// The default time by which the clock of a client may be ahead: 30 seconds.
pub const DEFAULT_PROOF_LEEWAY: Duration = DEFAULT_LEEWAY;
/// The default time limit of a call to the replay store: 500 milliseconds.
pub const DEFAULT_REPLAY_STORE_TIMEOUT: Duration = Duration::from_millis(500);

/// Builds a [`Dpop`]; made by [`Dpop::builder`].
#[must_use = "a builder does nothing until `build()`"]
#[derive(Clone)]
pub struct DpopBuilder {
    addresses: Vec<String>,
    replays: Arc<dyn DynReplayStore>,
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    leeway: Duration,
    nonces: Option<DpopNonces>,
    store_timeout: Duration,
    clock: Arc<dyn Clock>,
}

// === impl DpopBuilder ===

impl DpopBuilder {
    pub(super) fn new(address: String, replays: impl ReplayStore) -> Self {
        Self {
            addresses: vec![address],
            replays: Arc::new(replays),
            algorithms: DEFAULT_PROOF_ALGORITHMS.into(),
            max_age: DEFAULT_PROOF_MAX_AGE,
            leeway: DEFAULT_PROOF_LEEWAY,
            nonces: None,
            store_timeout: DEFAULT_REPLAY_STORE_TIMEOUT,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds another public URL, if clients reach the service under several names. A proof may then be for any
    /// of them.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets the algorithms that are accepted for proofs: [`DEFAULT_PROOF_ALGORITHMS`] by default.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the age from which a proof is refused: [60 seconds](DEFAULT_PROOF_MAX_AGE) by default, 300 at
    /// most. Clients make a proof for each request, so this only covers the delay of a request and clocks
    /// that are behind. It has no effect if [nonces](Self::nonces) are required: then the nonce says how old a
    /// proof is.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets by how much the clock of a client may be ahead: [30 seconds](DEFAULT_PROOF_LEEWAY) by default,
    /// 300 at most. Used proofs are kept for this much longer than they are valid, so the clocks of nodes
    /// that share a store may differ by as much.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Requires that each proof contains a nonce of this server. By default, no nonce is needed. The nonce says
    /// how old the proof is, so that the clocks of clients do not matter. Used proofs are then kept until their
    /// nonces expire: by default for up to 331 seconds, instead of 91.
    pub fn nonces(mut self, nonces: DpopNonces) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Sets the time limit of a call to the replay store: [500 milliseconds](DEFAULT_REPLAY_STORE_TIMEOUT) by
    /// default. If a call takes longer, the response is 503.
    pub fn store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    /// Sets the clock: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the [`Dpop`].
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - a URL is not in the form that clients see;
    /// - there is no algorithm, or one is symmetric;
    /// - the maximum age is zero or longer than 300 seconds;
    /// - the leeway is longer than 300 seconds;
    /// - the period of the nonces is out of range.
    pub fn build(self) -> Result<Dpop, ConfigError> {
        let Self {
            addresses,
            replays,
            mut algorithms,
            max_age,
            leeway,
            nonces,
            store_timeout,
            clock,
        } = self;
        let addresses = addresses
            .iter()
            .map(|address| PublicAddress::parse(address));
        let addresses = addresses.collect::<Result<Box<[_]>, _>>()?;
        if algorithms.is_empty() {
            return Err(ConfigError::invalid(
                "no algorithm is accepted for DPoP proofs: name at least one, such as `ES256`",
            ));
        }
        if let Some(symmetric) = algorithms.iter().find(|one| one.is_symmetric()) {
            return Err(ConfigError::invalid(format!(
                "`{symmetric}` is symmetric, and the key of a DPoP proof is sent along with it: use \
                 asymmetric algorithms such as `ES256` and `EdDSA`"
            )));
        }
        if max_age.is_zero() || max_age > MAX_PROOF_AGE {
            return Err(ConfigError::invalid(
                "the maximum age of a DPoP proof is out of range: set it to at least 1 second and at most 300 \
                 seconds",
            ));
        }
        if leeway > MAX_LEEWAY {
            return Err(ConfigError::LeewayTooLong);
        }
        if let Some(nonces) = &nonces {
            nonces.check()?;
        }
        let mut known = Vec::new();
        algorithms.retain(|one| {
            let is_new = !known.contains(one);
            known.push(*one);
            is_new
        });
        Ok(Dpop::new(
            addresses,
            Inner {
                replays,
                algorithms: algorithms.into(),
                max_age,
                leeway,
                nonces,
                store_timeout,
                clock,
                known: KnownKeys::new(),
            },
        ))
    }
}

impl fmt::Debug for DpopBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopBuilder")
            .field("addresses", &self.addresses)
            .field("algorithms", &self.algorithms)
            .field("nonces", &self.nonces)
            .finish_non_exhaustive()
    }
}
