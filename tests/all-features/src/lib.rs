//! This crate is empty: see its manifest.
