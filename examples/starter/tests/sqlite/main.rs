//! All flows with everything in a file of SQLite.

#[path = "../api/mod.rs"]
mod api;
mod outage;
#[cfg(unix)]
#[path = "../processes/mod.rs"]
mod processes;
#[path = "../sql/mod.rs"]
mod sql;
#[allow(dead_code, unused_imports)] // the other tests use the rest of it
#[path = "../support/mod.rs"]
mod support;

use support::Place;

/// Somebody else holds the lock.
const FORBID_WRITING: [&str; 1] = ["BEGIN IMMEDIATE"];
const ALLOW_WRITING: [&str; 1] = ["ROLLBACK"];

/// Where a test keeps what it has.
async fn new_place() -> Option<Place> {
    Some(Place::sqlite())
}
