//! All flows, with everything in a SQLite file.

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

/// Another program holds the lock.
const FORBID_WRITING: [&str; 1] = ["BEGIN IMMEDIATE"];
const ALLOW_WRITING: [&str; 1] = ["ROLLBACK"];

/// Returns a new place for the data of a test.
async fn new_place() -> Option<Place> {
    Some(Place::sqlite())
}
