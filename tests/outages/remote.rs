//! [`Remote`]: a server that answers over HTTP, without a network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower_jwt_auth::jwks::{BoxError, HttpClient};

/// How a server is out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It refuses connections, or fails at once.
    Down,
    /// It never answers.
    Silent,
    /// It answers late, but within the time limit.
    Slow,
    /// It answers with an HTML page instead, as during maintenance.
    Garbage,
    /// It answers with the status 500.
    Error,
}

/// The faults of a server that answers over HTTP.
pub const OVER_HTTP: [Fault; 5] = [
    Fault::Down,
    Fault::Silent,
    Fault::Slow,
    Fault::Garbage,
    Fault::Error,
];

/// The delay of a slow server.
const LATE: Duration = Duration::from_secs(1);

/// A server with one answer for each request.
#[derive(Clone)]
pub struct Remote(Arc<Mutex<State>>);

struct State {
    answer: Box<dyn Fn(&str) -> String + Send>,
    fault: Option<Fault>,
}

// === impl Fault ===

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Garbage => "garbage",
            Self::Error => "error",
        }
    }
}

// === impl Remote ===

impl Remote {
    /// Creates a server that answers this to the body of a request.
    pub fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let state = State {
            answer: Box::new(answer),
            fault: None,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn answers(&self, answer: impl Fn(&str) -> String + Send + 'static) {
        self.0.lock().unwrap().answer = Box::new(answer);
    }

    pub fn set(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl HttpClient for Remote {
    async fn send(
        &self,
        request: Request<String>,
        _limit: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let (body, fault) = {
            let state = self.0.lock().unwrap();
            ((state.answer)(request.body()), state.fault)
        };
        let mut response = Response::new(body.into_bytes());
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        match fault {
            Some(Fault::Down) => return Err("connection refused".into()),
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::Slow) => tokio::time::sleep(LATE).await,
            Some(Fault::Garbage) => *response.body_mut() = b"<html>we are upgrading</html>".into(),
            Some(Fault::Error) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            None => {}
        }
        Ok(response)
    }
}
