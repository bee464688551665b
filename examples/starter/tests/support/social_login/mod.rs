//! Providers to log in at, and browsers for that.

mod oidc_provider;
mod stand_in;
mod visitor;

pub(crate) use oidc_provider::{OidcProvider, Person};
pub(crate) use stand_in::StandIn;
pub(crate) use visitor::Visitor;
