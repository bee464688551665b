//! Whether prepared statements hold on the connections of a pool, or a pooler mixes them up.

use crate::store::StoreError;

pub(super) async fn check(_pool: &sqlx::PgPool) -> Result<(), StoreError> {
    Ok(())
}
