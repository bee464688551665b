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

/// Takes the lock for writing, as another program does.
const FORBID_WRITING: [&str; 1] = ["BEGIN IMMEDIATE"];
const ALLOW_WRITING: [&str; 1] = ["ROLLBACK"];

/// Inserts used proofs that have expired.
const OLD_PROOFS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
     INSERT INTO jwt_proofs SELECT CAST('old ' || i AS BLOB), 9 FROM n";

/// Returns a place without data for a test.
async fn new_place() -> Option<Place> {
    Some(Place::sqlite())
}

/// Returns a place without tables.
#[cfg(unix)]
async fn empty_place() -> Option<Place> {
    Some(Place::sqlite())
}
