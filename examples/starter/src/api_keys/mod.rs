//! API keys: secrets that users make for their programs.
//!
//! A key opens `/me` and the avatars, and nothing else: the other routes need a session. Needs accounts,
//! and the table `jwt_api_keys`, which the crate creates. To remove this chapter, see `docs/removing.md`.

mod routes;
mod verifier;

pub(crate) use routes::{Key, routes};
pub(crate) use verifier::KeyVerifier;

use std::time::Duration;

use axum::http::StatusCode;
use tower_jwt_auth::ConfigError;
use tower_jwt_auth::credential::api_keys::PostgresApiKeys; // chapter: postgres
use tower_jwt_auth::credential::api_keys::{
    ApiKeyError, ApiKeyErrorKind, ApiKeyEvent, ApiKeys, SqliteApiKeys,
};

use crate::SERVICE;
use crate::accounts::Users;
use crate::database::Database;
use crate::operations::digest;
use crate::problem::Problem;

/// How many valid keys a user may have. Expired ones do not count.
const MAX_KEYS: u32 = 20;
/// The longest that a call to the table may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest prefix that the crate accepts.
const MAX_PREFIX: usize = 32;

/// The keys of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct UserKeys {
    keys: ApiKeys,
    users: Users,
}

// === impl UserKeys ===

impl UserKeys {
    /// Opens the keys in this database.
    pub(crate) fn new(database: &Database, users: &Users) -> Result<Self, ConfigError> {
        let prefix = prefix(SERVICE);
        let builder = match database {
            Database::Sqlite(pool) => ApiKeys::builder(prefix, SqliteApiKeys::new(pool.clone())),
            // chapter: postgres {
            Database::Postgres(pool) => {
                ApiKeys::builder(prefix, PostgresApiKeys::new(pool.clone()))
            } // chapter: postgres }
        };
        let keys = builder
            // Each request reads the key and its user, so every process refuses a revoked key at once.
            .cache_for(Duration::ZERO)
            .max_keys_per_owner(MAX_KEYS)
            .store_timeout(STORE_TIMEOUT)
            .on_event(log)
            .build()?;
        Ok(Self {
            keys,
            users: users.clone(),
        })
    }

    /// Returns the verifier for the routes that accept keys.
    pub(crate) fn verifier(&self) -> KeyVerifier {
        KeyVerifier::new(self.keys.clone(), self.users.clone())
    }

    /// Revokes all keys of a user, such as one who was disabled or deleted.
    pub(crate) async fn revoke_all(&self, user: &str) -> Result<(), ApiKeyError> {
        self.keys.revoke_all(user).await.map(drop)
    }

    /// Removes at most `limit` keys that expired long ago, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64, ApiKeyError> {
        self.keys.clean_up(limit).await
    }
}

/// Returns what keys begin with, so that people and secret scanners recognize them: the name of the
/// package, in the characters that a prefix may have.
fn prefix(package: &str) -> String {
    let name = package.to_ascii_lowercase().replace('-', "_");
    let mut prefix = name.trim_matches('_').to_owned();
    prefix.truncate(MAX_PREFIX);
    prefix.trim_end_matches('_').to_owned()
}

/// Logs an event. Keys and users are logged as digests.
fn log(event: &ApiKeyEvent<'_>) {
    match *event {
        ApiKeyEvent::Created { owner, id } => {
            tracing::info!(
                event = "api_key_created",
                user = digest(owner),
                key = digest(id)
            );
        }
        ApiKeyEvent::Revoked { owner, id } => {
            tracing::info!(
                event = "api_key_revoked",
                user = digest(owner),
                key = digest(id)
            );
        }
        // A program may go on using an expired key, perhaps many times a second.
        _ => {}
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        match error.kind() {
            ApiKeyErrorKind::LimitReached => {
                let detail = "You cannot have more API keys. Revoke one first.";
                Self::new(StatusCode::CONFLICT, "too_many_api_keys", detail)
            }
            ApiKeyErrorKind::Invalid => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "invalid_api_key_request", error.to_string())
            }
            ApiKeyErrorKind::Unavailable => {
                tracing::warn!(
                    error = crate::error::with_causes(&error),
                    "the API keys are unavailable"
                );
                Self::busy()
            }
            _ => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn every_package_name_makes_a_prefix() {
        for (package, expected) in [
            ("service", "service"),
            ("my-service", "my_service"),
            ("My-Service-", "my_service"),
            (
                "a-package-with-a-name-that-is-a-long-one",
                "a_package_with_a_name_that_is_a",
            ),
        ] {
            assert_eq!(prefix(package), expected);
        }
    }
}
