//! Fetches the keys of identity providers and keeps them up to date.

mod absent;
mod address;
mod bearer_file;
mod builder;
mod client;
mod discovery;
mod document;
mod exchange;
mod fetch;
mod https;
mod proxy;
mod schedule;
mod shared;
mod source;
mod worker;

pub(crate) use address::{Address, AddressRules};
pub use builder::RemoteJwksBuilder;
pub(crate) use client::DynHttpClient;
pub use client::{BoxError, HttpClient, ServiceClient};
pub(crate) use discovery::{Discovery, Sought};
pub(crate) use exchange::{FetchError, exchange, request};
pub use https::{HttpsClient, HttpsClientBuilder};
pub(crate) use shared::{chance, unavailable};
pub use source::RemoteJwks;

use serde::Deserialize;

/// Reads a JSON document, which must be UTF-8 throughout (RFC 8259 section 8.1). `serde_json` alone does not check
/// the members that it skips.
fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str(text).ok()
}
