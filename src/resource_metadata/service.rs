//! [`ResourceMetadata`] as a service, which answers requests for the document.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use super::ResourceMetadata;
use crate::jwks::is_known;

// === impl ResourceMetadata ===

impl ResourceMetadata {
    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<String> {
        let document = &self.document;
        let mut response = Response::new(String::new());
        let found = response.headers_mut();
        let mut say = |name, value| found.insert(name, HeaderValue::from_static(value));
        say(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        if method == Method::OPTIONS {
            // MCP clients send `MCP-Protocol-Version`, so browsers send a preflight request first.
            say(ALLOW, "GET, HEAD, OPTIONS");
            say(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD");
            say(ACCESS_CONTROL_ALLOW_HEADERS, "*");
            say(ACCESS_CONTROL_MAX_AGE, "86400");
            *response.status_mut() = StatusCode::NO_CONTENT;
            return response;
        }
        if method != Method::GET && method != Method::HEAD {
            say(ALLOW, "GET, HEAD, OPTIONS");
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return response;
        }
        found.insert(CACHE_CONTROL, document.cache_control.clone());
        if let Some(etag) = &document.etag {
            found.insert(ETAG, etag.clone());
            if is_known(headers, etag) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
        }
        found.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        found.insert(CONTENT_LENGTH, document.text.len().into());
        if method == Method::GET {
            response.body_mut().clone_from(&document.text);
        }
        response
    }
}

impl<B> Service<Request<B>> for ResourceMetadata {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.headers())))
    }
}
