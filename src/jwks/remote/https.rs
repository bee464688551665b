//! [`HttpsClient`]: the ready client, by hyper and rustls.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, vec};

use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::address::{AddressRules, PRIVATE};
use super::client::{BoxError, HttpClient, ServiceClient};
use super::proxy::{Proxies, Routed};
use crate::error::ConfigError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the 5 seconds after which many servers (Node.js among them) close a connection, so that
/// no request meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Introspection sends several requests at once.
const IDLE_CONNECTIONS: usize = 8;

/// The client that [`RemoteJwks`](super::RemoteJwks) and
/// [`Introspection`](crate::credential::Introspection) use: TLS 1.2 and 1.3 by rustls,
/// HTTP/1.1, two seconds to connect, no redirects, no cookies, and no proxy unless one is set.
///
/// It trusts the certificates of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name
/// others), and those of [`root_certificates`](HttpsClientBuilder::root_certificates).
#[derive(Clone)]
pub struct HttpsClient {
    inner: ServiceClient<Client<HttpsConnector<Routed>, String>>,
}

/// Builds an [`HttpsClient`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build()`"]
pub struct HttpsClientBuilder {
    pem: Vec<u8>,
    files: Vec<PathBuf>,
    only: bool,
    rules: AddressRules,
    proxies: Proxies,
}

// === impl HttpsClient ===

impl HttpsClient {
    /// Starts a client.
    pub fn builder() -> HttpsClientBuilder {
        HttpsClientBuilder::default()
    }
}

impl HttpClient for HttpsClient {
    fn send(
        &self,
        request: Request<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send {
        self.inner.send(request, limit)
    }
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsClient").finish_non_exhaustive()
    }
}

// === impl HttpsClientBuilder ===

impl HttpsClientBuilder {
    /// Also trusts these certificates (PEM, one or several): of a private authority.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.pem.extend_from_slice(pem.as_ref());
        self.pem.push(b'\n');
        self
    }

    /// Also trusts the certificates in this file (PEM, one or several), such as
    /// `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`. The file is read by [`build`](Self::build).
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Sets the proxy for https, such as `http://proxy.example:3128`. It is asked for a tunnel, so it sees
    /// the name of the host and nothing of the requests.
    ///
    /// # Security
    ///
    /// The proxy resolves the names, so [private networks](Self::allow_private_network) are its own concern.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.proxies = Proxies::one(url.as_ref());
        self
    }

    /// Sets the proxies that the variables `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name (upper or lower
    /// case), as [`proxy`](Self::proxy) does. They are read by this call.
    pub fn proxy_from_env(mut self) -> Self {
        self.proxies = Proxies::from_env();
        self
    }

    /// Trusts no certificates of the operating system.
    pub fn no_system_certificates(mut self) -> Self {
        self.only = true;
        self
    }

    /// Connects to hosts in private networks too, and to this machine.
    ///
    /// # Security
    ///
    /// Whoever can change the provider's metadata, or its name's address, can then make this
    /// service send requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.rules.private = true;
        self
    }

    pub(crate) fn rules(mut self, rules: AddressRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sends requests to this host over plain http, too.
    ///
    /// # Security
    ///
    /// As for [`RemoteJwksBuilder::dangerous_allow_http`](super::RemoteJwksBuilder::dangerous_allow_http).
    pub fn dangerous_allow_http(mut self, host: impl AsRef<str>) -> Self {
        self.rules.add_plain_http(host.as_ref());
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Fails if a certificate or its file cannot be read, or if there is none at all to trust.
    pub fn build(mut self) -> Result<HttpsClient, ConfigError> {
        for path in std::mem::take(&mut self.files) {
            let pem = std::fs::read(&path).map_err(|error| {
                ConfigError::invalid(format!(
                    "the file of root certificates, {}, cannot be read: {error}",
                    path.display()
                ))
            })?;
            self = self.root_certificates(pem);
        }
        let mut roots = RootCertStore::empty();
        if !self.only {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&self.pem) {
            count += 1;
            let added = certificate.ok().map(|certificate| roots.add(certificate));
            if !matches!(added, Some(Ok(()))) {
                return Err(ConfigError::invalid(format!(
                    "root certificate number {count} cannot be read: give X.509 certificates in PEM, each from \
                     `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`"
                )));
            }
        }
        if count == 0 && !self.pem.trim_ascii().is_empty() {
            return Err(ConfigError::invalid(
                "`root_certificates` was given a text without a certificate: it takes the PEM text itself, not \
                 the path of its file and not DER",
            ));
        }
        if roots.is_empty() {
            return Err(ConfigError::invalid(
                "there is no certificate to trust: install your system's (on Debian the package \
                 ca-certificates), or give some to `HttpsClientBuilder::root_certificates`",
            ));
        }
        let tls = ClientConfig::builder_with_provider(provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::invalid("rustls offers no version of TLS"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Guarded {
            rules: self.rules,
            system: GaiResolver::new(),
        });
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut to_proxy = HttpConnector::new();
        to_proxy.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let routed = Routed {
            direct: http,
            to_proxy,
            proxies: self.proxies,
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http() // the scheme was checked with the address
            .enable_http1()
            .wrap_connector(routed);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(https);
        Ok(HttpsClient {
            inner: ServiceClient::new(client),
        })
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// Resolves names, and gives away only addresses that connections may go to. A name
/// that leads elsewhere after it was checked is checked again with each connection.
#[derive(Clone)]
pub(super) struct Guarded {
    rules: AddressRules,
    system: GaiResolver,
}

type Resolved = Pin<Box<dyn Future<Output = io::Result<vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Guarded {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolved;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (rules, host) = (self.rules.clone(), name.as_str().to_owned());
        let found = self.system.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            let is_named = rules.names(&host);
            let is_allowed = |address: &SocketAddr| is_named || rules.allow(address.ip());
            let allowed: Vec<_> = found.iter().copied().filter(is_allowed).collect();
            if allowed.is_empty() && !found.is_empty() {
                let problem = format!("the host {PRIVATE}");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
            }
            Ok(allowed.into_iter())
        })
    }
}
