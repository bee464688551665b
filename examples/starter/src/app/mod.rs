//! [`App`]: what all handlers share, the router, and serving. Only this folder contains an `impl App`.
//!
//! Cannot be removed.

mod cleaning;
mod connections;
mod parts;
mod router;
mod server;

pub(crate) use connections::serve_for_ever; // chapter: metrics
pub(crate) use parts::Parts;
pub(crate) use router::RequireToken;
pub use server::{asked_to_stop, serve};

use std::sync::Arc;

use axum::Router;

use crate::accounts::{Accounts, Users};
use crate::config::Settings;
use crate::error::Error;

/// The service behind the routes. Cheap to clone.
///
/// A handler takes only the parts that it needs, such as `State<Users>`: see [`Parts`].
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

// === impl App ===

impl App {
    /// Opens the database and the stores, and reads the keys.
    ///
    /// # Errors
    ///
    /// Fails if a setting is invalid, or if the database or Redis is unavailable.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        Ok(Self(Arc::new(Parts::open(settings).await?)))
    }

    /// Returns the routes. Serve them with `into_make_service_with_connect_info`: without the address of
    /// the client, all clients share one rate limit.
    pub fn router(&self) -> Router {
        router::router(self)
    }

    /// Returns the users, for commands and tests.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// Returns the accounts, with the rule about who owns an address.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Returns all parts of the service.
    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    /// Does the background work, and never returns: drop it to stop it.
    pub(crate) async fn work(&self) {
        tokio::join!(
            cleaning::keep_clean(&self.0),
            self.0.publish_keys(), // chapter: avatars
        );
    }

    /// Sends waiting emails and SMS, and closes the database. Requests that still arrive get a 503.
    pub async fn close(&self) {
        self.0.outbox.drain().await;
        self.0.database.close().await;
    }
}
