//! [`ClientCertificate`]: the certificate by which a client has opened its connection.

use crate::keys::{Thumbprint, sha256};

/// The certificate by which a client has opened its connection. A TLS server puts it into the extensions of
/// each request of the connection.
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
/// Make it only of a certificate whose private key the client has proved to have, as TLS does. Whether the
/// certificate must be signed by an authority, or may be any (RFC 8705 section 4), is up to the TLS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate {
    pub(super) thumbprint: Thumbprint,
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Reads a certificate in DER, such as rustls gives it. Returns `None` if it is empty.
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

    /// Returns the SHA-256 of the certificate in base64url, as it is in `cnf.x5t#S256` (RFC 8705 section
    /// 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.thumbprint.to_string()
    }
}
