//! Where sessions and revocations are kept: beside the users, or in Redis. It is chosen here alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tower_jwt_auth::StoreError;
use tower_jwt_auth::issuer::TokenIssuerBuilder;
use tower_jwt_auth::revocation::{
    CachedRevocations, PostgresRevocations, RedisRevocations, RevocationPushes, RevocationStore,
    SqliteRevocations,
};
use tower_jwt_auth::sessions::{PostgresSessions, RedisSessions, SqliteSessions};

use crate::error::with_causes;
use crate::{Database, Error};

/// How long a store may take to say whether a token is revoked: more than a database may wait for
/// a lock, and Redis for a new connection.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// What the chosen store of revocations needs while the service runs.
#[derive(Debug, Clone)]
pub(crate) enum Revocations {
    /// To be cleaned up.
    Sqlite(SqliteRevocations),
    /// To be cleaned up.
    Postgres(PostgresRevocations),
    /// To be kept: dropping it ends the subscription. Redis cleans up by itself.
    Redis {
        revocations: Arc<CachedRevocations<RedisRevocations>>,
        _pushes: Arc<RevocationPushes>,
    },
}

/// Gives the issuer its stores: those in Redis if there is a URL, else those in the database.
pub(crate) async fn choose(
    tokens: TokenIssuerBuilder,
    database: &Database,
    redis_url: Option<&str>,
) -> Result<(TokenIssuerBuilder, Revocations), Error> {
    if let Some(url) = redis_url {
        return in_redis(tokens, url).await.map_err(|error| {
            let error = with_causes(&error);
            format!("REDIS_URL: cannot use this Redis: {error}").into()
        });
    }
    Ok(match database {
        Database::Sqlite(pool) => {
            let record = SqliteRevocations::new(pool.clone());
            let sessions = SqliteSessions::new(pool.clone());
            let tokens = tokens.sessions(sessions).revocation(cached(record.clone()));
            (tokens, Revocations::Sqlite(record))
        }
        Database::Postgres(pool) => {
            let record = PostgresRevocations::new(pool.clone());
            let sessions = PostgresSessions::new(pool.clone());
            let tokens = tokens.sessions(sessions).revocation(cached(record.clone()));
            (tokens, Revocations::Postgres(record))
        }
    })
}

/// Revocations are told to each process as they are made.
async fn in_redis(
    tokens: TokenIssuerBuilder,
    url: &str,
) -> Result<(TokenIssuerBuilder, Revocations), StoreError> {
    let sessions = RedisSessions::connect(url).await?;
    let revocations = Arc::new(cached(RedisRevocations::connect(url).await?));
    let pushes = Arc::new(revocations.store().subscribe(url, &revocations)?);
    let tokens = tokens
        .sessions(sessions)
        .revocation(Arc::clone(&revocations));
    let revocations = Revocations::Redis {
        revocations,
        _pushes: pushes,
    };
    Ok((tokens, revocations))
}

fn cached<S: RevocationStore>(record: S) -> CachedRevocations<S> {
    CachedRevocations::new(record).timeout(REVOCATION_TIMEOUT)
}

// === impl Revocations ===

impl Revocations {
    /// Whether Redis answers and can be written to. The database is asked by itself.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => Ok(()),
            Self::Redis { revocations, .. } => revocations.store().check_writable().await,
        }
    }

    /// Removes at most `limit` that are over, and tells how many.
    pub(crate) async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(record) => record.clean_up(now, limit).await,
            Self::Postgres(record) => record.clean_up(now, limit).await,
            Self::Redis { .. } => Ok(0),
        }
    }
}
