//! The public API, seen from outside.

#[cfg(feature = "password")]
mod password;
