//! The stores in Redis, with servers that these tests start: the `redis-server` from the PATH, on a loopback
//! port, in a directory that is removed afterwards. If there is none, the tests print a note and pass; with
//! `REQUIRE_SERVICES=1` they fail.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

#[cfg(feature = "redis-cluster")]
mod cluster;
mod failover;
mod keys;
mod many;
mod outage;
mod relay;
mod replays;
mod revocations;
mod rules;
mod server;
mod sessions;
