//! [`assert_hardened`]: attacks on a complete service, whatever it is made of.

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
