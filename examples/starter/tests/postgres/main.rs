//! All flows, with everything in PostgreSQL.

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

/// Makes the database read-only, as after a failover to a replica, or as an operator does before the disk is full.
const FORBID_WRITING: [&str; 2] = [
    "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
     ' SET default_transaction_read_only = on'; END $$",
    CLOSE_OTHERS,
];
const ALLOW_WRITING: [&str; 2] = [
    "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
     ' RESET default_transaction_read_only'; END $$",
    CLOSE_OTHERS,
];
const CLOSE_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Inserts used proofs that have expired.
const OLD_PROOFS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
     INSERT INTO jwt_proofs SELECT CAST('old ' || i AS bytea), 9 FROM n";

/// Returns a place without data for a test.
async fn new_place() -> Option<Place> {
    Some(postgres::shared().await?.any_place().await)
}

/// Returns a place without tables.
#[cfg(unix)]
async fn empty_place() -> Option<Place> {
    Some(postgres::shared().await?.new_place().await)
}
