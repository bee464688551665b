//! [`HttpClient`]: who fetches; and [`ServiceClient`], which makes one of any tower service.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::Pin;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::read;

/// Why a fetch failed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Fetches documents, for [`RemoteJwks`](super::RemoteJwks).
///
/// The ready one is [`HttpsClient`](super::HttpsClient); [`ServiceClient`] makes one of any tower service.
///
/// # Security
///
/// It must not follow redirects: the address was checked, the one that it leads to was not. It
/// should send nothing but the request: no cookies, no credentials.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP client for keys",
    note = "wrap a tower service in `ServiceClient`, use `HttpsClient`, or implement `HttpClient` and `Debug`"
)]
pub trait HttpClient: Debug + Send + Sync + 'static {
    /// Sends a GET request and returns the answer, whatever its status.
    ///
    /// `limit` is how many bytes of body are read at most; more is an error. The caller bounds
    /// the time: it drops the future.
    fn get(
        &self,
        request: Request<()>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send;
}

/// The object-safe twin of [`HttpClient`].
pub(super) trait DynHttpClient: Debug + Send + Sync {
    fn get(&self, request: Request<()>, limit: usize) -> Answer<'_>;
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, BoxError>> + Send + 'a>>;

impl<C: HttpClient> DynHttpClient for C {
    fn get(&self, request: Request<()>, limit: usize) -> Answer<'_> {
        Box::pin(HttpClient::get(self, request, limit))
    }
}

/// Makes an [`HttpClient`] of a tower service, such as a client of `hyper-util` with a proxy, or
/// with layers around it.
///
/// Requests have an empty text as their body. The addresses that a host name resolves to are the
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
    async fn get(&self, request: Request<()>, limit: usize) -> Result<Response<Vec<u8>>, BoxError> {
        let mut service = self.service.clone();
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        let request = request.map(|()| String::new());
        let response = service.call(request).await.map_err(Into::into)?;
        let (parts, body) = response.into_parts();
        let body = read(body, limit).await?;
        Ok(Response::from_parts(parts, body))
    }
}

impl<S> Debug for ServiceClient<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceClient").finish_non_exhaustive()
    }
}
