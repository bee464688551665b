//! The server over real connections: tonic and gRPC-Web clients, and plain HTTP.

mod calls;
mod streams;
mod support;
mod web;
