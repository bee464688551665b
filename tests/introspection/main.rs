//! Introspection of opaque tokens: with a scripted server on clocks set by hand, and a real one on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

mod authority;
mod bad_answers;
#[cfg(feature = "cache")]
mod cache;
mod discovery;
mod layer;
mod logout;
mod outages;
mod rules;
mod settings;
mod streams;
