//! [`Known`]: a key that was read from the store, and [`Payload`]: the content of a key, as it is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::api_key::ApiKeyRecord;
use crate::credential::CredentialClaims;
use crate::error::AuthError;
use crate::store::StoreError;
use crate::verifier::CredentialKind;

/// A key as it was found in the store. It does not contain the secret.
pub(super) struct Known {
    pub(super) digest: [u8; 32],
    pub(super) claims: CredentialClaims,
}

/// What a key allows and says, as it is kept in its record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Payload {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) claims: Map<String, Value>,
}

// === impl Known ===

impl Known {
    /// Reads the record of a store. `issuer` is that of the owners.
    pub(super) fn of(record: &ApiKeyRecord, issuer: Option<&str>) -> Result<Self, StoreError> {
        let payload = Payload::of(record)?;
        let digest = URL_SAFE_NO_PAD.decode(&record.secret_digest).ok();
        let digest = digest.and_then(|digest| digest.try_into().ok());
        let digest = digest
            .ok_or_else(|| StoreError::new("the `secret_digest` of a stored key is malformed"))?;
        let claims = claims(record, payload, issuer).map_err(StoreError::new)?;
        Ok(Self { digest, claims })
    }

    /// Whether the key belongs to this owner.
    #[cfg(feature = "cache")]
    pub(super) fn is_of(&self, owner: &str) -> bool {
        self.claims.subject() == Some(owner)
    }
}

fn claims(
    record: &ApiKeyRecord,
    payload: Payload,
    issuer: Option<&str>,
) -> Result<CredentialClaims, AuthError> {
    let mut builder = CredentialClaims::builder(&*record.owner)
        .kind(CredentialKind::ApiKey)
        .id(&*record.id)
        .issued_at(time(record.created_at))
        .scopes(payload.scopes)
        .roles(payload.roles);
    for (name, value) in payload.claims {
        builder = builder.claim(name, value);
    }
    if let Some(issuer) = issuer {
        builder = builder.issuer(issuer);
    }
    if let Some(expiry) = record.expires_at {
        builder = builder.expires_at(time(expiry));
    }
    builder.build()
}

// === impl Payload ===

impl Payload {
    pub(super) fn of(record: &ApiKeyRecord) -> Result<Self, StoreError> {
        serde_json::from_str(&record.payload)
            .map_err(|_| StoreError::new("the `payload` of a stored key is malformed"))
    }
}

/// Converts the time in a column. A time that cannot be represented becomes the Unix epoch, so that the key
/// counts as expired.
pub(super) fn time(micros: u64) -> SystemTime {
    let since = Duration::from_micros(micros);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
