//! A service with accounts: register, log in, refresh, log out, and routes that need a token.
//!
//! `main.rs` is the command line; [`App`] is everything behind it, and can be started in a test.

mod app;
mod attempts;
mod breached;
mod cleaning;
mod client_ip;
mod database;
mod development;
mod edge;
mod email;
mod error;
mod events;
mod finish;
mod http;
mod keys;
mod letters;
mod logging;
mod mail;
mod metrics;
mod one_time_tokens;
mod openapi;
mod operations;
mod origin;
mod outbox;
mod password_policy;
mod passwords;
mod problem;
mod rate_limit;
mod routes;
mod second_factor;
mod server;
mod settings;
mod sms;
mod stores;
mod uniform;
mod users;
mod variables;
mod web;

pub use app::App;
pub use client_ip::TrustedProxies;
pub use database::Database;
pub use email::Email;
pub use error::Error;
pub use keys::rotate_keys;
pub use logging::start_log;
pub use mail::MailSettings;
pub use metrics::serve_metrics;
pub use operations::{MetricsPlace, Operations};
pub use origin::Origin;
pub use password_policy::{MIN_PASSWORD_CHARS, MIN_PASSWORD_CHARS_WITH_FACTOR, PasswordSettings};
pub use server::{asked_to_stop, serve};
pub use settings::{SessionSettings, Settings};
pub use sms::SmsSettings;
pub use users::{ADMIN_SCOPE, User, Users};
