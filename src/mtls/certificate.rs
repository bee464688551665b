//! [`ClientCertificate`]: the certificate with which a client has opened its connection.

use crate::keys::{Thumbprint, sha256};

/// The certificate with which a client has opened its connection. The TLS server must put it into the
/// extensions of each request of the connection.
///
/// Only the SHA-256 of the certificate is kept, so it is cheap to clone.
///
/// ```
/// use tower_jwt_auth::mtls::ClientCertificate;
///
/// /// `peer_certificates` are those of rustls, after the handshake:
/// /// `stream.get_ref().1.peer_certificates()`.
/// fn mark(request: &mut http::Request<()>, peer_certificates: Option<&[Vec<u8>]>) {
///     // The first one is that of the client itself.
///     let certificate = peer_certificates.and_then(|all| all.first());
///     if let Some(certificate) = certificate.and_then(ClientCertificate::from_der) {
///         request.extensions_mut().insert(certificate);
///     }
/// }
/// ```
///
/// # Security
///
/// Make it only from a certificate whose private key the client has proved to have, as TLS ensures. The TLS
/// server decides whether the certificate must be signed by an authority or may be self-signed (RFC 8705
/// section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate {
    pub(super) thumbprint: Thumbprint,
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Makes one from a certificate in DER, as rustls provides it. Returns `None` if `der` is empty. The
    /// content is not checked.
    #[must_use]
    pub fn from_der(der: impl AsRef<[u8]>) -> Option<Self> {
        let der = der.as_ref();
        if der.is_empty() {
            return None;
        }
        Some(Self {
            thumbprint: Thumbprint(sha256(der)?),
        })
    }

    /// Returns the SHA-256 of the certificate in base64url, as in `cnf.x5t#S256` (RFC 8705 section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.thumbprint.to_string()
    }
}
