//! [`Single`]: verifies the tokens of one issuer. A token's signature is checked first, then its claims.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::doubt::Doubt;
use super::ended::World;
use super::judge::{Judge, Progress, VerifiedToken};
use super::keys::Keys;
use super::kind::CredentialKind;
use super::memory::{KnownHeader, Memory, Shown};
use super::proof::{Facts, Proof, Proved};
use super::rules::Rules;
use super::typed::TypedClaims;
use crate::clock::Clock;
use crate::codec::{Compact, HEADER_ROOM, Header, Payload};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::keys::{Algorithm, KeySourceHealth, VerifyingKey};
use crate::policy::{CheckedPattern, Policy, Possession, TokenProfile};
use crate::revocation::DynRevocationStore;

/// Verifies tokens by one policy, with one set or source of keys.
#[derive(Clone)]
pub(super) struct Single {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: Keys,
    pub(super) judge: Judge,
    pub(super) memory: Memory,
    pub(super) max_token_bytes: usize,
}

/// The result of checking a signature.
enum Search {
    Proved(Proved),
    Doubted(Doubt),
}

/// The result of all checks that need no I/O.
enum Checked {
    Good(VerifiedToken),
    Doubted(Doubt),
}

// === impl Single ===

impl Single {
    pub(super) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Returns the issuers that it trusts by name; empty if it trusts any issuer.
    pub(super) fn issuers(&self) -> &[Box<str>] {
        &self.inner.judge.policy.issuers
    }

    /// Returns the patterns of issuers that it trusts.
    pub(super) fn issuer_patterns(&self) -> &[CheckedPattern] {
        &self.inner.judge.policy.issuer_patterns
    }

    pub(super) fn max_token_bytes(&self) -> usize {
        self.inner.max_token_bytes
    }

    /// Returns the state of the key source, or `None` if the keys are fixed.
    pub(super) fn health(&self) -> Option<KeySourceHealth> {
        self.inner.keys.health()
    }

    pub(super) fn rules(&self) -> Rules {
        let Judge {
            policy,
            revocations,
            ..
        } = &self.inner.judge;
        Rules {
            profile: policy.profile,
            max_lifetime: policy.max_lifetime,
            requires_session: policy.required.iter().any(|claim| **claim == *"sid"),
            asks_store: revocations.store.is_some(),
        }
    }

    /// Takes over the cached tokens of another verifier with the same keys, and keeps its own rules.
    #[cfg(all(test, feature = "cache"))]
    pub(super) fn with_memory_of(self, other: Self) -> Option<Self> {
        let memory = Arc::into_inner(other.inner)?.memory;
        let inner = Arc::into_inner(self.inner)?;
        Some(Self::new(Inner { memory, ..inner }))
    }

    #[cfg(all(test, feature = "cache"))]
    pub(super) fn policy(&self) -> &Policy {
        &self.inner.judge.policy
    }

    /// Whether this very token was accepted before and is cached.
    pub(super) fn remembers(&self, token: &[u8]) -> bool {
        self.inner.memory.remembers(token)
    }

    /// Checks the signature and the claims only.
    pub(super) fn verify_local(
        &self,
        token: &[u8],
        held: &Possession,
    ) -> Result<VerifiedToken, AuthError> {
        match self.check(token, held)? {
            Checked::Good(verified) => Ok(self.hand_out(verified)),
            Checked::Doubted(doubt) => Err(doubt.into_error()),
        }
    }

    /// Goes as far as possible without waiting, and boxes a future only if something must be awaited.
    pub(super) fn start(&self, token: &[u8], held: &Possession) -> Progress {
        match self.check(token, held) {
            Ok(Checked::Good(verified)) => {
                let verified = self.hand_out(verified);
                self.inner.judge.revocations.judge(verified)
            }
            Ok(Checked::Doubted(doubt)) => self.wait_for_key(token, *held, doubt),
            Err(error) => Progress::Done(Err(error)),
        }
    }

    /// Gives the token what it needs to find out when it ends. Cached tokens do not have it, because
    /// otherwise the verifier would own itself.
    fn hand_out(&self, verified: VerifiedToken) -> VerifiedToken {
        let world = Arc::clone(&self.inner) as Arc<dyn World>;
        verified.in_world(world)
    }

    fn wait_for_key(&self, token: &[u8], held: Possession, doubt: Doubt) -> Progress {
        let Keys::Source(_) = &self.inner.keys else {
            return Progress::Done(Err(doubt.into_error()));
        };
        if let Err(error) = self.check_issuer_unverified(token) {
            return Progress::Done(Err(error));
        }
        let (this, token) = (self.clone(), token.to_owned());
        Progress::Wait(Box::pin(async move {
            doubt.ask(&this.inner.keys).await?;
            let verified = this.verify_local(&token, &held)?;
            this.inner.judge.revocations.judge(verified).finish().await
        }))
    }

    /// Refuses a token whose own `iss` names another issuer before its key is fetched: no key of this issuer
    /// could make it valid.
    fn check_issuer_unverified(&self, token: &[u8]) -> Result<(), AuthError> {
        let Inner {
            judge,
            max_token_bytes,
            ..
        } = &*self.inner;
        let payload = Compact::parse(token, *max_token_bytes)?.open_unverified()?;
        let payload = Payload::parse(payload, &[])?;
        judge
            .policy
            .check_issuer(&payload, &judge.policy.read_further(&payload))
    }

    /// Makes all checks that need no I/O. The signature may be cached; the judge checks the rest each time.
    fn check(&self, token: &[u8], held: &Possession) -> Result<Checked, AuthError> {
        let Inner {
            keys,
            judge,
            memory,
            ..
        } = &*self.inner;
        let shown = memory.show(token);
        let (proved, is_recalled) = match memory.recall(&shown, keys) {
            Some(proved) => (proved, true),
            None => match self.prove(&shown)? {
                Search::Proved(proved) => (proved, false),
                Search::Doubted(doubt) => return Ok(Checked::Doubted(doubt)),
            },
        };
        let verdict = judge.judge(proved, held);
        memory.note(&shown, is_recalled, &verdict);
        verdict.map(|verified| Checked::Good(verified.marked_cached(is_recalled)))
    }

    /// Parses a token and checks its signature.
    fn prove(&self, shown: &Shown<'_>) -> Result<Search, AuthError> {
        let Inner {
            keys,
            judge,
            memory,
            max_token_bytes,
        } = &*self.inner;
        let policy = &judge.policy;
        let parts = Compact::parse(shown.token, *max_token_bytes)?;
        let known = memory.header(parts.encoded_header());
        let (mut room, text, read);
        let header: &Header<'_> = match &known {
            Some(header) => header.shared(),
            None => {
                room = [0; HEADER_ROOM];
                text = parts.header_json(&mut room)?;
                read = read_header(&text, policy)?;
                &read
            }
        };
        let found = keys.with_key(header.kid.as_deref(), &header.alg, |key| {
            let payload = parts.open(key).map_err(|error| (key.clone(), error))?;
            Ok::<_, (VerifyingKey, AuthError)>((payload, memory.wants(shown, key)))
        });
        let (payload, key_to_keep) = match found {
            Ok(Ok(opened)) => opened,
            Ok(Err((key, error))) => return Doubt::failed(key, error, header).map(Search::Doubted),
            Err(miss) => {
                parts.check_alphabet()?;
                return Doubt::missed(miss, header).map(Search::Doubted);
            }
        };
        if known.is_none() {
            memory.add_header(parts.encoded_header(), header);
        }
        let payload = Payload::parse(payload, &policy.required)?;
        // Only a token whose header was seen before is cached, so that all cached tokens share the header.
        let proof = key_to_keep.zip(known.as_ref().map(KnownHeader::shared));
        Ok(Search::Proved(Proved::new(Facts {
            kind: match policy.profile {
                TokenProfile::Own => CredentialKind::OwnToken,
                TokenProfile::LogoutToken => CredentialKind::LogoutToken,
                _ => CredentialKind::ProviderToken,
            },
            typ: header.kind,
            further: policy.read_further(&payload),
            expires_at: payload.expires_at().value().copied(),
            payload,
            proof: proof.map(|(key, header)| Proof {
                key,
                header: Arc::clone(header),
            }),
            typed: TypedClaims::default(),
            id_by_claims: OnceLock::new(),
        })))
    }
}

/// Reads a header, and refuses one that no acceptable token can have. This comes before the key is looked up,
/// because the look-up may cause I/O.
fn read_header<'h>(text: &'h str, policy: &Policy) -> Result<Header<'h>, AuthError> {
    let header = Header::parse(text)?;
    if Algorithm::from_str(&header.alg).is_err() {
        return Err(
            AuthError::new(AuthErrorKind::UnsupportedAlgorithm).because(&Reason {
                code: "unknown_algorithm",
                message: "the token names an algorithm that this crate does not have",
            }),
        ); // no key can change that
    }
    policy.check_typ(header.kind)?;
    Ok(header)
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("keys", &self.inner.keys)
            .field("policy", &self.inner.judge.policy)
            .field("revocation", &self.inner.judge.revocations.store)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl World for Inner {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.judge.clock
    }

    fn leeway(&self) -> Duration {
        self.judge.policy.leeway
    }

    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>> {
        self.judge.revocations.store.as_ref()
    }
}
