//! Reads rows of `jwt_api_keys` as records.

use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::api_key::{ApiKeyRecord, RevokedApiKey};
use crate::sql::{get, number, optional};
use crate::store::StoreError;

/// Reads the record from a row, whose columns are found by their names.
pub(super) fn record<'r, R>(row: &'r R) -> Result<ApiKeyRecord, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(ApiKeyRecord {
        id: get(row, "id")?,
        owner: get(row, "owner")?,
        secret_digest: get(row, "secret_digest")?,
        label: get(row, "label")?,
        payload: get(row, "payload")?,
        created_at: number(get(row, "created_at")?)?,
        expires_at: get(row, "expires_at").and_then(optional)?,
        last_used_at: get(row, "last_used_at").and_then(optional)?,
    })
}

/// Reads a deleted key: its id and its owner.
pub(super) fn revoked((id, owner): (String, String)) -> RevokedApiKey {
    RevokedApiKey::new(id, owner)
}
