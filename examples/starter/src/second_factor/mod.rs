//! Two-factor authentication: codes of an authenticator app (TOTP), recovery codes, and with the chapter
//! `sms` codes by SMS.
//!
//! [`Logins`](crate::sessions::Logins) asks users with a second factor for a code. Needs accounts and
//! sessions. To remove it together with `sms`: `./chapters remove second-factor` (see `docs/removing.md`).

mod challenges;
pub(crate) mod login;
mod recovery_codes;
mod settings;
mod totp;

pub(crate) use challenges::{CHALLENGE_SECONDS, Challenges};
pub(crate) use recovery_codes::RecoveryCodes;
pub(crate) use settings::Confirm; // chapter: sms

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Result};
use tower_jwt_auth::Sessions;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::{User, digest};
use crate::app::{App, RequireToken};
use crate::database::{Database, on_pool};
use crate::error::with_causes;
use crate::finish::finish;
use crate::keys::SealingKeys;
use crate::operations;
use crate::outbox::{Notice, Notification, Outbox};
use crate::passkeys::Proofs; // chapter: passkeys
use crate::problem::Problem;
use crate::sessions::Caller;
use crate::sms::{SmsCodes, SmsPurpose}; // chapter: sms
use crate::times::{SKEW, now};
use crate::typed::LinkSecret; // chapter: passkeys
use crate::typed::{Malformed, OneTimeCode, RecoveryCode};

const CHANGED: Notice = Notice {
    kind: "second_factor_changed",
    subject: "Your second factor was changed",
    text: "The two-factor authentication of your account has just been changed.\n\n\
           If this was not you, choose a new password at once:",
};

/// How long a proposed factor can be confirmed, in seconds. Its secret is on a screen meanwhile.
const PROPOSAL: i64 = 900;

/// The kinds of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// An authenticator app (RFC 6238).
    Totp,
    // chapter: sms {
    /// A code that is sent to the user's phone.
    Sms,
    // chapter: sms }
    // chapter: passkeys {
    /// A passkey on the user's phone or computer.
    Passkey,
    // chapter: passkeys }
    /// A code that the user has saved when the first factor was added.
    RecoveryCode,
}

/// A code in the format of its method.
#[derive(Debug)]
pub(crate) enum Proof {
    Totp(OneTimeCode),
    Sms(OneTimeCode),    // chapter: sms
    Passkey(LinkSecret), // chapter: passkeys
    Recovery(RecoveryCode),
}

/// The recovery codes of a user who has just added a factor. They are shown only once.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub(crate) struct Added {
    recovery_codes: Vec<String>,
}

/// The factors of all users.
#[derive(Debug, Clone)]
pub(crate) struct Factors {
    database: Database,
    /// The name of the service that authenticator apps show.
    issuer: &'static str,
    outbox: Outbox,
    sealing: SealingKeys,
    sessions: Sessions,
    pub(crate) challenges: Challenges,
    pub(crate) recovery_codes: RecoveryCodes,
    sms_codes: SmsCodes, // chapter: sms
    passkeys: Proofs,    // chapter: passkeys
}

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    let with_token = OpenApiRouter::new()
        .routes(routes!(settings::status))
        .routes(routes!(settings::add_totp))
        .routes(routes!(settings::confirm_totp))
        .routes(routes!(settings::remove))
        .route_layer(token.clone());
    OpenApiRouter::new()
        .routes(routes!(login::answer))
        .merge(with_token)
}

/// A factor as it is stored, without its secret.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[schema(as = StoredSecondFactor)]
pub(crate) struct Stored {
    kind: String,
    phone: Option<String>, // chapter: sms
    /// Whether a login asks for it.
    confirmed: bool,
    /// Seconds since 1970.
    created_at: i64,
}

// === impl Method ===

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Sms => "sms",         // chapter: sms
            Self::Passkey => "passkey", // chapter: passkeys
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// Returns the value for the `amr` claim (RFC 8176).
    pub(crate) fn amr(self) -> &'static str {
        match self {
            Self::Totp | Self::RecoveryCode => "otp",
            Self::Sms => "sms",     // chapter: sms
            Self::Passkey => "swk", // chapter: passkeys
        }
    }
}

// === impl Proof ===

impl Proof {
    /// Parses what was typed, if it can be a code of this method. Needs no lookup.
    pub(crate) fn parse(method: Method, typed: &str) -> std::result::Result<Self, Malformed> {
        match method {
            Method::Totp => OneTimeCode::parse(typed).map(Self::Totp),
            Method::Sms => OneTimeCode::parse(typed).map(Self::Sms), // chapter: sms
            Method::Passkey => Proofs::parse(typed).map(Self::Passkey), // chapter: passkeys
            Method::RecoveryCode => RecoveryCode::parse(typed).map(Self::Recovery),
        }
    }
}

// === impl Factors ===

impl Factors {
    pub(crate) fn new(
        database: &Database,
        issuer: &'static str,
        outbox: &Outbox,
        sealing: &SealingKeys,
        sessions: &Sessions,
        sms_codes: SmsCodes, // chapter: sms
        passkeys: Proofs,    // chapter: passkeys
    ) -> Self {
        Self {
            issuer,
            outbox: outbox.clone(),
            sealing: sealing.clone(),
            sessions: sessions.clone(),
            challenges: Challenges::new(database.clone()),
            recovery_codes: RecoveryCodes::new(database.clone()),
            database: database.clone(),
            sms_codes, // chapter: sms
            passkeys,  // chapter: passkeys
        }
    }

    /// Returns the methods for the second step of a login. It is empty if the password is enough.
    pub(crate) async fn methods(&self, user: &str) -> Result<Vec<Method>> {
        let query =
            "SELECT kind FROM second_factors WHERE user_id = $1 AND confirmed ORDER BY kind";
        let kinds: Vec<String> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_all(pool).await?
        });
        let mut methods = Vec::new();
        for kind in kinds {
            methods.push(match kind.as_str() {
                "sms" => Method::Sms,         // chapter: sms
                "passkey" => Method::Passkey, // chapter: passkeys
                _ => Method::Totp,
            });
        }
        // chapter: passkeys {
        let is_listed = methods.is_empty() || methods.contains(&Method::Passkey);
        if !is_listed && self.passkeys.has_any(user).await? {
            methods.push(Method::Passkey);
        }
        // chapter: passkeys }
        if !methods.is_empty() && self.recovery_codes.count(user).await? > 0 {
            methods.push(Method::RecoveryCode);
        }
        Ok(methods)
    }

    /// Returns what is stored of a user's factors, without their secrets.
    pub(crate) async fn stored(&self, user: &str) -> Result<Vec<Stored>> {
        let query = concat!(
            "SELECT kind, confirmed, created_at",
            ", CASE WHEN kind = 'sms' THEN secret END AS phone", // chapter: sms
            " FROM second_factors WHERE user_id = $1 ORDER BY kind"
        );
        on_pool!(&self.database, pool => {
            sqlx::query_as(query).bind(user).fetch_all(pool).await
        })
    }

    /// Uses up the code if it is right. Returns `true` to only one caller (OWASP ASVS 5.0 V6.5.1).
    pub(crate) async fn take(
        &self,
        user: &str,
        proof: &Proof,
    ) -> std::result::Result<bool, Problem> {
        match proof {
            Proof::Totp(code) => self.take_totp(user, code).await,
            Proof::Recovery(code) => Ok(self.recovery_codes.take(user, code).await?),
            Proof::Passkey(proof) => Ok(self.passkeys.take(user, proof).await?), // chapter: passkeys
            Proof::Sms(code) => self.sms_codes.take(user, SmsPurpose::Login, code).await, // chapter: sms
        }
    }

    // chapter: sms {
    /// Returns the confirmed phone number.
    pub(crate) async fn phone(&self, user: &str) -> Result<Option<String>> {
        let query = "SELECT secret FROM second_factors \
                     WHERE user_id = $1 AND kind = 'sms' AND confirmed";
        on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_optional(pool).await
        })
    }
    // chapter: sms }

    /// Stores a factor that is not confirmed yet, for [`PROPOSAL`] seconds. Returns `false` if a confirmed
    /// one exists.
    pub(crate) async fn propose(&self, user: &str, method: Method, secret: &str) -> Result<bool> {
        let query = "INSERT INTO second_factors AS f (user_id, kind, secret, created_at) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, kind) \
                     DO UPDATE SET secret = $3, last_step = 0, created_at = $4 \
                     WHERE NOT f.confirmed";
        let kept = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(user).bind(method.name()).bind(secret);
            query.bind(now()).execute(pool).await?.rows_affected()
        });
        Ok(kept == 1)
    }

    /// Turns a confirmed factor on. The other sessions were opened without it, so they end.
    pub(crate) async fn turn_on(
        &self,
        caller: Caller,
        method: Method,
        secret: String,
    ) -> std::result::Result<Added, Problem> {
        let factors = self.clone();
        finish(async move {
            let (sessions, user) = (&factors.sessions, &caller.user);
            // Comes first, so that there is no factor yet if the sessions cannot be ended.
            sessions.end_others(&user.id, caller.session()).await?;
            let confirmed = factors.confirm(&user.id, method, &secret).await?;
            let recovery_codes = confirmed.ok_or_else(invalid_code)?;
            tracing::info!(
                event = "second_factor_added",
                user = operations::digest(&user.id),
                method = method.name()
            );
            factors.tell(user);
            // Ends sessions that were opened in between. The response must show the codes even if this
            // fails.
            if let Err(error) = sessions.end_others(&user.id, caller.session()).await {
                let error = with_causes(&error);
                tracing::error!(
                    error,
                    "the second factor is on, but sessions from before could not be ended"
                );
            }
            let recovery_codes = recovery_codes.iter().map(|code| code.as_str().to_owned());
            Ok(Added {
                recovery_codes: recovery_codes.collect(),
            })
        })
        .await
    }

    /// Removes all factors of a user, at the request of the user or of the admin with the id `by`.
    pub(crate) async fn turn_off(&self, user: &User, by: Option<&str>) -> Result<()> {
        self.remove_all(&user.id).await?;
        tracing::info!(
            event = "second_factor_removed",
            user = operations::digest(&user.id),
            by = by.map(operations::digest)
        );
        self.tell(user);
        Ok(())
    }

    /// Tells the owner about a change, in case somebody else made it.
    fn tell(&self, user: &User) {
        let (to, notice) = (user.address(), CHANGED);
        self.outbox.post(Notification::Notice { to, notice });
    }

    /// Confirms the factor and replaces the recovery codes, both or neither. The caller must run it to its
    /// end: see `on_pool`.
    async fn confirm(
        &self,
        user: &str,
        method: Method,
        secret: &str,
    ) -> Result<Option<BTreeSet<RecoveryCode>>> {
        let codes = recovery_codes::new_codes()?;
        let query = "UPDATE second_factors SET confirmed = TRUE \
                     WHERE user_id = $1 AND kind = $2 AND secret = $3 AND NOT confirmed \
                     AND created_at > $4 AND created_at <= $5";
        let begin = self.database.begin_to_write();
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            let query = sqlx::query(query).bind(user).bind(method.name()).bind(secret);
            let query = query.bind(now() - PROPOSAL).bind(now() + SKEW);
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(None);
            }
            let clear = sqlx::query(recovery_codes::CLEAR).bind(user);
            clear.execute(&mut *transaction).await?;
            for code in &codes {
                let insert = sqlx::query(recovery_codes::INSERT).bind(user).bind(digest(code.as_str()));
                insert.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(Some(codes))
    }

    /// Returns the secret that was proposed recently and is not confirmed yet.
    pub(crate) async fn proposed(&self, user: &str, method: Method) -> Result<Option<String>> {
        let query = "SELECT secret FROM second_factors \
                     WHERE user_id = $1 AND kind = $2 AND NOT confirmed \
                     AND created_at > $3 AND created_at <= $4";
        on_pool!(&self.database, pool => {
            let query = sqlx::query_scalar(query).bind(user).bind(method.name());
            let query = query.bind(now() - PROPOSAL).bind(now() + SKEW);
            query.fetch_optional(pool).await
        })
    }

    async fn remove_all(&self, user: &str) -> Result<()> {
        for query in [
            "DELETE FROM second_factors WHERE user_id = $1",
            recovery_codes::CLEAR,
        ] {
            on_pool!(&self.database, pool => {
                sqlx::query(query).bind(user).execute(pool).await?;
            });
        }
        Ok(())
    }

    /// Removes at most `limit` proposed factors that were not confirmed in time, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> Result<u64> {
        let query = "DELETE FROM second_factors WHERE (user_id, kind) IN \
                         (SELECT user_id, kind FROM second_factors \
                         WHERE NOT confirmed AND created_at <= $1 LIMIT $2) AND NOT confirmed";
        Ok(on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(now() - PROPOSAL).bind(i64::from(limit));
            query.execute(pool).await?.rows_affected()
        }))
    }
}

pub(crate) fn invalid_code() -> Problem {
    let detail = "The code is wrong, was used, or has expired. Use a newer one.";
    Problem::new(StatusCode::FORBIDDEN, "invalid_code", detail)
}

pub(crate) fn exists() -> Problem {
    let detail = "This second factor exists already. Remove it first.";
    Problem::new(StatusCode::CONFLICT, "second_factor_exists", detail)
}
