//! [`ApiKeyStore`](crate::api_key::ApiKeyStore) for a connection pool, with the same code for each database.

/// Implements the store for a type with a `pool`. `$begin` opens the transaction of an insertion, and
/// `$lock` makes the insertions of one owner wait for each other in it.
///
/// It is a macro because the bounds on sqlx's types that a generic function needs would be longer
/// than the code.
macro_rules! implement_api_key_store {
    ($Store:ident, $Database:ty, $begin:literal, $lock:path, $revoke_owner:expr, $expired_of:expr, $clean_up:expr) => {
        impl ApiKeyStore for $Store {
            async fn insert(&self, key: &ApiKeyRecord, max: u32) -> Result<bool, StoreError> {
                let (pool, key) = (self.pool.clone(), key.clone());
                // sqlx leaves a transaction open if its `BEGIN` is dropped.
                to_the_end(insert(pool, key, max)).await?
            }

            async fn find(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
                let query = sqlx::query(statements::FIND).bind(id);
                let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
                row.as_ref().map(row::record).transpose()
            }

            async fn list(&self, owner: &str) -> Result<Vec<ApiKeyRecord>, StoreError> {
                let query = sqlx::query(statements::LIST).bind(owner);
                let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
                rows.iter().map(row::record).collect()
            }

            async fn revoke(
                &self,
                target: ApiKeyTarget<'_>,
                limit: u32,
            ) -> Result<Vec<RevokedApiKey>, StoreError> {
                let (statement, name, owner) = match target {
                    ApiKeyTarget::Key(id) => (statements::REVOKE_KEY, id, None),
                    ApiKeyTarget::KeyOf { id, owner } => {
                        (statements::REVOKE_KEY_OF, id, Some(owner))
                    }
                    ApiKeyTarget::Owner(owner) => ($revoke_owner, owner, None),
                };
                let mut query = sqlx::query_as(statement).bind(name).bind(i64::from(limit));
                if let Some(owner) = owner {
                    query = query.bind(owner);
                }
                // All rows are fetched, although there is at most one. Fetching only the first would
                // return before SQLite has committed, and would miss a failure to commit.
                let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
                Ok(rows.into_iter().map(row::revoked).collect())
            }

            async fn record_use(&self, id: &str, at: u64) -> Result<(), StoreError> {
                let query = sqlx::query(statements::USED).bind(id).bind(column(at)?);
                query.execute(&self.pool).await.map_err(failed)?;
                Ok(())
            }

            async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
                let query = sqlx::query($clean_up)
                    .bind(column(before)?)
                    .bind(i64::from(limit));
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
        }

        async fn insert(
            pool: sqlx::Pool<$Database>,
            key: ApiKeyRecord,
            max: u32,
        ) -> Result<bool, StoreError> {
            let created_at = column(key.created_at)?;
            let mut transaction = pool.begin_with($begin).await.map_err(failed)?;
            $lock(&mut transaction, &key.owner).await?;
            let count = sqlx::query_scalar(statements::COUNT).bind(&key.owner);
            let count: i64 = count.fetch_one(&mut *transaction).await.map_err(failed)?;
            let mut count = number(count)?;
            if count >= u64::from(max) {
                let expired = sqlx::query($expired_of).bind(&key.owner).bind(created_at);
                let expired = expired.execute(&mut *transaction).await.map_err(failed)?;
                count = count.saturating_sub(expired.rows_affected());
            }
            if count >= u64::from(max) {
                transaction.rollback().await.map_err(failed)?;
                return Ok(false);
            }
            let query = sqlx::query(statements::INSERT)
                .bind(&key.id)
                .bind(&key.owner)
                .bind(&key.secret_digest)
                .bind(&key.label)
                .bind(&key.payload)
                .bind(created_at)
                .bind(key.expires_at.map(column).transpose()?)
                .bind(key.last_used_at.map(column).transpose()?);
            query.execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(true)
        }
    };
}

pub(super) use implement_api_key_store;
