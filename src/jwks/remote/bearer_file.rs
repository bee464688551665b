//! [`WithBearerFile`]: adds a token from a file to requests, which the API server of Kubernetes requires.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use zeroize::Zeroizing;

use super::address::Address;
use super::client::{BoxError, DynHttpClient, HttpClient};

/// Adds the token to requests to one origin. The file is read for each request, because the token in it is
/// replaced before it expires.
pub(super) struct WithBearerFile {
    pub(super) client: Arc<dyn DynHttpClient>,
    pub(super) path: PathBuf,
    /// The only origin to which the token is sent.
    pub(super) origin: Address,
}

// === impl WithBearerFile ===

impl WithBearerFile {
    async fn token(&self) -> Result<HeaderValue, BoxError> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
        let text = match read.await? {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                let path = self.path.display();
                return Err(format!(
                    "the file with the bearer token, {path}, cannot be read: {error}"
                )
                .into());
            }
        };
        let token = text.trim();
        let header = Zeroizing::new(format!("Bearer {token}"));
        let header = HeaderValue::try_from(&**header).ok();
        let is_one = !token.is_empty() && !token.contains(char::is_whitespace);
        let Some(mut header) = header.filter(|_| is_one) else {
            let path = self.path.display();
            let said =
                format!("the file with the bearer token, {path}, must contain one token alone");
            return Err(said.into());
        };
        header.set_sensitive(true);
        Ok(header)
    }
}

impl HttpClient for WithBearerFile {
    async fn send(
        &self,
        mut request: Request<String>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        if self.origin.is_origin_of(request.uri()) {
            let token = self.token().await?;
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        self.client.send(request, limit).await
    }
}

impl fmt::Debug for WithBearerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithBearerFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
