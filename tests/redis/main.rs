//! The stores in Redis, against servers that these tests start: `redis-server` from the PATH, on a
//! port of the loopback, in a directory that goes away with it. Where there is none, the
//! tests say so and pass; with `REQUIRE_SERVICES=1` they fail.
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
