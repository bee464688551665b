//! A service with accounts: register, log in, refresh, log out, and routes that need a token.
//!
//! `main.rs` is the command line; [`App`] is everything behind it, and can be started in a test.

mod app;
mod cleaning;
mod database;
mod development;
mod edge;
mod email;
mod error;
mod events;
mod keys;
mod logging;
mod metrics;
mod openapi;
mod operations;
mod origin;
mod passwords;
mod problem;
mod routes;
mod server;
mod settings;
mod stores;
mod users;
mod web;

pub use app::App;
pub use database::Database;
pub use email::Email;
pub use error::Error;
pub use keys::rotate_keys;
pub use logging::start_log;
pub use metrics::serve_metrics;
pub use operations::{MetricsPlace, Operations};
pub use origin::Origin;
pub use routes::MIN_PASSWORD_CHARS;
pub use server::{asked_to_stop, serve};
pub use settings::{SessionSettings, Settings};
pub use users::{ADMIN_SCOPE, User, Users};
