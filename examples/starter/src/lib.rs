//! A service with accounts: register, log in, refresh, log out, and routes that need a token.
//!
//! `main.rs` is the command line; [`App`] is everything behind it, and can be started in a test.

mod app;
mod database;
mod development;
mod email;
mod problem;
mod refresh_tokens;
mod revocations;
mod routes;
mod server;
mod settings;
mod users;

pub use app::App;
pub use database::Database;
pub use email::Email;
pub use routes::MIN_PASSWORD_CHARS;
pub use server::{asked_to_stop, serve};
pub use settings::Settings;
pub use users::{ADMIN_SCOPE, User, Users};

/// Why the program cannot start; its text is what the operator reads.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
