//! What a request sees while a server that the crate depends on is out of order: every fault, every kind of token,
//! every policy. The tables are in the guide, on the page about operating.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

mod introspection;
mod keys;
mod log;
mod remote;
mod replays;
mod revocations;
mod seen;
mod switch;
mod table;
