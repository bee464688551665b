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

/// Returns a place without data for a test.
async fn new_place() -> Option<Place> {
    beside_redis(postgres::shared().await?.any_place().await)
}

/// Returns a place without tables.
#[cfg(unix)]
async fn empty_place() -> Option<Place> {
    beside_redis(postgres::shared().await?.new_place().await)
}

fn beside_redis(place: Place) -> Option<Place> {
    let place = place.with_redis(redis::shared()?.url());
    Some(place.with_smtp(mail_server::shared()?.url()))
}
