//! Where sessions, revocations and used proofs are stored: in the database, or in Redis. This file chooses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tower_jwt_auth::dpop::PostgresReplays; // chapter: postgres
use tower_jwt_auth::dpop::{Dpop, DpopBuilder, RedisReplays, SqliteReplays};
use tower_jwt_auth::issuer::TokenIssuerBuilder;
use tower_jwt_auth::revocation::PostgresRevocations; // chapter: postgres
use tower_jwt_auth::revocation::{
    CachedRevocations, RedisRevocations, RevocationPushes, RevocationStore, SqliteRevocations,
};
use tower_jwt_auth::sessions::PostgresSessions; // chapter: postgres
use tower_jwt_auth::sessions::{RedisSessions, SessionStore, SessionsBuilder, SqliteSessions};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{Sessions, TokenIssuer};

use crate::database::Database;
use crate::error::Error;
use crate::error::with_causes;

/// The longest that a call to a store may take. It is longer than a wait for a lock of the database or for
/// a new connection to Redis, so that these report what is wrong.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// The issuer and its sessions, on the chosen stores.
pub(crate) struct Chosen {
    pub(crate) tokens: TokenIssuer,
    /// Not configured with limits and events yet.
    pub(crate) sessions: SessionsBuilder,
    pub(crate) revocations: Revocations,
    pub(crate) replays: Replays,
}

/// What the chosen revocation store needs while the service runs.
#[derive(Debug, Clone)]
pub(crate) enum Revocations {
    /// A table that needs to be cleaned up.
    Sqlite(SqliteRevocations),
    // chapter: postgres {
    /// A table that needs to be cleaned up.
    Postgres(PostgresRevocations),
    // chapter: postgres }
    /// Redis, which cleans up by itself. The subscription ends when this is dropped, so it must be kept.
    Redis {
        revocations: Arc<CachedRevocations<RedisRevocations>>,
        _pushes: Arc<RevocationPushes>,
    },
}

/// The chosen store of proofs that were used, so that none is used twice (RFC 9449 section 11.1).
#[derive(Debug, Clone)]
pub(crate) enum Replays {
    /// A table that needs to be cleaned up.
    Sqlite(SqliteReplays),
    // chapter: postgres {
    /// A table that needs to be cleaned up.
    Postgres(PostgresReplays),
    // chapter: postgres }
    /// Redis, which cleans up by itself.
    Redis(RedisReplays),
}

/// Builds the issuer and its sessions on Redis if there is a URL, and on the database otherwise.
pub(crate) async fn choose(
    tokens: TokenIssuerBuilder,
    database: &Database,
    redis_url: Option<&str>,
) -> Result<Chosen, Error> {
    if let Some(url) = redis_url {
        return in_redis(tokens, url).await;
    }
    match database {
        Database::Sqlite(pool) => {
            let record = SqliteRevocations::new(pool.clone());
            let sessions = SqliteSessions::new(pool.clone());
            let replays = Replays::Sqlite(SqliteReplays::new(pool.clone()));
            let tokens = tokens.revocation(cached(record.clone()));
            chosen(tokens, sessions, Revocations::Sqlite(record), replays)
        }
        // chapter: postgres {
        Database::Postgres(pool) => {
            let record = PostgresRevocations::new(pool.clone());
            let sessions = PostgresSessions::new(pool.clone());
            let replays = Replays::Postgres(PostgresReplays::new(pool.clone()));
            let tokens = tokens.revocation(cached(record.clone()));
            chosen(tokens, sessions, Revocations::Postgres(record), replays)
        } // chapter: postgres }
    }
}

/// Stores sessions and revocations in Redis. Revocations are pushed to every process.
async fn in_redis(tokens: TokenIssuerBuilder, url: &str) -> Result<Chosen, Error> {
    let stores = async {
        let sessions = RedisSessions::connect(url).await?;
        let revocations = Arc::new(cached(RedisRevocations::connect(url).await?));
        let pushes = Arc::new(revocations.store().subscribe(url, &revocations)?);
        let replays = RedisReplays::connect(url).await?;
        Ok::<_, StoreError>((sessions, revocations, pushes, replays))
    };
    let (sessions, revocations, pushes, replays) = stores.await.map_err(|error| {
        let error = with_causes(&error);
        format!("REDIS_URL: cannot use this Redis: {error}")
    })?;
    let tokens = tokens.revocation(Arc::clone(&revocations));
    let revocations = Revocations::Redis {
        revocations,
        _pushes: pushes,
    };
    chosen(tokens, sessions, revocations, Replays::Redis(replays))
}

fn chosen(
    tokens: TokenIssuerBuilder,
    sessions: impl SessionStore,
    revocations: Revocations,
    replays: Replays,
) -> Result<Chosen, Error> {
    let tokens = tokens.build()?;
    let sessions = Sessions::builder(&tokens, sessions).store_timeout(STORE_TIMEOUT);
    Ok(Chosen {
        tokens,
        sessions,
        revocations,
        replays,
    })
}

fn cached<S: RevocationStore>(record: S) -> CachedRevocations<S> {
    CachedRevocations::new(record).store_timeout(STORE_TIMEOUT)
}

// === impl Revocations ===

impl Revocations {
    /// Checks that Redis can be written to. The database has a check of its own.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => Ok(()), // chapter: postgres
            Self::Redis { revocations, .. } => revocations.store().check_writable().await,
        }
    }

    /// Removes at most `limit` expired rows, and returns how many.
    pub(crate) async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(record) => record.clean_up(now, limit).await,
            Self::Postgres(record) => record.clean_up(now, limit).await, // chapter: postgres
            Self::Redis { .. } => Ok(0),
        }
    }
}

// === impl Replays ===

impl Replays {
    /// Returns a builder of the rules for proofs, for clients that reach the service at this address.
    pub(super) fn dpop(&self, address: &str) -> DpopBuilder {
        let dpop = match self {
            Self::Sqlite(replays) => Dpop::builder(address, replays.clone()),
            Self::Postgres(replays) => Dpop::builder(address, replays.clone()), // chapter: postgres
            Self::Redis(replays) => Dpop::builder(address, replays.clone()),
        };
        dpop.store_timeout(STORE_TIMEOUT)
    }

    /// Removes at most `limit` expired rows, and returns how many.
    pub(crate) async fn clean_up(&self, now: SystemTime, limit: u32) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(replays) => replays.clean_up(now, limit).await,
            Self::Postgres(replays) => replays.clean_up(now, limit).await, // chapter: postgres
            Self::Redis(_) => Ok(0),
        }
    }
}
