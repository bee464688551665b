//! [`ClientCertificates`]: where to find the certificate of a client.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::certificate::ClientCertificate;
use super::header::ProxyHeader;
use crate::keys::Thumbprint;

/// The place where a [`JwtAuthLayer`](crate::JwtAuthLayer::client_certificates) finds the certificate of a
/// client.
#[derive(Clone)]
pub struct ClientCertificates {
    source: Source,
    is_required: bool,
}

#[derive(Clone)]
enum Source {
    Connection,
    Header {
        header: ProxyHeader,
        is_trusted: Arc<dyn Fn(&Extensions) -> bool + Send + Sync>,
    },
}

// === impl ClientCertificates ===

impl ClientCertificates {
    /// Uses the [`ClientCertificate`] that the TLS server of this process has put into the extensions of the
    /// request.
    #[must_use]
    pub fn from_connection() -> Self {
        Self {
            source: Source::Connection,
            is_required: false,
        }
    }

    /// Uses the certificate in a header, if the request comes from a trusted proxy. `is_trusted` decides that
    /// by the extensions of the request, for example by the IP address of the peer.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    /// use tower_jwt_auth::mtls::{ClientCertificates, ProxyHeader};
    ///
    /// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
    /// let header = ProxyHeader::escaped_pem("X-Client-Cert")?;
    /// let certificates = ClientCertificates::from_header(header, |extensions| {
    ///     let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    ///     peer.is_some_and(|ConnectInfo(address)| address.ip().is_loopback())
    /// });
    /// # let _ = certificates; Ok(()) }
    /// ```
    ///
    /// # Security
    ///
    /// Anybody can write the header, because the certificate of another client is not secret. So the proxy
    /// must replace or remove the header of its clients, even for connections without a certificate, and
    /// `is_trusted` must return `false` for everybody else who can reach the service.
    #[must_use]
    pub fn from_header(
        header: ProxyHeader,
        is_trusted: impl Fn(&Extensions) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Source::Header {
                header,
                is_trusted: Arc::new(is_trusted),
            },
            is_required: false,
        }
    }

    /// Refuses tokens that are not bound to a certificate.
    #[must_use]
    pub fn require_bound_tokens(mut self) -> Self {
        self.is_required = true;
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(crate) fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Thumbprint> {
        let found = match &self.source {
            Source::Connection => extensions.get::<ClientCertificate>().copied(),
            Source::Header { header, is_trusted } if is_trusted(extensions) => header.read(headers),
            Source::Header { .. } => None,
        };
        found.map(|certificate| certificate.thumbprint)
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Connection => None,
            Source::Header { header, .. } => Some(header),
        };
        f.debug_struct("ClientCertificates")
            .field("header", &source)
            .field("is_required", &self.is_required)
            .finish_non_exhaustive()
    }
}
