//! A service with accounts: register, log in, refresh, log out, and routes that need a token.
//!
//! `main.rs` is the command line; [`App`] is everything behind it, and can be started in a test.

mod accounts;
mod admin; // chapter: admin
mod api_keys; // chapter: api-keys
mod app;
mod avatars; // chapter: avatars
mod config;
mod database;
mod edge;
mod email;
mod error;
mod finish;
mod http;
mod keys;
mod limits;
mod metrics; // chapter: metrics
mod operations;
mod outbox;
mod page; // chapter: page
mod passkeys; // chapter: passkeys
mod passwords;
mod problem;
mod second_factor; // chapter: second-factor
mod sessions;
mod sms; // chapter: sms
mod social_login; // chapter: social-login
mod storage; // chapter: avatars
mod times;
mod typed;

pub use accounts::{Accounts, Claimant, ProofError, Proved, User, Users};
pub use admin::{ADMIN_SCOPE, grant_admin}; // chapter: admin
pub use app::{App, asked_to_stop, serve};
pub use config::MetricsPlace; // chapter: metrics
pub use config::{Operations, Origin, SessionSettings, Settings};
pub use database::Database;
pub use email::MailSettings;
pub use error::Error;
pub use keys::SealingKeys; // chapter: second-factor
pub use keys::rotate_keys;
pub use limits::TrustedProxies;
pub use metrics::serve_metrics; // chapter: metrics
pub use operations::{Log, say, start_log};
pub use passwords::{MIN_PASSWORD_CHARS, MIN_PASSWORD_CHARS_WITH_FACTOR, PasswordSettings};
pub use sms::SmsSettings; // chapter: sms
pub use social_login::{ProviderKind, ProviderSettings}; // chapter: social-login
pub use storage::{StorageSettings, publish_keys}; // chapter: avatars
pub use typed::Email;

/// The name of this service: that of the package. The log, the page and apps for one-time codes show it.
pub const SERVICE: &str = env!("CARGO_PKG_NAME");
