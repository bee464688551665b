//! [`ApiKey`]: a key, as its owner may see it.

use std::fmt;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::known::{Payload, time};
use crate::api_key::ApiKeyRecord;
use crate::clock::unix_micros;
use crate::jti::Digest;
use crate::store::StoreError;

/// An API key, as its owner may see it, without the secret.
///
/// As JSON it has the members `id`, `label`, `scopes`, `roles`, `created_at`, `expires_at` and
/// `last_used_at`. Times are whole seconds since the Unix epoch, as in tokens. The JSON leaves the owner
/// and the claims out.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// The id of the key: the 16 characters that follow the prefix in its text. It is not secret.
    pub id: String,
    /// The subject that the key belongs to.
    #[serde(skip)]
    pub owner: String,
    /// The name that the key was created with.
    pub label: Option<String>,
    /// The scopes of the key.
    pub scopes: Vec<String>,
    /// The roles of the key.
    pub roles: Vec<String>,
    /// The time at which the key was created.
    #[serde(serialize_with = "as_seconds")]
    pub created_at: SystemTime,
    /// The time from which the key is refused, or `None` if it never expires.
    #[serde(serialize_with = "as_optional_seconds")]
    pub expires_at: Option<SystemTime>,
    /// The minute in which the key was last used, or `None` if no use has been recorded.
    #[serde(serialize_with = "as_optional_seconds")]
    pub last_used_at: Option<SystemTime>,
    #[serde(skip)]
    claims: Map<String, Value>,
}

// === impl ApiKey ===

impl ApiKey {
    pub(super) fn of(record: &ApiKeyRecord) -> Result<Self, StoreError> {
        let payload = Payload::of(record)?;
        Ok(Self {
            id: record.id.clone(),
            owner: record.owner.clone(),
            label: record.label.clone(),
            scopes: payload.scopes,
            roles: payload.roles,
            created_at: time(record.created_at),
            expires_at: record.expires_at.map(time),
            last_used_at: record.last_used_at.map(time),
            claims: payload.claims,
        })
    }

    /// Returns a claim of the key. Returns `None` if there is no such claim, or if it has another type.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.claims.get(name)?).ok()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &Digest(&self.id))
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("last_used_at", &self.last_used_at)
            .finish_non_exhaustive()
    }
}

fn as_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(unix_micros(*time) / 1_000_000)
}

#[allow(clippy::ref_option)] // serde calls it with a reference to the field
fn as_optional_seconds<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
