//! [`HttpClient`]: sends requests to providers; and [`ServiceClient`], which makes one of any tower service.

use std::error::Error as StdError;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::pin::Pin;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::read;

/// Why a fetch failed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Sends requests to identity providers: for keys ([`RemoteJwks`](super::RemoteJwks)) and for
/// introspection ([`Introspection`](crate::credential::Introspection)).
///
/// The ready one is [`HttpsClient`](super::HttpsClient); [`ServiceClient`] makes one of any tower service.
///
/// # Security
///
/// It must not follow redirects: the address was checked, the one that it leads to was not. It should
/// send nothing but the request: no cookies, no credentials of its own. A request for introspection
/// contains a token and the credentials of this service, so a client must log neither the headers nor
/// the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP client for identity providers",
    note = "wrap a tower service in `ServiceClient`, use `HttpsClient`, or implement `HttpClient` and `Debug`"
)]
pub trait HttpClient: Debug + Send + Sync + 'static {
    /// Sends a request and returns the answer, whatever its status. The request is a GET without a
    /// body, or a POST with a small form.
    ///
    /// `limit` is how many bytes of body are read at most; more is an error. The caller bounds
    /// the time: it drops the future.
    fn send(
        &self,
        request: Request<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send;
}

/// The object-safe twin of [`HttpClient`].
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

/// Makes an [`HttpClient`] of a tower service, such as a client of `hyper-util` with a proxy, or
/// with layers around it.
///
/// The addresses that a host name resolves to are the
/// service's concern: [`allow_private_network`](super::RemoteJwksBuilder::allow_private_network) is not asked.
#[derive(Clone)]
pub struct ServiceClient<S> {
    service: S,
}

// === impl ServiceClient ===

impl<S> ServiceClient<S> {
    /// Around this service.
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
