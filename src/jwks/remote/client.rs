//! [`HttpClient`]: sends requests to providers, and [`ServiceClient`], which makes one from any tower
//! service.

use std::error::Error as StdError;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::pin::Pin;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::read;

/// The reason why a request failed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Sends requests to identity providers: for keys ([`RemoteJwks`](super::RemoteJwks)) and for
/// introspection ([`Introspection`](crate::credential::Introspection)).
///
/// The default is [`HttpsClient`](super::HttpsClient). [`ServiceClient`] makes a client from any tower
/// service.
///
/// # Security
///
/// A client must not follow redirects, because only the first URL was checked. It must send only the given
/// request, without cookies or further credentials. A request for introspection contains a token and the
/// credentials of this service, so a client must log neither its headers nor its body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP client for identity providers",
    note = "wrap a tower service in `ServiceClient`, use `HttpsClient`, or implement `HttpClient` and `Debug`"
)]
pub trait HttpClient: Debug + Send + Sync + 'static {
    /// Sends a request and returns the response with any status. The request is a GET without a body, or a
    /// POST with a small form.
    ///
    /// `limit` is the largest body that may be read, in bytes. The caller limits the time by dropping the
    /// future.
    ///
    /// # Errors
    ///
    /// Fails if there is no response, or if its body is longer than `limit`.
    fn send(
        &self,
        request: Request<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send;
}

/// The dyn-compatible counterpart of [`HttpClient`].
pub(crate) trait DynHttpClient: Debug + Send + Sync {
    fn send(&self, request: Request<String>, limit: usize) -> Answer<'_>;
}

pub(crate) type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send + 'a>>;

impl<C: HttpClient> DynHttpClient for C {
    fn send(&self, request: Request<String>, limit: usize) -> Answer<'_> {
        Box::pin(HttpClient::send(self, request, limit))
    }
}

/// Makes an [`HttpClient`] from a tower service, such as a client of `hyper-util` with layers around it.
///
/// # Security
///
/// The service must check the IP addresses to which a host name resolves:
/// [`allow_private_network`](super::RemoteJwksBuilder::allow_private_network) has no effect on it.
#[derive(Clone)]
pub struct ServiceClient<S> {
    service: S,
}

// === impl ServiceClient ===

impl<S> ServiceClient<S> {
    /// Makes a client that sends requests with this service.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S, B> HttpClient for ServiceClient<S>
where
    S: Service<Request<String>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn send(
        &self,
        request: Request<String>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let mut service = self.service.clone();
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        let response = service.call(request).await.map_err(Into::into)?;
        let (parts, body) = response.into_parts();
        let body = read(body, limit).await?;
        Ok(Response::from_parts(parts, body))
    }
}

impl<S> Debug for ServiceClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").finish_non_exhaustive()
    }
}
