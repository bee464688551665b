//! The cost of many revocations and many sessions in memory or on disk, and the time of a look-up and a
//! refresh among them. Prints a table: `cargo bench --bench storm`.
//!
//! Memory comes first. With the features `sqlite`, `postgres` and `redis`, it continues with an SQLite file
//! in the temporary directory and with the servers of `STORM_POSTGRES_URL` and `STORM_REDIS_URL`, if set. It
//! creates a schema `storm` in PostgreSQL and drops it again. In Redis it needs an empty database, and
//! empties it.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // a bench may read the environment

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod measured;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

use std::time::Duration;

use tower_jwt_auth::issuer::TokenIssuerBuilder;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};

const REVOCATIONS: usize = 100_000;
const SESSIONS: usize = 1_000_000;
const ISSUER: &str = "https://me.example";

fn row(what: &str, each: Duration, bytes: Option<u64>) {
    let bytes = bytes.map(|bytes| format!("{bytes} bytes each"));
    println!("{what:<56} {each:>10.1?}  {}", bytes.unwrap_or_default());
}

fn tokens() -> TokenIssuerBuilder {
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    TokenIssuer::builder(key).issuer(ISSUER).audience("api")
}

/// The ids are as long as in real tokens.
fn token_id(number: usize) -> String {
    format!("{number:032}")
}

/// Four sessions for each subject.
fn subject(number: usize) -> String {
    format!("user{:06}", number / 4)
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if wants("memory") {
        memory::run();
    }
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    let runtime = tokio::runtime::Runtime::new().unwrap();
    #[cfg(feature = "sqlite")]
    if wants("sqlite") {
        runtime.block_on(sql::sqlite());
    }
    #[cfg(feature = "postgres")]
    match std::env::var("STORM_POSTGRES_URL") {
        Ok(url) if wants("postgres") => runtime.block_on(sql::postgres(&url)),
        Ok(_) => {}
        Err(_) => println!("\nPostgreSQL is not measured: STORM_POSTGRES_URL is not set"),
    }
    #[cfg(feature = "redis")]
    match std::env::var("STORM_REDIS_URL") {
        Ok(url) if wants("redis") => runtime.block_on(redis::run(&url)),
        Ok(_) => {}
        Err(_) => println!("\nRedis is not measured: STORM_REDIS_URL is not set"),
    }
}
