//! [`ApiKeyRecord`]: an API key, as a store keeps it.

use std::fmt;

use crate::jti::Digest;

/// An API key, as a store keeps it, in plain columns. Times are in microseconds since the Unix epoch.
///
/// It does not contain the key, and the key cannot be computed from it. `Debug` shows a digest of the id, and
/// does not show the owner, the digest of the secret, the label or the payload.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyRecord {
    /// The id of the key, which is the primary key. It is a part of the key's text, but not secret.
    pub id: String,
    /// The subject that the key belongs to.
    pub owner: String,
    /// The SHA-256 of the key's text, in base64url.
    pub secret_digest: String,
    /// A name for the owner's list, such as the name of a program.
    pub label: Option<String>,
    /// The scopes, roles and claims of the key: a JSON object, opaque to the store.
    pub payload: String,
    /// The time at which the key was created.
    pub created_at: u64,
    /// The time from which the key is refused, or `None` if it never expires.
    pub expires_at: Option<u64>,
    /// The time at which the key was last used, or `None` if it never was.
    pub last_used_at: Option<u64>,
}

/// An API key that a store has deleted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct RevokedApiKey {
    /// The id of the key.
    pub id: String,
    /// The subject that the key belonged to.
    pub owner: String,
}

// === impl ApiKeyRecord ===

impl ApiKeyRecord {
    /// Makes a record for stores and their tests. Every field can be set afterwards.
    #[must_use]
    pub fn new(id: impl Into<String>, owner: impl Into<String>, now: u64) -> Self {
        Self {
            id: id.into(),
            owner: owner.into(),
            secret_digest: String::new(),
            label: None,
            payload: "{}".to_owned(),
            created_at: now,
            expires_at: None,
            last_used_at: None,
        }
    }

    /// Returns whether the key has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }
}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("id", &Digest(&self.id))
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("last_used_at", &self.last_used_at)
            .finish_non_exhaustive()
    }
}

// === impl RevokedApiKey ===

impl RevokedApiKey {
    /// Makes the value that a store returns for a key that it has deleted.
    #[must_use]
    pub fn new(id: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            owner: owner.into(),
        }
    }
}

impl fmt::Debug for RevokedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedApiKey")
            .field("id", &Digest(&self.id))
            .finish_non_exhaustive()
    }
}
