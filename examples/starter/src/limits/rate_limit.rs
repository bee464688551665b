//! Rate limits by client address: for each route under `/auth/` separately, and for uploads of avatars.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use redis::{RedisError, Script};
use tower_jwt_auth::store::{RedisConnection, StoreError};

use super::client_ip::ClientIp;
use crate::SERVICE;
use crate::problem::Problem;

/// Returns the route of a request if it is limited, or `None`. Everything that costs more than a lookup is limited.
///
/// It returns the route and not the path, so that invented paths make no new buckets.
pub(crate) fn limited_route(request: &Request) -> Option<String> {
    let path = request.uri().path();
    let is_limited =
        path.starts_with("/auth/") || (path == "/me/avatar" && request.method() == Method::PUT);
    let route = request.extensions().get::<MatchedPath>();
    is_limited.then(|| route.map_or("none", MatchedPath::as_str).to_owned())
}

/// How long Redis may take before it counts as unavailable.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The buckets: in this process, or in Redis for all processes.
pub(crate) struct RateLimit {
    own: DefaultKeyedRateLimiter<String>,
    shared: Option<Shared>,
}

struct Shared {
    /// The connection follows the name of the server if that becomes a replica.
    redis: RedisConnection,
    script: Script,
    per_minute: NonZeroU32,
}

// === impl RateLimit ===

impl RateLimit {
    /// Allows this many requests per minute, which may also come all at once.
    pub(crate) async fn new(
        per_minute: NonZeroU32,
        redis_url: Option<&str>,
    ) -> Result<Self, StoreError> {
        let shared = match redis_url {
            Some(url) => Some(Shared::connect(url, per_minute).await?),
            None => None,
        };
        Ok(Self {
            own: RateLimiter::keyed(Quota::per_minute(per_minute)),
            shared,
        })
    }

    /// Counts a request to a limited route. Refuses it if this address has sent too many.
    pub(crate) async fn admit(&self, route: &str, client: ClientIp) -> Result<(), Problem> {
        let ClientIp(ip) = client;
        let Some(wait) = self.check(&format!("{route} {ip}")).await else {
            return Ok(());
        };
        tracing::warn!(event = "rate_limited", route, %ip);
        let detail = "Too many requests from this address. `Retry-After` says when to try again.";
        Err(Problem::too_many(detail, wait))
    }

    /// Returns how long the client has to wait, or `None` if the request may pass.
    async fn check(&self, key: &String) -> Option<Duration> {
        if let Some(shared) = &self.shared {
            match shared.check(key).await {
                Ok(wait) => return wait,
                // Neither refuses everything nor lets everything pass: each process has limits of its own until
                // Redis is back.
                Err(error) => {
                    tracing::warn!(%error, "Redis is unavailable: rate limits are not shared")
                }
            }
        }
        let early = self.own.check_key(key).err()?;
        Some(early.wait_time_from(DefaultClock::default().now()))
    }

    /// Removes the buckets of clients that may send all their requests again.
    pub(crate) fn clean_up(&self) {
        self.own.retain_recent();
        self.own.shrink_to_fit();
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    async fn connect(url: &str, per_minute: NonZeroU32) -> Result<Self, StoreError> {
        Ok(Self {
            redis: RedisConnection::connect_with_timeouts(url, TIMEOUT, TIMEOUT).await?,
            script: Script::new(include_str!("rate_limit.lua")),
            per_minute,
        })
    }

    async fn check(&self, key: &str) -> Result<Option<Duration>, RedisError> {
        let burst = self.per_minute.get();
        let mut call = self.script.key(format!("{SERVICE}:rate:{key}"));
        call.arg(60_000_000.0 / f64::from(burst)).arg(burst);
        let wait: u64 = call.invoke_async(&mut self.redis.clone()).await?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }
}
