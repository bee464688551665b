//! [`Seen`]: the response to a request, and what the log says about it.

use std::convert::Infallible;

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::JwtAuthLayer;

use crate::log;

/// What is logged when keys are fetched in the background, at a time that depends on chance.
const IN_BACKGROUND: [&str; 2] = ["keys fetched", "keys not fetched"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    /// The header that says what to do about the response.
    pub header: Option<&'static str>,
    pub log: Vec<String>,
}

// === impl Seen ===

impl Seen {
    /// Sends a request with this bearer token.
    pub async fn with_token(layer: &JwtAuthLayer, token: &str) -> Self {
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        Self::of(layer, request.body(()).unwrap()).await
    }

    /// Sends this request.
    pub async fn of(layer: &JwtAuthLayer, request: Request<()>) -> Self {
        let ok = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        log::take();
        let response = layer.layer(ok).oneshot(request).await.unwrap();
        let has = |name| response.headers().contains_key(name);
        if let Some(seconds) = response.headers().get(RETRY_AFTER) {
            let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
            assert!((1..=300).contains(&seconds), "{seconds}");
        }
        Self::new(
            response.status().as_u16(),
            has(RETRY_AFTER),
            has(WWW_AUTHENTICATE),
        )
    }

    fn new(status: u16, is_outage: bool, is_challenge: bool) -> Self {
        let header = match (is_outage, is_challenge) {
            (true, false) => Some("Retry-After"),
            (false, true) => Some("WWW-Authenticate"),
            (false, false) => None,
            (true, true) => panic!("{status} with a challenge and a time to try again"),
        };
        let mut log = log::take();
        log.retain(|line| !IN_BACKGROUND.contains(&&**line));
        log.dedup();
        Self {
            status,
            header,
            log,
        }
    }
}
