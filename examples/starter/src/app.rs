//! [`App`]: what all handlers share, put together once.

use std::sync::Arc;

use tower_jwt_auth::sessions::WhenFull;
use tower_jwt_auth::{Sessions, TokenIssuer};

use crate::accounts::{Accounts, Registrations};
use crate::attempts::Attempts;
use crate::avatars::Avatars;
use crate::client_ip::TrustedProxies;
use crate::error::with_causes;
use crate::letters::Writer;
use crate::metrics::Metrics;
use crate::one_time_tokens::OneTimeTokens;
use crate::outbox::Outbox;
use crate::password_policy::PasswordPolicy;
use crate::passwords::Passwords;
use crate::quotas::Quotas;
use crate::rate_limit::RateLimit;
use crate::routes::health::Readiness;
use crate::second_factor::{Factors, SmsLimits};
use crate::storage::{Publisher, Storage};
use crate::stores::{self, Chosen, Revocations};
use crate::{Database, Error, Operations, Settings, Users, events};

/// What an app for codes shows beside the address.
const SERVICE: &str = env!("CARGO_PKG_NAME");
/// How many places a user may be logged in at. At one more, the session used least recently ends.
const MAX_SESSIONS: u32 = 100;

/// The service behind the routes; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) tokens: TokenIssuer,
    pub(crate) sessions: Sessions,
    pub(crate) passwords: Passwords,
    pub(crate) users: Users,
    pub(crate) accounts: Accounts,
    pub(crate) revocations: Revocations,
    pub(crate) one_time: OneTimeTokens,
    pub(crate) outbox: Outbox,
    pub(crate) password_policy: PasswordPolicy,
    pub(crate) factors: Factors,
    pub(crate) quotas: Quotas,
    /// `None` if no SMS are sent.
    pub(crate) sms_limits: Option<SmsLimits>,
    pub(crate) attempts: Attempts,
    pub(crate) proxies: TrustedProxies,
    pub(crate) rate_limit: Option<Arc<RateLimit>>,
    pub(crate) require_verified_email: bool,
    pub(crate) metrics: Metrics,
    pub(crate) operations: Operations,
    pub(crate) database: Database,
    pub(crate) readiness: Readiness,
    pub(crate) avatars: Avatars,
    pub(crate) publisher: Option<Publisher>,
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
        let password_policy = PasswordPolicy::new(&settings.new_passwords)?;
        if settings.mail.smtp_url.is_none() && !settings.development {
            tracing::warn!(
                "SMTP_URL is not set: letters are written to a folder, and reach nobody"
            );
        }
        if settings.storage.url.is_none() && !settings.development {
            tracing::warn!(
                "STORAGE_URL is not set: pictures are in a folder of this machine alone"
            );
        }
        let storage = Storage::open(&settings.storage)?;
        let sms = settings.sms.sms()?;
        let mailer = settings.mail.mailer()?;
        let database = Database::open(&settings.database_url).await?;
        let users = Users::new(database.clone());
        let one_time = OneTimeTokens::new(database.clone());
        let redis_url = settings.redis_url.as_deref();
        let Chosen {
            tokens,
            sessions,
            revocations,
        } = stores::choose(tokens, &database, redis_url).await?;
        let rate_limit = match settings.rate_limit {
            Some(per_minute) => {
                let limit = RateLimit::new(per_minute, redis_url).await;
                let limit = limit.map_err(|error| format!("REDIS_URL: {}", with_causes(&error)))?;
                Some(Arc::new(limit))
            }
            None => None,
        };
        let quotas = Quotas::new(database.clone());
        let sms_limits = settings
            .sms
            .is_offered
            .then(|| SmsLimits::new(quotas.clone(), settings.sms.per_day));
        let factors = Factors::new(&database, &passwords, &settings.sealing, SERVICE);
        let writer = Writer {
            users: users.clone(),
            tokens: one_time.clone(),
            registrations: Registrations::new(database.clone()),
            public_url: settings.mail.public_url.clone(),
        };
        let counted = metrics.clone();
        let sessions = sessions
            .idle_ttl(settings.sessions.idle_ttl)
            .rotation_grace(settings.sessions.rotation_grace)
            .limit(MAX_SESSIONS, WhenFull::EndOldest)
            .on_event(move |event| {
                events::log(event);
                counted.event(event);
            })
            .build()?;
        if let Some(ring) = tokens.key_ring() {
            ring.watch()?;
        }
        let publisher = Publisher::new(&tokens, &storage, &settings.storage).await?;
        let avatars = Avatars::new(storage);
        let before_proof = !settings.require_verified_email;
        let accounts = Accounts::new(&database, &sessions, &avatars, before_proof);
        Ok(Self {
            tokens,
            sessions,
            accounts,
            passwords,
            users,
            metrics,
            operations: settings.operations.clone(),
            revocations,
            one_time,
            password_policy,
            factors,
            quotas,
            sms_limits,
            attempts: Attempts::new(database.clone()),
            proxies: settings.trusted_proxies.clone(),
            rate_limit,
            outbox: Outbox::start(writer, mailer, sms, settings.mail.from.clone()),
            require_verified_email: settings.require_verified_email,
            database,
            readiness: Readiness::default(),
            avatars,
            publisher,
        })
    }

    /// The users, for commands and tests.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// The accounts, and whose they are.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What is to be done besides answering requests; never ends: drop it to stop it.
    pub(crate) async fn work(&self) {
        let publish = async {
            if let Some(publisher) = &self.publisher {
                publisher.keep().await;
            }
        };
        tokio::join!(self.keep_clean(), publish);
    }

    /// Sends the letters that wait, and closes the database. Requests that still come are
    /// answered with 503.
    pub async fn close(&self) {
        self.outbox.drain().await;
        self.database.close().await;
    }
}
