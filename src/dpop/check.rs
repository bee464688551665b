//! The checks of a proof (RFC 9449 section 4.3), as a plain function.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Uri};
use smallvec::SmallVec;

use super::DPOP;
use super::error::DpopError;
use super::htu::PublicAddress;
use super::known::ProofKey;
use super::nonce::{DpopNonces, Verdict};
use super::service::Inner;
use crate::clock::{as_micros, unix_micros};
use crate::codec::{Compact, Field, HEADER_ROOM, MAX_TOKEN_BYTES, ProofClaims, ProofHeader};
use crate::error::{AuthErrorKind, Reason};
use crate::keys::{Algorithm, ProofKeyFault, Thumbprint, VerifyingKey, sha256};
use crate::replay::ReplayEntry;

/// The parts of a request that a proof covers.
pub(super) struct Request<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
    /// The token that the proof must be for, if the request has one.
    pub(super) token: Option<&'r [u8]>,
}

/// Marks a request, in its extensions, whose proof a layer has already marked as used, so that it does not
/// count as a replay further in.
#[derive(Clone)]
pub(crate) struct UsedProof {
    pub(super) by: Arc<Inner>,
    pub(super) digest: [u8; 32],
}

/// A proof that has passed all checks except that of the replay store.
#[derive(Debug, Clone)]
pub(crate) struct CheckedProof {
    pub(super) key: Arc<ProofKey>,
    pub(super) entry: ReplayEntry,
    /// The encoded header, if the key is not known yet.
    pub(super) new_header: Option<Box<[u8]>>,
    newer_nonce: Option<HeaderValue>,
}

// === impl CheckedProof ===

impl CheckedProof {
    pub(crate) fn thumbprint(&self) -> Thumbprint {
        self.key.thumbprint
    }

    /// Returns the nonce that the client should use from now on, if it differs from that of the proof.
    pub(crate) fn newer_nonce(&self) -> Option<&HeaderValue> {
        self.newer_nonce.as_ref()
    }
}

pub(super) fn check(
    policy: &Inner,
    addresses: &[PublicAddress],
    request: &Request<'_>,
) -> Result<CheckedProof, DpopError> {
    let proof = only_header(request.headers)?;
    let parts = Compact::parse(proof, MAX_TOKEN_BYTES).map_err(|_| invalid(&MALFORMED))?;
    let (key, new_header) = match policy.known.find(parts.encoded_header()) {
        Some(key) => (key, None),
        None => {
            let key = read_key(&parts, &policy.algorithms)?;
            (Arc::new(key), Some(parts.encoded_header().into()))
        }
    };
    let claims = parts.open(&key.key).map_err(|error| {
        invalid(match error.kind() {
            AuthErrorKind::InvalidSignature => &BAD_SIGNATURE,
            _ => &MALFORMED,
        })
    })?;
    let claims = ProofClaims::parse(&claims).ok_or_else(|| invalid(&MALFORMED))?;
    let (Field::Is(jti), Field::Is(htm), Field::Is(htu), Field::Is(iat)) =
        (&claims.jti, &claims.htm, &claims.htu, &claims.iat)
    else {
        return Err(invalid(&CLAIM_MISSING));
    };
    if jti.is_empty() {
        return Err(invalid(&CLAIM_MISSING));
    }
    if **htm != *request.method.as_str() {
        return Err(invalid(&OTHER_METHOD));
    }
    let path = request.uri.path();
    if !addresses.iter().any(|address| address.fits(htu, path)) {
        return Err(invalid(&OTHER_ADDRESS));
    }
    if let Some(token) = request.token {
        check_token_hash(&claims.ath, token, &key)?;
    }
    let now = unix_micros(policy.clock.now());
    let (newer_nonce, until) = match &policy.nonces {
        // The nonce says how old the proof is, by our clock and not by that of the client (section 11.1).
        Some(nonces) => check_nonce(nonces, &claims.nonce, now)?,
        None => (None, check_time(policy, micros(iat.as_secs_f64()), now)?),
    };
    // It is kept for longer than it is valid, because it may still be valid by the clock of another node that
    // is behind.
    let longer = policy.leeway + Duration::from_secs(1);
    let entry = ReplayEntry::new(
        replay_digest(key.thumbprint, jti, htu).ok_or_else(|| invalid(&MALFORMED))?,
        now,
        until.saturating_add(as_micros(longer)),
    );
    Ok(CheckedProof {
        key,
        entry,
        new_header,
        newer_nonce,
    })
}

fn only_header(headers: &HeaderMap) -> Result<&[u8], DpopError> {
    let mut values = headers.get_all(DPOP).iter();
    match (values.next(), values.next()) {
        (Some(proof), None) => Ok(proof.as_bytes()),
        (None, _) => Err(invalid(&MISSING)),
        (Some(_), Some(_)) => Err(invalid(&TWO)),
    }
}

fn read_key(parts: &Compact<'_>, accepted: &[Algorithm]) -> Result<ProofKey, DpopError> {
    let mut room = [0; HEADER_ROOM];
    let text = parts
        .header_json(&mut room)
        .map_err(|_| invalid(&MALFORMED))?;
    let header = ProofHeader::parse(&text).ok_or_else(|| invalid(&MALFORMED))?;
    let is_proof = |typ: &str| typ.eq_ignore_ascii_case("dpop+jwt");
    if !header.typ.as_deref().is_some_and(is_proof) {
        return Err(invalid(&WRONG_TYPE));
    }
    if header.demands_more {
        return Err(invalid(&MALFORMED));
    }
    let algorithm = header
        .alg
        .and_then(|alg| Algorithm::from_str(&alg).ok())
        .filter(|found| accepted.contains(found))
        .ok_or_else(|| invalid(&ALGORITHM))?;
    let jwk = header.jwk.ok_or_else(|| invalid(&NO_KEY))?;
    match VerifyingKey::of_proof(algorithm, jwk) {
        Ok((key, thumbprint)) => Ok(ProofKey::new(key, thumbprint)),
        Err(ProofKeyFault::Secret) => Err(invalid(&PRIVATE_KEY)),
        Err(ProofKeyFault::Unfit) => Err(invalid(&UNFIT_KEY)),
    }
}

/// Checks by `ath` that the proof is for this token.
fn check_token_hash(
    ath: &Field<std::borrow::Cow<'_, str>>,
    token: &[u8],
    key: &ProofKey,
) -> Result<(), DpopError> {
    let Field::Is(ath) = ath else {
        return Err(invalid(&CLAIM_MISSING));
    };
    match key.hash_of(token) {
        Some(hash) if hash == *ath.as_bytes() => Ok(()),
        _ => Err(invalid(&OTHER_TOKEN)),
    }
}

/// Returns the time until which a proof that was made at `iat` is good.
fn check_time(policy: &Inner, iat: u64, now: u64) -> Result<u64, DpopError> {
    if iat > now.saturating_add(as_micros(policy.leeway)) {
        return Err(invalid(&FROM_THE_FUTURE));
    }
    let until = iat.saturating_add(as_micros(policy.max_age));
    if now > until {
        return Err(invalid(&TOO_OLD));
    }
    Ok(until)
}

/// Returns the nonce that the client should learn, if there is a newer one, and the time until which the
/// proof is good.
fn check_nonce(
    nonces: &DpopNonces,
    nonce: &Field<std::borrow::Cow<'_, str>>,
    now: u64,
) -> Result<(Option<HeaderValue>, u64), DpopError> {
    let nonce = match nonce {
        Field::Is(nonce) => Some(&**nonce),
        Field::Absent => None,
        Field::WrongType => return Err(invalid(&MALFORMED)),
    };
    match nonces.judge(nonce, now) {
        Some(Verdict::Good { newer, until }) => Ok((newer, until)),
        Some(Verdict::Needs(newest)) => {
            let reason = if nonce.is_none() {
                &NONCE_MISSING
            } else {
                &NONCE_EXPIRED
            };
            Err(DpopError::nonce_required(reason, newest))
        }
        None => Err(invalid(&MALFORMED)),
    }
}

/// Computes the digest that identifies a proof: of its key, its id and its URL (RFC 9449 section 11.1), each
/// with its length.
fn replay_digest(key: Thumbprint, jti: &str, htu: &str) -> Option<[u8; 32]> {
    let mut text = SmallVec::<[u8; 256]>::new();
    text.extend_from_slice(&key.0);
    text.extend_from_slice(&jti.len().to_be_bytes());
    text.extend_from_slice(jti.as_bytes());
    text.extend_from_slice(htu.as_bytes());
    sha256(&text)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^53 seconds
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

pub(super) fn replayed() -> DpopError {
    invalid(&REPLAYED)
}

fn invalid(reason: &'static Reason) -> DpopError {
    DpopError::invalid(reason)
}

static MISSING: Reason = Reason {
    code: "proof_missing",
    message: "the request has no DPoP proof: send one in the header `DPoP`",
};
static TWO: Reason = Reason {
    code: "two_proofs",
    message: "the request has more than one `DPoP` header",
};
static MALFORMED: Reason = Reason {
    code: "malformed_proof",
    message: "the DPoP proof is not a signed JWT in compact form, is too long, or requires an extension",
};
static WRONG_TYPE: Reason = Reason {
    code: "proof_of_wrong_type",
    message: "the DPoP proof's `typ` is not `dpop+jwt`",
};
static ALGORITHM: Reason = Reason {
    code: "proof_algorithm_not_accepted",
    message: "the DPoP proof's algorithm is not accepted (`DpopBuilder::algorithms`)",
};
static NO_KEY: Reason = Reason {
    code: "proof_without_key",
    message: "the DPoP proof's header has no public key (`jwk`)",
};
static PRIVATE_KEY: Reason = Reason {
    code: "private_key_in_proof",
    message: "the DPoP proof's key (`jwk`) has a private member or is symmetric: the client has revealed its \
              private key",
};
static UNFIT_KEY: Reason = Reason {
    code: "unfit_key_in_proof",
    message: "the DPoP proof's key (`jwk`) is malformed, too weak, or does not fit the algorithm",
};
static BAD_SIGNATURE: Reason = Reason {
    code: "bad_proof_signature",
    message: "the DPoP proof's signature does not verify with its key (`jwk`)",
};
static CLAIM_MISSING: Reason = Reason {
    code: "proof_claim_missing",
    message: "the DPoP proof lacks `jti`, `htm`, `htu`, `iat` or, with a token, `ath`, or one of them has the \
              wrong type",
};
static OTHER_METHOD: Reason = Reason {
    code: "proof_for_other_method",
    message: "the DPoP proof is for another method (`htm`)",
};
static OTHER_ADDRESS: Reason = Reason {
    code: "proof_for_other_address",
    message: "the DPoP proof is for another URL (`htu`): it must be the public URL that was given to \
              `Dpop::builder`, followed by the path of the request",
};
static OTHER_TOKEN: Reason = Reason {
    code: "proof_for_other_token",
    message: "the DPoP proof is for another token (`ath`)",
};
static NONCE_MISSING: Reason = Reason {
    code: "nonce_missing",
    message: "the DPoP proof has no nonce: the client must repeat the request with the one in `DPoP-Nonce`",
};
static NONCE_EXPIRED: Reason = Reason {
    code: "nonce_expired",
    message: "the DPoP proof's nonce has expired or is not of this server: the client must repeat the request \
              with the one in `DPoP-Nonce`",
};
static TOO_OLD: Reason = Reason {
    code: "proof_too_old",
    message: "the DPoP proof is too old (`iat`), or the clock of its client is behind",
};
static FROM_THE_FUTURE: Reason = Reason {
    code: "proof_from_the_future",
    message: "the DPoP proof was made in the future (`iat`), so the clock of its client is ahead",
};
static REPLAYED: Reason = Reason {
    code: "proof_replayed",
    message: "the DPoP proof was used before: a client must make one for each request",
};
