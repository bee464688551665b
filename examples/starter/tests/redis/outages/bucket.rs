//! [`Bucket`]: as much of S3 as it takes to keep avatars.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::need::Fault;

#[derive(Clone, Default)]
pub(super) struct Bucket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: HashMap<String, Bytes>,
    fault: Option<Fault>,
}

// === impl Bucket ===

impl Bucket {
    /// Starts the server, and returns its port.
    pub(super) async fn start() -> (Self, u16) {
        let bucket = Self::default();
        let serving = bucket.clone();
        let router = Router::new().fallback(move |request| {
            let bucket = serving.clone();
            async move { bucket.answer(request).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (bucket, port)
    }

    /// Refuses to write, or answers everything with an error.
    pub(super) fn set(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap();
        let path = parts.uri.path().to_owned();
        let mut state = self.0.lock().unwrap();
        let is_read = parts.method == Method::GET;
        match state.fault {
            Some(Fault::Error) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Some(Fault::ReadOnly) if !is_read => return StatusCode::FORBIDDEN.into_response(),
            _ => {}
        }
        let about = [
            ("etag", "\"1\""),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ];
        if !is_read {
            state.objects.insert(path, body);
            return about.into_response();
        }
        match state.objects.get(&path) {
            Some(object) => (about, object.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}
