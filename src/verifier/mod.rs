//! [`TokenVerifier`]: turns the text of a token into a [`VerifiedToken`], or says why it is refused.

mod binding;
mod builder;
mod builder_keys;
mod claim_rules;
mod directory;
mod doubt;
mod ended;
#[cfg(test)]
mod every_rule;
mod joined;
pub(crate) mod judge;
mod keys;
mod kind;
mod memory;
#[cfg(feature = "jwks")]
mod preset;
mod proof;
mod resolver;
mod resolving;
mod rules;
pub(crate) mod service;
mod single;
mod typed;

pub use crate::policy::{DEFAULT_LEEWAY, IssuerPattern, MAX_LEEWAY, TokenProfile};
pub use binding::Binding;
pub use builder::TokenVerifierBuilder;
pub(crate) use ended::World;
pub use ended::{MAX_STREAM_OUTAGE, StreamEnd};
#[cfg(feature = "jwks")]
pub(crate) use judge::Judge;
pub(crate) use judge::VerifiedToken;
pub(crate) use judge::{Credential, Progress, REVOKED_API_KEYS};
pub use kind::CredentialKind;
#[cfg(feature = "cache")]
pub use memory::DEFAULT_CACHED_TOKENS;
#[cfg(feature = "jwks")]
pub use preset::Preset;
pub use resolver::{
    DEFAULT_MAX_ISSUERS, DEFAULT_RESOLVER_CACHE_FOR, DEFAULT_RESOLVER_CACHE_UNKNOWN_FOR,
    DEFAULT_RESOLVER_STALE_FOR, IssuerResolver, RESOLVER_TIMEOUT, ResolverBuilder,
};
pub(crate) use rules::Rules;
pub(crate) use service::TokenVerifier;
