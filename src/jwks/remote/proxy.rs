//! [`Routed`]: connections to providers, directly or through a proxy.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::client::BoxError;
use super::https::Guarded;

/// The proxies, by host.
#[derive(Clone, Default)]
pub(super) struct Proxies(Option<Arc<Matcher>>);

/// Connects to a host directly or through its proxy. The proxy is asked for a tunnel (RFC 9110 section
/// 9.3.6), so TLS is end to end with the host.
#[derive(Clone)]
pub(super) struct Routed {
    pub(super) direct: HttpConnector<Guarded>,
    pub(super) to_proxy: HttpConnector,
    pub(super) proxies: Proxies,
}

// === impl Proxies ===

impl Proxies {
    pub(super) fn from_env() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// Uses one proxy for all hosts.
    pub(super) fn one(url: &str) -> Self {
        Self(Some(Arc::new(Matcher::builder().https(url).build())))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL of a proxy may contain a password.
        f.write_str(if self.0.is_some() {
            "Proxies(set)"
        } else {
            "Proxies(none)"
        })
    }
}

// === impl Routed ===

type Connecting = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, BoxError>> + Send>>;

impl Service<Uri> for Routed {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        // Plain http is only used for this machine and hosts in the same cluster, so it needs no proxy.
        let is_https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let matcher = self.proxies.0.as_ref().filter(|_| is_https);
        match matcher.and_then(|matcher| matcher.intercept(&uri)) {
            None => {
                let connecting = self.direct.call(uri);
                Box::pin(async move { connecting.await.map_err(Into::into) })
            }
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                let connecting = tunnel.call(uri);
                Box::pin(async move { connecting.await.map_err(Into::into) })
            }
        }
    }
}
