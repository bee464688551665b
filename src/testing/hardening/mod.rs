//! [`assert_hardened`]: attacks on a service as it is put together, whatever is in it.

mod attacks;
mod body;
mod forge;
mod kit;
mod public_key;
mod run;
mod weakness;

pub use body::RequestBody;
pub use kit::Hardening;
pub use run::{assert_hardened, find_weaknesses};
pub use weakness::{Finding, Weakness};
