//! Accounts: registration, confirmation of an email address, password change and reset, and `/me`.
//!
//! Anybody can register any address. So nothing that was set before an address was proved belongs to its
//! owner. [`Accounts::prove`] is the only place where an address becomes proved, whatever proves it. This
//! module needs sessions, passwords, limits and the outbox. It cannot be removed.

mod callers;
mod change_password;
mod confirm_email;
mod deletion;
mod download;
mod email_change;
mod me;
pub(crate) mod one_time_tokens;
mod password_changes;
mod proof;
mod register;
mod registrations;
mod removed;
mod reset_password;
mod users;

pub(crate) use email_change::{ChangeLink, EmailChanges, Side};
pub(crate) use one_time_tokens::{OneTimeTokens, Purpose, digest};
pub(crate) use password_changes::PasswordChanges;
pub use proof::{Claimant, ProofError, Proved};
pub(crate) use register::invalid_email;
pub(crate) use registrations::Registrations;
pub(crate) use users::NO_PASSWORD; // chapter: passkeys
pub(crate) use users::new_id; // chapter: passkeys
pub(crate) use users::select_user; // chapter: admin
pub use users::{User, Users};

use sqlx::Result;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::password::PasswordHash;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api_keys::UserKeys; // chapter: api-keys
use crate::app::{App, RequireToken};
use crate::avatars::Avatars; // chapter: avatars
use crate::database::Database;
use crate::typed::Email;

/// Returns the routes of accounts. `token_or_key` guards those that programs may call with an API key
/// instead of a session.
pub(crate) fn routes(token: &RequireToken, token_or_key: &RequireToken) -> OpenApiRouter<App> {
    let with_token_or_key = OpenApiRouter::new()
        .routes(routes!(me::me))
        .route_layer(token_or_key.clone());
    let with_token = OpenApiRouter::new()
        .routes(routes!(change_password::change))
        .routes(routes!(deletion::delete))
        .routes(routes!(download::download))
        .merge(email_change::routes())
        .route_layer(token.clone());
    OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(confirm_email::verify))
        .routes(routes!(confirm_email::resend))
        .routes(routes!(reset_password::forgot))
        .routes(routes!(reset_password::reset))
        .merge(email_change::link_routes())
        .merge(with_token_or_key)
        .merge(with_token)
}

/// The accounts and everything that belongs to them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    database: Database,
    users: Users,
    sessions: Sessions,
    avatars: Avatars,   // chapter: avatars
    api_keys: UserKeys, // chapter: api-keys
    pub(crate) registrations: Registrations,
    pub(crate) email_changes: EmailChanges,
    /// Whether a registration makes an account that can be used before its address is proved.
    before_proof: bool,
}

// === impl Accounts ===

impl Accounts {
    /// Sets up the accounts. `before_proof` is true if an account can be used before its address is proved.
    pub(crate) fn new(
        database: &Database,
        sessions: &Sessions,
        avatars: &Avatars,   // chapter: avatars
        api_keys: &UserKeys, // chapter: api-keys
        before_proof: bool,
    ) -> Self {
        Self {
            database: database.clone(),
            users: Users::new(database.clone()),
            sessions: sessions.clone(),
            avatars: avatars.clone(),   // chapter: avatars
            api_keys: api_keys.clone(), // chapter: api-keys
            registrations: Registrations::new(database.clone()),
            email_changes: EmailChanges::new(database),
            before_proof,
        }
    }

    /// Stores a registration and returns its id, in the same way whether or not the address has an account.
    pub(crate) async fn register(&self, email: &Email, hash: &PasswordHash) -> Result<String> {
        let id = self.registrations.register(email, hash.as_str()).await?;
        if self.before_proof {
            self.users.insert(email, hash).await?;
        }
        Ok(id)
    }
}
