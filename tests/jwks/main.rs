//! Keys of other servers: with a scripted provider on a virtual clock, and real ones on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

mod changed_keys;
mod elsewhere;
mod https;
mod logout;
mod messages;
mod odd_keys;
mod provider;
mod rules;
mod simulation;
#[cfg(feature = "testing")]
mod test_provider;
