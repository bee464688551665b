//! [`DpopNonces`]: nonces that every node with the same secret makes and accepts, without a store
//! (RFC 9449 section 8).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::clock::as_micros;
use crate::error::ConfigError;
use crate::keys::SigningKey;

/// The default time after which the nonce changes: 150 seconds. A nonce is also accepted in the following
/// period, so for at most 300 seconds.
pub const DEFAULT_NONCE_PERIOD: Duration = Duration::from_secs(150);
const MIN_PERIOD: Duration = Duration::from_secs(10);
const MAX_PERIOD: Duration = Duration::from_secs(3600);

/// Makes and recognizes the nonces that clients must put into their proofs.
///
/// With nonces, the age of a proof does not depend on the clock of its client, and nobody can make proofs in
/// advance. Without them, a malicious script that runs in a page for a moment could sign proofs for the
/// following days. The nonce says how old a proof is, and its `iat` is not compared with the clock (RFC 9449
/// section 11.1).
///
/// Time is divided into periods. The nonce of a period is an HMAC of the period's number. So it needs no
/// store, it is the same on all nodes that share the secret, and nobody without the secret can guess it. A
/// nonce is accepted in its own period and the next one. A node also accepts the nonce that comes next by its
/// clock, because a node whose clock is ahead may already have sent it.
///
/// A client gets the nonce in `DPoP-Nonce`: with the refusal `use_dpop_nonce` of its first request, and then
/// with the response to each request whose nonce is not the newest one.
///
/// ```
/// use tower_jwt_auth::dpop::{Dpop, DpopNonces, MemoryReplays};
///
/// # fn example(secret: [u8; 32], old_secret: [u8; 32]) -> Result<(), tower_jwt_auth::ConfigError> {
/// let nonces = DpopNonces::new(secret)?.previous_secret(old_secret)?;
/// let dpop = Dpop::builder("https://api.example", MemoryReplays::new()).nonces(nonces).build()?;
/// # let _ = dpop; Ok(()) }
/// ```
#[derive(Clone)]
pub struct DpopNonces {
    keys: Vec<SigningKey>,
    period: Duration,
    known: Arc<ArcSwapOption<Known>>,
}

/// The nonces that are accepted in a period.
struct Known {
    period: u64,
    newest: HeaderValue,
    next: HeaderValue,
    /// Each with the period that it was made for.
    others: Vec<(String, u64)>,
}

/// The verdict on a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The nonce is valid until this time, in microseconds by the clock of the node that checks it. If there is
    /// a newer one, the client should be given that.
    Good {
        newer: Option<HeaderValue>,
        until: u64,
    },
    /// The nonce is missing, expired or not of this server. The client needs this one.
    Needs(HeaderValue),
}

// === impl DpopNonces ===

impl DpopNonces {
    /// Makes nonces from a secret of at least 32 random bytes, which all nodes share. Do not use the secret
    /// for anything else.
    ///
    /// # Errors
    ///
    /// Fails if the secret is too short, is a placeholder, or follows a pattern.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: vec![SigningKey::hs256(secret)?],
            period: DEFAULT_NONCE_PERIOD,
            known: Arc::default(),
        })
    }

    /// Adds a secret whose nonces are accepted as well. To change the secret on one node after the other, add
    /// the next secret on all nodes first, and keep the previous one here for a while after the change. Call
    /// it again to add more.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`new`](Self::new).
    pub fn previous_secret(mut self, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.keys.push(SigningKey::hs256(secret)?);
        Ok(self)
    }

    /// Sets the time after which the nonce changes: [150 seconds](DEFAULT_NONCE_PERIOD) by default, at least
    /// 10 seconds and at most 1 hour. It must be the same on all nodes.
    #[must_use]
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if (MIN_PERIOD..=MAX_PERIOD).contains(&self.period) {
            return Ok(());
        }
        Err(ConfigError::invalid(
            "the period of DPoP nonces is out of range: set it to at least 10 seconds and at most 1 hour",
        ))
    }

    /// Checks the nonce of a proof at `now`, in microseconds. Returns `None` if the HMAC fails.
    pub(super) fn judge(&self, nonce: Option<&str>, now: u64) -> Option<Verdict> {
        let known = self.known_at(now)?;
        let Some(nonce) = nonce else {
            return Some(Verdict::Needs(known.newest.clone()));
        };
        let good = |period: u64, newer| Verdict::Good {
            newer,
            // The end of the period after its own.
            until: as_micros(self.period).saturating_mul(period.saturating_add(2)),
        };
        let old = || known.others.iter().find(|(other, _)| other == nonce);
        Some(if known.newest == nonce {
            good(known.period, None)
        } else if known.next == nonce {
            // That of a node whose clock is ahead is the newest one.
            good(known.period.saturating_add(1), None)
        } else if let Some((_, period)) = old() {
            good(*period, Some(known.newest.clone()))
        } else {
            Verdict::Needs(known.newest.clone())
        })
    }

    fn known_at(&self, now: u64) -> Option<Arc<Known>> {
        let period = now / as_micros(self.period).max(1);
        if let Some(known) = &*self.known.load()
            && known.period == period
        {
            return Some(Arc::clone(known));
        }
        let (first, others) = self.keys.split_first()?;
        let header = |nonce: String| HeaderValue::try_from(nonce).ok();
        let last = period.wrapping_sub(1);
        let mut accepted = vec![(self.nonce_of(first, last)?, last)];
        for key in others {
            for period in [last, period, period.wrapping_add(1)] {
                accepted.push((self.nonce_of(key, period)?, period));
            }
        }
        let known = Arc::new(Known {
            period,
            newest: header(self.nonce_of(first, period)?)?,
            next: header(self.nonce_of(first, period.wrapping_add(1))?)?,
            others: accepted,
        });
        self.known.store(Some(Arc::clone(&known)));
        Some(known)
    }

    fn nonce_of(&self, key: &SigningKey, period: u64) -> Option<String> {
        let mut message = *b"tower-jwt-auth DPoP nonce:lengthperiodno";
        let (_, numbers) = message.split_last_chunk_mut::<16>()?;
        numbers[..8].copy_from_slice(&as_micros(self.period).to_be_bytes());
        numbers[8..].copy_from_slice(&period.to_be_bytes());
        let tag = key.sign(&message).ok()?;
        Some(URL_SAFE_NO_PAD.encode(tag))
    }
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopNonces")
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DpopNonces, Verdict};
    use crate::keys::sha256;

    const SECOND: u64 = 1_000_000;
    const PERIOD: u64 = 150 * SECOND;
    const NOW: u64 = 1_000_000 * PERIOD + 7;

    fn secret(name: &str) -> [u8; 32] {
        sha256(name.as_bytes()).unwrap()
    }

    fn nonces() -> DpopNonces {
        DpopNonces::new(secret("a")).unwrap()
    }

    fn newest(nonces: &DpopNonces, now: u64) -> String {
        match nonces.judge(None, now).unwrap() {
            Verdict::Needs(nonce) => nonce.to_str().unwrap().to_owned(),
            Verdict::Good { .. } => panic!("no nonce is good"),
        }
    }

    fn is_good(nonces: &DpopNonces, nonce: &str, now: u64) -> bool {
        matches!(nonces.judge(Some(nonce), now), Some(Verdict::Good { .. }))
    }

    #[test]
    fn a_nonce_is_good_for_two_periods_on_each_node() {
        let (a, b) = (nonces(), nonces());
        let nonce = newest(&a, NOW);
        assert_eq!(nonce.len(), 43);
        for node in [&a, &b] {
            for (now, good) in [
                (NOW, true),
                (NOW + PERIOD, true),
                (NOW + 2 * PERIOD, false),
                (NOW + 500 * PERIOD, false),
                (NOW - PERIOD, true), // a node whose clock is behind
                (NOW - 2 * PERIOD, false),
                (NOW, true),
            ] {
                assert_eq!(is_good(node, &nonce, now), good, "{now}");
            }
        }
        let later = newest(&b, NOW + PERIOD);
        assert_ne!(nonce, later);
        let verdict = b.judge(Some(&nonce), NOW + PERIOD).unwrap();
        let newer = Some(later.parse().unwrap());
        let until = NOW - 7 + 2 * PERIOD;
        assert_eq!(verdict, Verdict::Good { newer, until });
        let verdict = b.judge(Some(&later), NOW + PERIOD).unwrap();
        let (newer, until) = (None, until + PERIOD);
        assert_eq!(verdict, Verdict::Good { newer, until });
    }

    #[test]
    fn a_nonce_is_good_until_the_time_that_is_told() {
        let ours = nonces().previous_secret(secret("b")).unwrap();
        for maker in [nonces(), DpopNonces::new(secret("b")).unwrap()] {
            let nonce = newest(&maker, NOW);
            for now in [NOW - PERIOD, NOW, NOW + PERIOD] {
                let Some(Verdict::Good { until, .. }) = ours.judge(Some(&nonce), now) else {
                    panic!("it is good at {now}");
                };
                assert!(is_good(&ours, &nonce, until - 1));
                assert!(!is_good(&ours, &nonce, until));
            }
        }
    }

    #[test]
    fn a_nonce_that_this_server_has_not_made_is_refused() {
        let ours = nonces();
        let nonce = newest(&ours, NOW);
        let other = newest(&DpopNonces::new(secret("b")).unwrap(), NOW);
        let longer = newest(&nonces().period(Duration::from_secs(151)), NOW);
        for bad in [
            String::new(),
            other,
            longer,
            nonce[..42].to_owned(),
            format!("{nonce}{nonce}"),
            format!("{nonce}="),
            nonce.to_lowercase(),
            newest(&ours, NOW + 2 * PERIOD),
            newest(&ours, NOW - 2 * PERIOD),
        ] {
            assert!(!is_good(&ours, &bad, NOW), "{bad}");
        }
    }

    #[test]
    fn the_secret_can_be_changed_on_one_node_after_the_other() {
        let old = nonces();
        let new = DpopNonces::new(secret("b")).unwrap();
        let new = new.previous_secret(secret("a")).unwrap();
        let ready = nonces().previous_secret(secret("b")).unwrap();
        let nonce = newest(&old, NOW);
        assert!(is_good(&new, &nonce, NOW + PERIOD));
        assert!(!is_good(&new, &nonce, NOW + 2 * PERIOD));
        assert!(is_good(&ready, &newest(&new, NOW), NOW));
        assert!(!is_good(&old, &newest(&new, NOW), NOW));
    }

    #[test]
    fn a_weak_secret_and_a_period_out_of_range_are_refused() {
        DpopNonces::new("secret").unwrap_err();
        DpopNonces::new([0; 32]).unwrap_err();
        for seconds in [0, 9, 3601] {
            let period = Duration::from_secs(seconds);
            nonces().period(period).check().unwrap_err();
        }
        nonces().check().unwrap();
    }
}
