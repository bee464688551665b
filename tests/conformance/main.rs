//! The examples in the RFCs, and properties that hold for any token.
#![allow(clippy::unwrap_used, missing_docs)]

mod properties;
mod rfc;
mod rotation;
