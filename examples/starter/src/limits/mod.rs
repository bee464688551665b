//! Limits: how often passwords and codes may be tried, emails and SMS sent, and routes called.
//!
//! Every way to log in counts its attempts in [`Attempts`]. Needs the database. Cannot be removed.

mod attempts;
mod client_ip;
mod gate;
mod quotas;
mod rate_limit;
mod uniform;

pub(crate) use attempts::{Attempts, FORGET, Source};
pub(crate) use client_ip::ClientIp;
pub use client_ip::TrustedProxies;
pub(crate) use quotas::{Quota, Quotas};
pub(crate) use rate_limit::{RateLimit, limited_route};
pub(crate) use uniform::end_of_step;
