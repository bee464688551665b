//! The fuzz targets: each lets the crate read one input, and compares the result with that of an independent
//! reader. It panics if the two disagree.
//!
//! The package in `fuzz/` runs these functions with generated inputs; the test beside this folder runs them
//! with the inputs that are kept.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod challenge;
mod challenge_reader;
#[cfg(feature = "jwks")]
mod discovery;
mod dpop;
mod jwks;
mod logout;
mod pem;
mod ready;
mod request;
mod signer;
#[cfg(feature = "password")]
mod stored_hash;
mod token;

/// A part of the crate that reads input from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the folder with its inputs.
    pub name: &'static str,
    /// Reads one input.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets that the features allow.
pub const ALL: &[Target] = &[
    target("token_hs256", token::hs256),
    target("token_eddsa", token::eddsa),
    target("token_text", token::text),
    target("jwks", jwks::run),
    target("pem", pem::run),
    target("request", request::run),
    #[cfg(feature = "password")]
    target("stored_hash", stored_hash::run),
    #[cfg(feature = "jwks")]
    target("discovery", discovery::run),
    target("dpop", dpop::run),
    target("logout", logout::token),
    target("logout_form", logout::form),
    target("challenge", challenge::run),
];

/// Splits an input at the first line feed.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}
