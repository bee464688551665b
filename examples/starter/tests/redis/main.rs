//! All flows with sessions and revocations in Redis, and the users in SQLite.

#[path = "../api/mod.rs"]
mod api;
#[cfg(unix)]
mod outage;
#[cfg(unix)]
#[path = "../processes/mod.rs"]
mod processes;
#[allow(dead_code, unused_imports)] // the other tests use the rest of it
#[path = "../support/mod.rs"]
mod support;

use support::{Place, redis};

/// Where a test keeps what it has.
async fn new_place() -> Option<Place> {
    Some(Place::sqlite().with_redis(redis::shared()?.url()))
}
