//! [`Possession`]: the keys that a client has proved to possess, and the check that a token is bound to them
//! (RFC 9449 section 7, RFC 8705 section 3).

use super::{Policy, wrong_claim};
use crate::codec::{Confirmation, Field, Marks, Payload};
use crate::error::{AuthError, Reason};
use crate::keys::Thumbprint;

/// What the client of a request has proved to possess, and what the layer requires.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Possession {
    /// The key of the DPoP proof. `None` means that the token was presented as a bearer token.
    pub(crate) key: Option<Thumbprint>,
    /// The client certificate of the connection.
    pub(crate) certificate: Option<Thumbprint>,
    /// Whether only tokens that are bound to the key of a proof are accepted.
    pub(crate) needs_key: bool,
    /// Whether only tokens that are bound to the client certificate are accepted.
    pub(crate) needs_certificate: bool,
}

/// How an accepted token is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bound {
    /// The token is a bearer token.
    #[default]
    No,
    /// The token is bound, but was accepted without a proof, which only `dangerous_accept_bound_tokens`
    /// allows.
    Unproved,
    Key,
    Certificate,
    KeyAndCertificate,
}

// === impl Possession ===

impl Possession {
    /// A request with a plain bearer token, if the layer requires no binding.
    pub(crate) const BEARER: Self = Self {
        key: None,
        certificate: None,
        needs_key: false,
        needs_certificate: false,
    };
}

// === impl Policy ===

impl Policy {
    /// Checks that the client has proved possession of what the token is bound to.
    pub(crate) fn check_binding(
        &self,
        claims: &Payload,
        held: &Possession,
    ) -> Result<Bound, AuthError> {
        check_binding(claims, held, self.takes_bound_tokens)
    }
}

/// Checks that the client has proved possession of what the token is bound to. It is the only such check, for
/// all kinds of credentials.
///
/// There is no downgrade in either direction: a token that is bound to a key is refused without a proof, and
/// one that is not bound is refused with a proof (RFC 9449 section 7.2).
pub(crate) fn check_binding(
    claims: &Payload,
    held: &Possession,
    takes_unproved: bool,
) -> Result<Bound, AuthError> {
    let is_bound = claims.marks().has(Marks::BOUND);
    if !is_bound && held.key.is_none() && !held.needs_key && !held.needs_certificate {
        return Ok(Bound::No);
    }
    match judge(claims, held) {
        Ok(bound) => Ok(bound),
        // A gateway has checked the proof, and forwards the token as a bearer token.
        Err(_) if is_bound && takes_unproved && held.key.is_none() && !held.demands() => {
            Ok(Bound::Unproved)
        }
        Err(reason) => Err(wrong_claim(reason)),
    }
}

impl Possession {
    const fn demands(&self) -> bool {
        self.needs_key || self.needs_certificate
    }
}

fn judge(claims: &Payload, held: &Possession) -> Result<Bound, &'static Reason> {
    const NOTHING: Confirmation = Confirmation {
        key: Field::Absent,
        certificate: Field::Absent,
        has_other: false,
    };
    let bound_to = claims.confirmation().unwrap_or(&NOTHING);
    if bound_to.has_other || bound_to.key.is_wrong() || bound_to.certificate.is_wrong() {
        return Err(&OTHER_METHOD);
    }
    let by_key = match (&bound_to.key, held.key) {
        (Field::Is(needed), Some(key)) if Thumbprint::parse(needed) == Some(key) => true,
        (Field::Is(_), Some(_)) => return Err(&OTHER_KEY),
        (Field::Is(_), None) => return Err(&BOUND_TOKEN),
        (_, Some(_)) => return Err(&UNBOUND_TOKEN),
        (_, None) if held.needs_key => return Err(&PROOF_REQUIRED),
        // The type says that the token is bound to a key, but not to which one.
        (_, None) if claims.marks().has(Marks::SAYS_DPOP) => return Err(&BOUND_TOKEN),
        (_, None) => false,
    };
    let by_certificate = match (&bound_to.certificate, held.certificate) {
        (Field::Is(needed), Some(held)) if Thumbprint::parse(needed) == Some(held) => true,
        (Field::Is(_), Some(_)) => return Err(&OTHER_CERTIFICATE),
        (Field::Is(_), None) => return Err(&BOUND_TOKEN),
        (_, _) if held.needs_certificate => return Err(&CERTIFICATE_REQUIRED),
        (_, _) => false,
    };
    match (by_key, by_certificate) {
        (true, true) => Ok(Bound::KeyAndCertificate),
        (true, false) => Ok(Bound::Key),
        (false, true) => Ok(Bound::Certificate),
        // The token has a `cnf` that names no method of proof.
        (false, false) if claims.marks().has(Marks::BOUND) => Err(&OTHER_METHOD),
        (false, false) => Ok(Bound::No),
    }
}

static BOUND_TOKEN: Reason = Reason {
    code: "bound_token",
    message: "the token is bound to a key (`cnf`, or `DPoP` as its type), and the request has no proof that \
              its client has the key: send a DPoP proof or the client certificate, and configure the layer \
              to check it (`JwtAuthLayer::dpop`, `JwtAuthLayer::client_certificates`)",
};
static OTHER_METHOD: Reason = Reason {
    code: "unknown_binding",
    message: "the token is bound in a way that this crate does not check (`cnf`): only `jkt` (DPoP) and \
              `x5t#S256` (mutual TLS) are supported",
};
static OTHER_KEY: Reason = Reason {
    code: "bound_to_other_key",
    message: "the token is bound to another key than that of the DPoP proof (`cnf.jkt`)",
};
static UNBOUND_TOKEN: Reason = Reason {
    code: "unbound_token_with_proof",
    message: "the token is sent with a DPoP proof, but is not bound to a key: send it as `Bearer`, or have \
              it issued with a proof",
};
static PROOF_REQUIRED: Reason = Reason {
    code: "proof_required",
    message: "the layer accepts only tokens that are bound to a key and come with a DPoP proof",
};
static OTHER_CERTIFICATE: Reason = Reason {
    code: "bound_to_other_certificate",
    message: "the token is bound to another client certificate than that of the connection \
              (`cnf.x5t#S256`)",
};
static CERTIFICATE_REQUIRED: Reason = Reason {
    code: "certificate_required",
    message: "the layer accepts only tokens that are bound to the client certificate of the connection",
};
