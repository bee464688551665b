//! The stores in databases, each with a server of its own.
//!
//! If the programs of a server are missing, its tests print a note and pass; with `REQUIRE_SERVICES=1` they
//! fail.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod api_keys;
#[cfg(feature = "sqlite")]
mod nodes;
#[cfg(feature = "postgres")]
mod pooler;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod processes;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod replays;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod support;
