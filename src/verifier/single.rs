//! [`Single`]: the verification of one issuer's tokens, step by step.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use super::headers::{self, KnownHeaders};
use super::seen::SeenTokens;
use super::verified::{Elsewhere, Proof, VerifiedToken};
use crate::clock::{Clock, unix_seconds};
use crate::codec::{Compact, HEADER_ROOM, Header, Registered};
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::{
    Algorithm, DynKeySource, KeyLookup, KeyMiss, KeySet, KeySourceHealth, VerifyingKey,
};
use crate::policy::{ClaimPath, Policy};
use crate::revocation::DynRevocationStore;
use crate::session::AcknowledgerSlot;

/// Verifies by one policy, with the keys of one place.
#[derive(Clone)]
pub(super) struct Single {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: Keys,
    pub(super) policy: Policy,
    /// Where scopes are, if not in `scope` as RFC 9068 has it.
    pub(super) scope_claims: Box<[ClaimPath]>,
    pub(super) role_claims: Box<[ClaimPath]>,
    pub(super) max_token_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) revocation: Option<Arc<dyn DynRevocationStore>>,
    pub(super) acknowledger: AcknowledgerSlot,
    /// Tokens whose signature need not be checked again.
    pub(super) seen: Option<SeenTokens>,
    /// Headers that need not be read again.
    pub(super) headers: KnownHeaders,
}

/// Fixed keys are borrowed for a verification; a source hands out shared ones.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(KeySet),
    Source(Arc<dyn DynKeySource>),
}

/// How far a verification comes without waiting.
pub(crate) enum Progress {
    Done(Result<VerifiedToken, AuthError>),
    Wait(Pin<Box<dyn Future<Output = Result<VerifiedToken, AuthError>> + Send>>),
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

    /// The issuers that it trusts; none where it trusts any.
    pub(super) fn issuers(&self) -> &[Box<str>] {
        &self.inner.policy.issuers
    }

    pub(super) fn max_token_bytes(&self) -> usize {
        self.inner.max_token_bytes
    }

    /// How the source of the keys is doing, if it changes at all.
    pub(super) fn health(&self) -> Option<KeySourceHealth> {
        match &self.inner.keys {
            Keys::Fixed(_) => None,
            Keys::Source(source) => source.health(),
        }
    }

    /// Signature and claims alone.
    pub(super) fn verify_local(&self, token: &[u8]) -> Result<VerifiedToken, AuthError> {
        match self.check(token)? {
            Checked::Good(verified) => Ok(verified),
            Checked::KeyNotFound { .. } => Err(AuthErrorKind::UnknownKey.into()),
        }
    }

    /// Comes as far as memory allows; boxes a future only where something must be waited for.
    pub(super) fn start(&self, token: &[u8]) -> Progress {
        let verified = match self.check(token) {
            Ok(Checked::Good(verified)) => verified,
            Ok(Checked::KeyNotFound { key_id }) => return self.wait_for_key(token, key_id),
            Err(error) => return Progress::Done(Err(error)),
        };
        let Some(store) = &self.inner.revocation else {
            return Progress::Done(Ok(self.accept(verified)));
        };
        match verified.revocation_query().map(|query| store.peek(&query)) {
            Err(error) => Progress::Done(Err(error)),
            Ok(Some(true)) => Progress::Done(Err(AuthErrorKind::Revoked.into())),
            Ok(Some(false)) => Progress::Done(Ok(self.accept(verified))),
            Ok(None) => {
                let this = self.clone();
                Progress::Wait(Box::pin(
                    async move { this.check_revocation(verified).await },
                ))
            }
        }
    }

    fn wait_for_key(&self, token: &[u8], key_id: Option<String>) -> Progress {
        let Keys::Source(source) = &self.inner.keys else {
            return Progress::Done(Err(AuthErrorKind::UnknownKey.into()));
        };
        let (source, this, token) = (Arc::clone(source), self.clone(), token.to_owned());
        Progress::Wait(Box::pin(async move {
            source.refresh(key_id.as_deref()).await?;
            this.check_revocation(this.verify_local(&token)?).await
        }))
    }

    async fn check_revocation(&self, verified: VerifiedToken) -> Result<VerifiedToken, AuthError> {
        if let Some(store) = &self.inner.revocation
            && store.is_revoked(verified.revocation_query()?).await?
        {
            return Err(AuthErrorKind::Revoked.into());
        }
        Ok(self.accept(verified))
    }

    /// A token that passed everything: its session is in use.
    fn accept(&self, verified: VerifiedToken) -> VerifiedToken {
        if let Some(acknowledger) = self.inner.acknowledger.get()
            && let (Some(session), Some(generation)) =
                (verified.session_id(), verified.generation())
        {
            acknowledger.seen(session, generation);
        }
        verified
    }

    /// Everything that needs no I/O.
    fn check(&self, token: &[u8]) -> Result<Checked, AuthError> {
        let Inner {
            keys,
            policy,
            scope_claims,
            role_claims,
            max_token_bytes,
            clock,
            seen,
            headers,
            ..
        } = &*self.inner;
        if let Some(seen) = seen
            && let Some(verdict) = seen.judge(token, keys, |typ, claims, payload| {
                self.judge(typ, claims, payload)
            })
        {
            return verdict.map(Checked::Good);
        }
        let parts = Compact::parse(token, *max_token_bytes)?;
        let known = headers.load();
        let known = headers::find(&known, parts.encoded_header());
        let (mut room, text, read);
        let header: &Header<'_> = match known {
            Some(header) => header,
            None => {
                room = [0; HEADER_ROOM];
                text = parts.header_json(&mut room)?;
                read = read_header(&text, policy)?;
                &read
            }
        };

        let found = keys.with_key(header.kid.as_deref(), &header.alg, |key| {
            let payload = parts.open(key)?;
            let kept = seen.as_ref().and_then(|seen| seen.wants(token, key));
            Ok::<_, AuthError>((payload, kept))
        });
        let (payload, key_to_keep): (String, _) = match found {
            Ok(opened) => opened?,
            Err(miss) => {
                return match miss {
                    KeyMiss::UnsupportedAlgorithm => {
                        Err(AuthErrorKind::UnsupportedAlgorithm.into())
                    }
                    KeyMiss::Ambiguous => Err(AuthErrorKind::UnknownKey.into()),
                    KeyMiss::UnknownKey => Ok(Checked::KeyNotFound {
                        key_id: header.kid.as_deref().map(str::to_owned),
                    }),
                };
            }
        };

        let claims = Registered::parse(&payload, &policy.required)?;
        policy.check(&claims, unix_seconds(&**clock))?;
        let mut elsewhere = Elsewhere::default();
        if policy.needs_all_claims() || !scope_claims.is_empty() || !role_claims.is_empty() {
            let claims = parsed(&payload)?;
            policy.check_all_claims(&claims)?;
            elsewhere = Elsewhere::read(&claims, scope_claims, role_claims);
        }
        if known.is_none() {
            headers.add(parts.encoded_header(), header);
        }
        // Kept is a token of a header that is known, and so the same object for all of them.
        let proof = key_to_keep.zip(known).map(|(key, header)| Proof {
            key,
            header: Arc::clone(header),
        });
        let seen = seen.as_ref().filter(|_| proof.is_some());
        let places = claims.places(&payload);
        drop(claims);
        let verified = VerifiedToken::new(payload, places, elsewhere, proof)?;
        if let Some(seen) = seen {
            seen.keep(token, &verified);
        }
        Ok(Checked::Good(verified))
    }

    /// Everything about a token that may change while its signature stays what it is.
    fn judge(
        &self,
        typ: Option<&str>,
        claims: &Registered<'_>,
        payload: &str,
    ) -> Result<(), AuthError> {
        let Inner { policy, clock, .. } = &*self.inner;
        policy.check_typ(typ)?;
        policy.check(claims, unix_seconds(&**clock))?;
        if policy.needs_all_claims() {
            policy.check_all_claims(&parsed(payload)?)?;
        }
        Ok(())
    }
}

/// Reads a header, and refuses one that no token can have here.
fn read_header<'h>(text: &'h str, policy: &Policy) -> Result<Header<'h>, AuthError> {
    let header = Header::parse(text)?;
    if Algorithm::from_str(&header.alg).is_err() {
        return Err(AuthErrorKind::UnsupportedAlgorithm.into()); // J03: whatever the keys
    }
    policy.check_typ(header.typ.as_deref())?;
    Ok(header)
}

fn parsed(payload: &str) -> Result<Value, AuthError> {
    serde_json::from_str(payload).map_err(|_| AuthErrorKind::MalformedToken.into())
}

enum Checked {
    Good(VerifiedToken),
    /// No key for it now; a source may still learn of one.
    KeyNotFound {
        key_id: Option<String>,
    },
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("keys", &self.inner.keys)
            .field("policy", &self.inner.policy)
            .field("revocation", &self.inner.revocation)
            .finish_non_exhaustive()
    }
}

// === impl Keys ===

impl Keys {
    /// Runs `open` with the key that the header names.
    pub(super) fn with_key<T>(
        &self,
        key_id: Option<&str>,
        alg: &str,
        open: impl FnOnce(&VerifyingKey) -> T,
    ) -> Result<T, KeyMiss> {
        match self {
            Self::Fixed(set) => set.lookup(key_id, alg).map(open),
            Self::Source(source) => match source.find(key_id, alg) {
                // A source must not stretch a key to another algorithm (J05).
                KeyLookup::Found(key) if key.algorithm().accepts(alg) => Ok(open(&key)),
                KeyLookup::Found(_) | KeyLookup::UnsupportedAlgorithm => {
                    Err(KeyMiss::UnsupportedAlgorithm)
                }
                KeyLookup::UnknownKey => Err(KeyMiss::UnknownKey),
                KeyLookup::Ambiguous => Err(KeyMiss::Ambiguous),
            },
        }
    }
}
