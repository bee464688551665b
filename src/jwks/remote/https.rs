//! [`HttpsClient`]: the default HTTP client, with hyper and rustls.

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
/// The time after which an idle connection is closed. Many servers, such as Node.js, close it after 5
/// seconds, and no request should be sent on a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The most idle connections that are kept, because introspection sends several requests at once.
const IDLE_CONNECTIONS: usize = 8;

/// The HTTP client that [`RemoteJwks`](super::RemoteJwks) and
/// [`Introspection`](crate::credential::Introspection) use by default.
///
/// It uses rustls (TLS 1.2 and 1.3) and HTTP/1.1, and has two seconds to connect. It follows no redirects,
/// sends no cookies, and uses no proxy unless one is set. It trusts the certificates of the operating system,
/// or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and those of
/// [`root_certificates`](HttpsClientBuilder::root_certificates).
#[derive(Clone)]
pub struct HttpsClient {
    inner: ServiceClient<Client<HttpsConnector<Routed>, String>>,
}

/// Builds an [`HttpsClient`]; made by [`HttpsClient::builder`].
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
    /// Returns a builder.
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
    /// Adds certificates (PEM, one or several) to those that are trusted, for a private certificate
    /// authority.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.pem.extend_from_slice(pem.as_ref());
        self.pem.push(b'\n');
        self
    }

    /// Adds the certificates in this file (PEM, one or several) to those that are trusted, such as
    /// `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`. [`build`](Self::build) reads the file.
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Sets the proxy for https, such as `http://proxy.example:3128`. The client opens a tunnel through it,
    /// so the proxy sees only the name of the host.
    ///
    /// # Security
    ///
    /// The proxy resolves host names, so it must also keep requests out of
    /// [private networks](Self::allow_private_network).
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.proxies = Proxies::one(url.as_ref());
        self
    }

    /// Sets the proxies from the variables `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (in upper or lower
    /// case), which are read by this call. See [`proxy`](Self::proxy).
    pub fn proxy_from_env(mut self) -> Self {
        self.proxies = Proxies::from_env();
        self
    }

    /// Trusts only the certificates that were added, and not those of the operating system.
    pub fn no_system_certificates(mut self) -> Self {
        self.only = true;
        self
    }

    /// Allows connections to hosts in private networks and to this machine.
    ///
    /// # Security
    ///
    /// Anybody who can change the provider's metadata or its DNS records can then make this service send
    /// requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.rules.private = true;
        self
    }

    pub(crate) fn rules(mut self, rules: AddressRules) -> Self {
        self.rules = rules;
        self
    }

    /// Allows plain http to this host, given by its name or IP address without a port. Call it again to add
    /// more.
    ///
    /// # Security
    ///
    /// Anybody who can answer in place of this host, or change its responses on the way, can issue tokens for
    /// every user, and sees the credentials of introspection requests. Use it only inside a cluster whose
    /// network is encrypted or fully trusted.
    pub fn dangerous_allow_http(mut self, host: impl AsRef<str>) -> Self {
        self.rules.add_plain_http(host.as_ref());
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Fails if a certificate or its file cannot be read, or if there is no certificate to trust.
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
                "there is no certificate to trust: install those of your system (on Debian, the package \
                 ca-certificates), or add some by `HttpsClientBuilder::root_certificates`",
            ));
        }
        let tls = ClientConfig::builder_with_provider(provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::invalid("rustls supports no version of TLS"))?
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
            .https_or_http() // the scheme was checked with the URL
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

/// Resolves host names, and returns only IP addresses to which connections are allowed. Names are checked for
/// each connection, because their addresses can change.
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
