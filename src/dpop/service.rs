//! [`Dpop`]: checks proofs of possession.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Extensions, HeaderMap, Method, Uri};

use super::builder::DpopBuilder;
use super::check::{CheckedProof, UsedProof};
use super::error::DpopError;
use super::htu::PublicAddress;
use super::known::KnownKeys;
use super::nonce::DpopNonces;
use super::proof::DpopProof;
use super::{DPOP, check};
use crate::clock::Clock;
use crate::keys::Algorithm;
use crate::replay::{DynReplayStore, ReplayStore};
use crate::store::in_time;

/// Checks DPoP proofs (RFC 9449): all twelve points of section 4.3, and that no proof is used twice.
///
/// It is cheap to clone, and all clones share their state. Use the same one for the
/// [layer](crate::JwtAuthLayer::dpop) in front of resources and for the routes that issue tokens.
///
/// ```
/// use tower_jwt_auth::dpop::{Dpop, MemoryReplays};
/// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
///
/// # fn example(verifier: TokenVerifier) -> Result<(), tower_jwt_auth::ConfigError> {
/// let dpop = Dpop::builder("https://api.example", MemoryReplays::new()).build()?;
/// let layer = JwtAuthLayer::new(verifier).dpop(dpop);
/// # let _: JwtAuthLayer = layer; Ok(()) }
/// ```
///
/// # The public URL
///
/// A proof names the URL of its request (`htu`). The service may see another URL because of proxies, and a
/// client can choose `Host` and `X-Forwarded-Host`. So these are ignored, and the expected URL is the one
/// that you configure, followed by the path of the request. URLs are compared after normalization (RFC 3986
/// section 6.2.2): the case of scheme and host, a default port, `.` and `..`, and unnecessary or lower-case
/// escapes make no difference. Query and fragment are ignored.
///
/// If a proxy removes a part of the path, include it in the URL: `https://api.example/v1`. In a router that
/// is nested in another one, use [`under`](Self::under).
#[derive(Clone)]
pub struct Dpop {
    addresses: Arc<[PublicAddress]>,
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) replays: Arc<dyn DynReplayStore>,
    pub(super) algorithms: Box<[Algorithm]>,
    pub(super) max_age: Duration,
    pub(super) leeway: Duration,
    pub(super) nonces: Option<DpopNonces>,
    pub(super) store_timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) known: KnownKeys,
}

// === impl Dpop ===

impl Dpop {
    /// Returns a builder. `address` is the public URL at which clients reach the service: an origin such as
    /// `https://api.example`, followed by a path if a proxy removes that from requests. `replays` is the
    /// store of used proofs.
    pub fn builder(address: impl Into<String>, replays: impl ReplayStore) -> DpopBuilder {
        DpopBuilder::new(address.into(), replays)
    }

    pub(super) fn new(addresses: Box<[PublicAddress]>, inner: Inner) -> Self {
        Self {
            addresses: addresses.into(),
            inner: Arc::new(inner),
        }
    }

    /// Returns a `Dpop` for routes that are nested under this path, such as `/api`, because a nested router of
    /// axum sees requests without it. Both share the settings, the store and the nonces.
    #[must_use]
    pub fn under(&self, path: &str) -> Self {
        let addresses = self.addresses.iter().map(|address| address.under(path));
        Self {
            addresses: addresses.collect(),
            inner: Arc::clone(&self.inner),
        }
    }

    /// Verifies the proof of a request that has no token yet, such as a login or a refresh. It checks
    /// everything except `ath` and whether the proof was used before.
    ///
    /// The latter is checked when the proof is marked as used. [`Sessions`](crate::Sessions) does that
    /// itself, after all other checks and before it changes anything, so that nobody can fill the replay
    /// store with requests that fail anyway. Other code must call [`DpopProof::mark_used`].
    ///
    /// # Errors
    ///
    /// Fails if there is no proof, or if it is invalid. To allow requests without a proof, check first
    /// whether the request [has one](Self::has_proof).
    pub fn verify_proof(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<DpopProof, DpopError> {
        let checked = self.check(method, uri, headers, None)?;
        Ok(DpopProof::new(self.clone(), checked))
    }

    /// Returns whether a request has a `DPoP` header, valid or not.
    #[must_use]
    pub fn has_proof(headers: &HeaderMap) -> bool {
        headers.contains_key(DPOP)
    }

    /// Returns the algorithms that are accepted for proofs, for `dpop_signing_alg_values_supported` in
    /// metadata (RFC 9449 section 5.1, RFC 9728 section 2).
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.inner.algorithms
    }

    /// Checks the proof of a request, and that it is for the token, if there is one.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        token: Option<&[u8]>,
    ) -> Result<CheckedProof, DpopError> {
        let request = check::Request {
            method,
            uri,
            headers,
            token,
        };
        check::check(&self.inner, &self.addresses, &request)
    }

    /// Whether an outer layer has already marked the proof of this request as used.
    pub(crate) fn has_marked_used(&self, proof: &CheckedProof, extensions: &Extensions) -> bool {
        let used = extensions.get::<UsedProof>();
        used.is_some_and(|used| {
            Arc::ptr_eq(&used.by, &self.inner) && used.digest == proof.entry.digest
        })
    }

    /// Returns what to put into the extensions of a request whose proof was marked as used.
    pub(crate) fn used_proof(&self, proof: &CheckedProof) -> UsedProof {
        UsedProof {
            by: Arc::clone(&self.inner),
            digest: proof.entry.digest,
        }
    }

    /// Marks a proof as used. Fails if it was used before.
    pub(crate) async fn mark_used(&self, proof: &CheckedProof) -> Result<(), DpopError> {
        let Inner {
            replays,
            store_timeout,
            known,
            ..
        } = &*self.inner;
        let mut insert = replays.insert(proof.entry);
        // A store in memory answers at once and needs no timer.
        let at_once = poll_fn(|context| Poll::Ready(insert.as_mut().poll(context))).await;
        let answer = match at_once {
            Poll::Ready(answer) => answer,
            Poll::Pending => in_time(*store_timeout, insert).await,
        };
        match answer {
            Ok(true) => {
                if let Some(header) = &proof.new_header {
                    known.add(header.clone(), Arc::clone(&proof.key));
                }
                Ok(())
            }
            Ok(false) => Err(check::replayed()),
            Err(error) => Err(DpopError::unavailable(error)),
        }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("addresses", &self.addresses)
            .field("algorithms", &self.inner.algorithms)
            .field("max_age", &self.inner.max_age)
            .field("leeway", &self.inner.leeway)
            .field("nonces", &self.inner.nonces)
            .field("replays", &self.inner.replays)
            .finish_non_exhaustive()
    }
}
