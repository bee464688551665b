//! Keys that an identity provider serves: fetched, kept up to date, and never waited for if known.

mod absent;
mod address;
mod builder;
mod client;
mod discovery;
mod document;
mod fetch;
mod https;
mod schedule;
mod source;
mod worker;

pub use builder::RemoteJwksBuilder;
pub use client::{BoxError, HttpClient, ServiceClient};
pub use https::{HttpsClient, HttpsClientBuilder};
pub use source::RemoteJwks;
