//! [`Parts`]: the parts of the service, and which of them a handler can take.

use std::sync::Arc;

use axum::extract::FromRef;
use tower_jwt_auth::sessions::WhenFull;
use tower_jwt_auth::{Sessions, TokenIssuer};

use super::App;
use crate::accounts::{
    Accounts, EmailChanges, OneTimeTokens, PasswordChanges, Registrations, Users,
};
use crate::api_keys::UserKeys; // chapter: api-keys
use crate::avatars::Avatars; // chapter: avatars
use crate::config::{Operations, Settings};
use crate::database::Database;
use crate::email::Writer;
use crate::error::{Error, with_causes};
use crate::limits::{Attempts, Quotas, RateLimit, TrustedProxies};
use crate::metrics::Metrics; // chapter: metrics
use crate::operations::{Readiness, events};
use crate::outbox::Outbox;
use crate::passkeys::Passkeys; // chapter: passkeys
use crate::passwords::{PasswordPolicy, Passwords};
use crate::second_factor::Factors; // chapter: second-factor
use crate::sessions::stores::{self, Chosen, Replays, Revocations};
use crate::sessions::{BoundTokens, Logins, Reauthentication};
use crate::sms::{SmsCodes, SmsLimits, SmsSender}; // chapter: sms
use crate::social_login::SocialLogin; // chapter: social-login
use crate::storage::{Publisher, Storage}; // chapter: avatars

/// How many sessions a user may have. One more ends the session that was used least recently.
const MAX_SESSIONS: u32 = 100;

/// Everything behind the routes.
///
/// A handler can take each part that [`parts!`](parts) names, such as `State(users): State<Users>`.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) accounts: Accounts,
    pub(crate) api_keys: UserKeys, // chapter: api-keys
    pub(crate) attempts: Attempts,
    pub(crate) avatars: Avatars, // chapter: avatars
    /// `None` if tokens are not bound to keys.
    pub(crate) bound_tokens: Option<BoundTokens>,
    pub(crate) database: Database,
    pub(crate) factors: Factors, // chapter: second-factor
    pub(crate) logins: Logins,
    pub(crate) metrics: Metrics, // chapter: metrics
    pub(crate) one_time: OneTimeTokens,
    pub(crate) operations: Operations,
    pub(crate) outbox: Outbox,
    pub(crate) passkeys: Passkeys, // chapter: passkeys
    pub(crate) password_changes: PasswordChanges,
    pub(crate) password_policy: PasswordPolicy,
    pub(crate) passwords: Passwords,
    pub(crate) proxies: TrustedProxies,
    pub(crate) publisher: Option<Publisher>, // chapter: avatars
    pub(crate) quotas: Quotas,
    /// `None` if there are no limits by client address.
    pub(crate) rate_limit: Option<Arc<RateLimit>>,
    pub(crate) readiness: Readiness,
    pub(crate) reauthentication: Reauthentication,
    pub(crate) replays: Replays,
    pub(crate) revocations: Revocations,
    pub(crate) sessions: Sessions,
    pub(crate) sms: SmsSender,            // chapter: sms
    pub(crate) social_login: SocialLogin, // chapter: social-login
    pub(crate) tokens: TokenIssuer,
    pub(crate) users: Users,
}

/// Lets a handler take a part of the app as its `State`.
macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {
        $(impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.parts().$field.clone()
            }
        })*
    };
}

parts! {
    accounts: Accounts,
    attempts: Attempts,
    logins: Logins,
    one_time: OneTimeTokens,
    operations: Operations,
    outbox: Outbox,
    password_changes: PasswordChanges,
    password_policy: PasswordPolicy,
    passwords: Passwords,
    readiness: Readiness,
    reauthentication: Reauthentication,
    sessions: Sessions,
    tokens: TokenIssuer,
    users: Users,
}
parts!(api_keys: UserKeys,); // chapter: api-keys
parts!(avatars: Avatars,); // chapter: avatars
parts!(factors: Factors,); // chapter: second-factor
parts!(metrics: Metrics,); // chapter: metrics
parts!(passkeys: Passkeys,); // chapter: passkeys
parts!(sms: SmsSender,); // chapter: sms
parts!(social_login: SocialLogin,); // chapter: social-login

// === impl Parts ===

impl Parts {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Error> {
        let metrics = Metrics::new(); // chapter: metrics
        let passwords = Passwords::new(
            settings.passwords.clone(),
            metrics.clone(), // chapter: metrics
        );
        let tokens = settings.auth.issuer_builder()?;
        warn_of_folders(settings);
        let storage = Storage::open(&settings.storage)?; // chapter: avatars
        let sms = settings.sms.sms()?; // chapter: sms
        let mailer = settings.mail.mailer()?;
        let database = Database::open(&settings.database_url).await?;
        let users = Users::new(database.clone());
        let one_time = OneTimeTokens::new(database.clone());
        let redis_url = settings.redis_url.as_deref();
        let Chosen {
            tokens,
            sessions,
            revocations,
            replays,
        } = stores::choose(tokens, &database, redis_url).await?;
        let bound_tokens = BoundTokens::open(settings, &database, &replays).await?;
        let rate_limit = match settings.rate_limit {
            Some(per_minute) => {
                let limit = RateLimit::new(per_minute, redis_url).await;
                let limit = limit.map_err(|error| format!("REDIS_URL: {}", with_causes(&error)))?;
                Some(Arc::new(limit))
            }
            None => None,
        };
        let quotas = Quotas::new(database.clone());
        let attempts = Attempts::new(database.clone());
        let writer = Writer {
            users: users.clone(),
            tokens: one_time.clone(),
            registrations: Registrations::new(database.clone()),
            email_changes: EmailChanges::new(&database),
            public_url: settings.mail.public_url.clone(),
        };
        let outbox = Outbox::start(
            writer,
            mailer,
            sms, // chapter: sms
            settings.mail.from.clone(),
        );
        // chapter: sms {
        let sms = SmsSender {
            codes: SmsCodes::new(database.clone(), passwords.clone()),
            limits: settings
                .sms
                .is_offered
                .then(|| SmsLimits::new(quotas.clone(), settings.sms.per_day)),
            outbox: outbox.clone(),
        };
        // chapter: sms }
        let counted = metrics.clone(); // chapter: metrics
        let sessions = sessions
            .idle_ttl(settings.sessions.idle_ttl)
            .rotation_grace(settings.sessions.rotation_grace)
            .limit(MAX_SESSIONS, WhenFull::EndOldest)
            .on_event(move |event| {
                events::log(event);
                counted.event(event); // chapter: metrics
            })
            .build()?;
        // chapter: second-factor {
        let factors = Factors::new(
            &database,
            crate::SERVICE,
            &outbox,
            &settings.sealing,
            &sessions,
            sms.codes.clone(),                       // chapter: sms
            crate::passkeys::Proofs::new(&database), // chapter: passkeys
        );
        // chapter: second-factor }
        let password_policy = PasswordPolicy::new(
            &settings.new_passwords,
            &passwords,
            &factors, // chapter: second-factor
        )?;
        let password_changes = PasswordChanges {
            attempts: attempts.clone(),
            outbox: outbox.clone(),
            passwords: passwords.clone(),
            policy: password_policy.clone(),
            sessions: sessions.clone(),
            users: users.clone(),
        };
        if let Some(ring) = tokens.key_ring() {
            ring.watch()?;
        }
        let publisher = Publisher::new(&tokens, &storage, &settings.storage).await?; // chapter: avatars
        let avatars = Avatars::new(storage); // chapter: avatars
        let api_keys = UserKeys::new(&database, &users)?; // chapter: api-keys
        let before_proof = !settings.require_verified_email;
        let accounts = Accounts::new(
            &database,
            &sessions,
            &avatars,  // chapter: avatars
            &api_keys, // chapter: api-keys
            before_proof,
        );
        let logins = Logins {
            attempts: attempts.clone(),
            passwords: passwords.clone(),
            sessions: sessions.clone(),
            users: users.clone(),
            factors: factors.clone(), // chapter: second-factor
            require_verified_email: settings.require_verified_email,
        };
        // chapter: social-login {
        let social_login = SocialLogin::new(
            &settings.login_providers,
            &settings.mail.public_url,
            &database,
            &accounts,
            &logins,
            &outbox,
        )?;
        // chapter: social-login }
        let reauthentication = Reauthentication {
            attempts: attempts.clone(),
            passwords: passwords.clone(),
        };
        // chapter: passkeys {
        let passkeys = Passkeys::new(
            crate::SERVICE,
            &settings.mail.public_url,
            &database,
            &logins,
            &reauthentication,
            &outbox,
        )?;
        // chapter: passkeys }
        let readiness = Readiness::new(&database, &revocations);
        Ok(Self {
            accounts,
            api_keys, // chapter: api-keys
            attempts,
            avatars, // chapter: avatars
            bound_tokens,
            database,
            factors, // chapter: second-factor
            logins,
            metrics, // chapter: metrics
            one_time,
            operations: settings.operations.clone(),
            outbox,
            passkeys, // chapter: passkeys
            password_changes,
            password_policy,
            passwords,
            proxies: settings.trusted_proxies.clone(),
            publisher, // chapter: avatars
            quotas,
            rate_limit,
            readiness,
            reauthentication,
            replays,
            revocations,
            sessions,
            sms,          // chapter: sms
            social_login, // chapter: social-login
            tokens,
            users,
        })
    }

    // chapter: avatars {
    /// Publishes the public keys in the storage whenever they change. Never returns.
    pub(super) async fn publish_keys(&self) {
        if let Some(publisher) = &self.publisher {
            publisher.keep().await;
        }
    }
    // chapter: avatars }
}

/// Warns if emails and avatars stay on this machine.
fn warn_of_folders(settings: &Settings) {
    if settings.development {
        return;
    }
    if settings.mail.smtp_url.is_none() {
        tracing::warn!("SMTP_URL is not set: emails are written to a folder and reach nobody");
    }
    // chapter: avatars {
    if settings.storage.url.is_none() {
        tracing::warn!("STORAGE_URL is not set: files are stored in a folder on this machine");
    }
    // chapter: avatars }
}
