//! [`Binding`]: how a token is bound to its client.

use crate::codec::{Confirmation, Field};
use crate::policy::Bound;

/// How a [`VerifiedToken`](crate::VerifiedToken) is bound to its client: the result of
/// [`VerifiedToken::binding`](crate::VerifiedToken::binding).
///
/// Thumbprints are SHA-256 in base64url, as they are in the claim `cnf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding<'a> {
    /// The token is a bearer token: anybody who has it can use it.
    None,
    /// The request had a DPoP proof, signed with the key that the token is bound to (RFC 9449).
    Dpop {
        /// The thumbprint of the key (`cnf.jkt`, RFC 7638).
        jkt: &'a str,
    },
    /// The connection had the client certificate that the token is bound to (RFC 8705).
    Certificate {
        /// The thumbprint of the certificate (`cnf.x5t#S256`).
        x5t: &'a str,
    },
    /// The token is bound to a key and to a certificate, and the client has proved that it has both.
    DpopAndCertificate {
        /// The thumbprint of the key.
        jkt: &'a str,
        /// The thumbprint of the certificate.
        x5t: &'a str,
    },
    /// The token is bound, but was accepted without a proof, because `dangerous_accept_bound_tokens` is
    /// set.
    Unproved,
}

// === impl Binding ===

impl<'a> Binding<'a> {
    pub(super) fn of(bound: Bound, to: Option<&'a Confirmation>) -> Self {
        let text = |field: fn(&'a Confirmation) -> &'a Field<Box<str>>| {
            to.and_then(|to| field(to).value())
                .map_or("", |text| &**text)
        };
        let (jkt, x5t) = (text(|to| &to.key), text(|to| &to.certificate));
        match bound {
            Bound::No => Self::None,
            Bound::Unproved => Self::Unproved,
            Bound::Key => Self::Dpop { jkt },
            Bound::Certificate => Self::Certificate { x5t },
            Bound::KeyAndCertificate => Self::DpopAndCertificate { jkt, x5t },
        }
    }

    /// Returns the stable, lower-case name of the binding, for logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dpop { .. } => "dpop",
            Self::Certificate { .. } => "certificate",
            Self::DpopAndCertificate { .. } => "dpop_and_certificate",
            Self::Unproved => "unproved",
        }
    }
}
