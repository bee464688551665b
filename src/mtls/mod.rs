//! Mutual TLS (RFC 8705): tokens that are bound to the client certificate of a connection.
//!
//! A token with `cnf.x5t#S256` is accepted only from a client whose certificate has this SHA-256. The
//! certificate comes from the TLS server, which puts a [`ClientCertificate`] into the extensions of each
//! request, or from a header that a trusted proxy adds. Choose between them by
//! [`JwtAuthLayer::client_certificates`](crate::JwtAuthLayer::client_certificates). The guide shows [both
//! ways](crate::guide::bound_tokens).

mod certificate;
mod header;
mod source;

pub use certificate::ClientCertificate;
pub use header::ProxyHeader;
pub use source::ClientCertificates;
