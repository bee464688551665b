//! All flows with everything in PostgreSQL.

#[path = "../api/mod.rs"]
mod api;
#[cfg(unix)]
mod outage;
#[cfg(unix)]
mod pooler;
#[cfg(unix)]
#[path = "../processes/mod.rs"]
mod processes;
#[path = "../sql/mod.rs"]
mod sql;
#[allow(dead_code, unused_imports)] // the other tests use the rest of it
#[path = "../support/mod.rs"]
mod support;

use support::{Place, postgres};

/// Where a test keeps what it has.
async fn new_place() -> Option<Place> {
    Some(postgres::shared().await?.new_place().await)
}
