//! [`SessionStore`](crate::session::SessionStore) over a pool: the same code for each database.

/// Implements the store for a type with a `pool`. `$begin` opens the transaction of a login
/// under a limit, and `$lock` makes the logins of one subject wait for each other in it.
///
/// It is a macro because the bounds on sqlx's types that a generic function needs would be longer
/// than the code.
macro_rules! implement_session_store {
    ($Store:ident, $Database:ty, $begin:literal, $lock:path, $clean_up:expr) => {
        impl SessionStore for $Store {
            async fn create(
                &self,
                session: &SessionRecord,
                limit: Option<SessionLimit>,
            ) -> Result<CreateOutcome, StoreError> {
                if let Some(limit) = limit {
                    let (pool, session) = (self.pool.clone(), session.clone());
                    return to_the_end(create_under_limit(pool, session, limit)).await?;
                }
                let mut connection = self.pool.acquire().await.map_err(failed)?;
                insert(&mut connection, session).await?;
                Ok(CreateOutcome::Opened { ended: Vec::new() })
            }

            async fn rotate(
                &self,
                rotation: &Rotation,
            ) -> Result<Option<SessionRecord>, StoreError> {
                column(rotation.generation.saturating_add(1))?;
                let query = sqlx::query(statements::ROTATE.as_str())
                    .bind(&rotation.session)
                    .bind(column(rotation.generation)?)
                    .bind(&rotation.token_id)
                    .bind(column(rotation.now)?)
                    .bind(i64::try_from(rotation.grace).unwrap_or(i64::MAX))
                    .bind(i64::try_from(rotation.lost_response_grace).unwrap_or(i64::MAX))
                    .bind(i64::from(rotation.max_lost_responses))
                    .bind(&rotation.client);
                // All rows are fetched, though there is at most one. Fetching only the first would
                // return before SQLite has committed, and would miss a failure to commit.
                let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
                rows.first().map(row::record).transpose()
            }

            async fn acknowledge(&self, session: &str, generation: u64) -> Result<(), StoreError> {
                let query = sqlx::query(statements::ACKNOWLEDGE)
                    .bind(session)
                    .bind(column(generation)?);
                query.execute(&self.pool).await.map_err(failed)?;
                Ok(())
            }

            async fn list(
                &self,
                subject: &str,
                now: u64,
            ) -> Result<Vec<SessionRecord>, StoreError> {
                let query = sqlx::query(statements::LIST.as_str())
                    .bind(column(now)?)
                    .bind(subject);
                let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
                rows.iter().map(row::record).collect()
            }

            async fn end(&self, end: EndSessions<'_>) -> Result<Vec<EndedSession>, StoreError> {
                let (statement, first, second) = match end.target {
                    SessionTarget::Session(session) => (&statements::END_SESSION, session, None),
                    SessionTarget::SessionOf { session, subject } => {
                        (&statements::END_SESSION_OF, subject, Some(session))
                    }
                    SessionTarget::OthersOf { session, subject } => {
                        (&statements::END_OTHERS_OF, subject, Some(session))
                    }
                    SessionTarget::Subject(subject) => (&statements::END_SUBJECT, subject, None),
                };
                let mut query = sqlx::query_as(statement.as_str())
                    .bind(column(end.now)?)
                    .bind(first)
                    .bind(end.reason.as_str())
                    .bind(column(end.ended_since)?)
                    .bind(i64::from(end.limit));
                if let Some(second) = second {
                    query = query.bind(second);
                }
                let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
                rows.into_iter().map(row::ended).collect()
            }

            async fn clean_up(&self, before: u64, limit: u32) -> Result<u64, StoreError> {
                let query = sqlx::query($clean_up.as_str())
                    .bind(column(before)?)
                    .bind(i64::from(limit));
                let done = query.execute(&self.pool).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
        }

        async fn create_under_limit(
            pool: sqlx::Pool<$Database>,
            session: SessionRecord,
            limit: SessionLimit,
        ) -> Result<CreateOutcome, StoreError> {
            let now = column(session.created_at)?;
            let mut transaction = pool.begin_with($begin).await.map_err(failed)?;
            $lock(&mut transaction, &session.subject).await?;
            let mut ended = Vec::new();
            match limit.when_full {
                WhenFull::Refuse => {
                    let query = sqlx::query_scalar(statements::COUNT.as_str())
                        .bind(now)
                        .bind(&session.subject);
                    let live: i64 = query.fetch_one(&mut *transaction).await.map_err(failed)?;
                    if live >= i64::from(limit.max) {
                        transaction.rollback().await.map_err(failed)?;
                        return Ok(CreateOutcome::Full);
                    }
                }
                WhenFull::EndOldest => {
                    let query = sqlx::query_as(statements::END_OLDEST.as_str())
                        .bind(now)
                        .bind(&session.subject)
                        .bind(i64::from(limit.max.saturating_sub(1)))
                        .bind(EndReason::Replaced.as_str());
                    let rows = query.fetch_all(&mut *transaction).await.map_err(failed)?;
                    ended = rows.into_iter().map(row::ended).collect::<Result<_, _>>()?;
                }
            }
            insert(&mut transaction, &session).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(CreateOutcome::Opened { ended })
        }

        async fn insert(
            connection: &mut <$Database as sqlx::Database>::Connection,
            session: &SessionRecord,
        ) -> Result<(), StoreError> {
            let query = sqlx::query(statements::CREATE.as_str())
                .bind(&session.id)
                .bind(&session.subject)
                .bind(column(session.generation)?)
                .bind(column(session.previous_generation)?)
                .bind(&session.token_id)
                .bind(session.acknowledged.map(column).transpose()?)
                .bind(column(session.created_at)?)
                .bind(column(session.rotated_at)?)
                .bind(column(session.last_used_at)?)
                .bind(column(session.idle_ttl)?)
                .bind(column(session.expires_at)?)
                .bind(session.ended_at.map(column).transpose()?)
                .bind(session.end_reason.map(EndReason::as_str))
                .bind(&session.client)
                .bind(&session.key_thumbprint)
                .bind(i64::from(Converged::number(session.converged)))
                .bind(i64::from(session.convergences))
                .bind(i64::from(session.lost_responses))
                .bind(&session.label)
                .bind(&session.payload);
            query.execute(connection).await.map_err(failed)?;
            Ok(())
        }
    };
}

pub(super) use implement_session_store;
