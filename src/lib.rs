//! JWT bearer authentication for tower, axum and hyper.
#[cfg(feature = "password")]
pub mod password;
