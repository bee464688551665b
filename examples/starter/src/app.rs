//! [`App`]: what all handlers share, put together once.

use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::session::WhenFull;

use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::stores::{self, Revocations};
use crate::{Database, Error, Operations, Settings, Users, events};

/// How many places a user may be logged in at. At one more, the session used least recently ends.
const MAX_SESSIONS: u32 = 100;

/// The service behind the routes; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) tokens: TokenIssuer,
    pub(crate) passwords: Passwords,
    pub(crate) users: Users,
    pub(crate) revocations: Revocations,
    pub(crate) metrics: Metrics,
    pub(crate) operations: Operations,
    pub(crate) database: Database,
}

// === impl App ===

impl App {
    /// Opens the database and the stores, and reads the keys.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be meant, or a database or Redis that cannot be reached.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let metrics = Metrics::new();
        let passwords = Passwords::new(settings.auth.password_service()?, metrics.clone());
        let tokens = settings.auth.issuer()?;
        let database = Database::open(&settings.database_url).await?;
        let redis_url = settings.redis_url.as_deref();
        let (tokens, revocations) = stores::choose(tokens, &database, redis_url).await?;
        let counted = metrics.clone();
        let tokens = tokens
            .session_idle_ttl(settings.sessions.idle_ttl)
            .rotation_grace(settings.sessions.rotation_grace)
            .session_limit(MAX_SESSIONS, WhenFull::EndOldest)
            .on_event(move |event| {
                events::log(event);
                counted.event(event);
            })
            .build()?;
        if let Some(ring) = tokens.key_ring() {
            ring.watch()?;
        }
        Ok(Self {
            tokens,
            passwords,
            metrics,
            operations: settings.operations.clone(),
            users: Users::new(database.clone()),
            revocations,
            database,
        })
    }

    /// The users, for commands and tests.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Closes the database. Requests that still come are answered with 503.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
