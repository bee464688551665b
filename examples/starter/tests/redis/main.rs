//! All flows, as in production: users in PostgreSQL, sessions and revocations in Redis, emails through a
//! mail server.

#[path = "../api/mod.rs"]
mod api;
#[cfg(unix)]
mod failover;
#[cfg(unix)]
mod outage;
#[cfg(unix)]
mod outages;
#[cfg(unix)]
#[path = "../processes/mod.rs"]
mod processes;
#[allow(dead_code, unused_imports)] // the other tests use the rest of it
#[path = "../support/mod.rs"]
mod support;

use support::{Place, mail_server, postgres, redis};

/// Returns a new place for the data of a test.
async fn new_place() -> Option<Place> {
    let place = postgres::shared().await?.new_place().await;
    let place = place.with_redis(redis::shared()?.url());
    Some(place.with_smtp(mail_server::shared()?.url()))
}
