//! What proves, beside the password, that it is the user: codes of an app, by SMS, or on paper.

mod challenges;
mod recovery_codes;
mod sms_codes;
mod totp;

pub(crate) use challenges::{Challenges, LIFETIME};
pub(crate) use recovery_codes::RecoveryCodes;
pub(crate) use sms_codes::{SmsCodes, SmsPurpose};
pub(crate) use totp::Enrolment;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::Result;
use utoipa::ToSchema;

use crate::Database;
use crate::database::on_pool;
use crate::one_time_tokens::digest;
use crate::passwords::Passwords;
use crate::problem::Problem;
use crate::sealing::SealingKeys;
use crate::times::{SKEW, now};
use crate::typed::{Malformed, OneTimeCode, RecoveryCode};

/// For how long a factor can be confirmed after it was proposed, in seconds: its secret is on a screen.
const PROPOSAL: i64 = 900;

/// How a code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// By an app on the user's phone (RFC 6238).
    Totp,
    /// Sent to the user's phone.
    Sms,
    /// Written down when the first factor was added.
    RecoveryCode,
}

/// A code in the form that its method has.
#[derive(Debug)]
pub(crate) enum Proof {
    Totp(OneTimeCode),
    Sms(OneTimeCode),
    Recovery(RecoveryCode),
}

/// The factors of all users.
#[derive(Debug, Clone)]
pub(crate) struct Factors {
    database: Database,
    issuer: String,
    sealing: SealingKeys,
    pub(crate) challenges: Challenges,
    pub(crate) recovery_codes: RecoveryCodes,
    pub(crate) sms_codes: SmsCodes,
}

// === impl Method ===

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Sms => "sms",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// As tokens tell it (RFC 8176).
    pub(crate) fn amr(self) -> &'static str {
        match self {
            Self::Totp | Self::RecoveryCode => "otp",
            Self::Sms => "sms",
        }
    }
}

// === impl Proof ===

impl Proof {
    /// What was typed, if it can be a code of this method. It costs nothing to find out.
    pub(crate) fn parse(method: Method, typed: &str) -> std::result::Result<Self, Malformed> {
        match method {
            Method::Totp => OneTimeCode::parse(typed).map(Self::Totp),
            Method::Sms => OneTimeCode::parse(typed).map(Self::Sms),
            Method::RecoveryCode => RecoveryCode::parse(typed).map(Self::Recovery),
        }
    }
}

// === impl Factors ===

impl Factors {
    /// `issuer` is the name of the service that an app shows.
    pub(crate) fn new(
        database: &Database,
        passwords: &Passwords,
        sealing: &SealingKeys,
        issuer: &str,
    ) -> Self {
        Self {
            sealing: sealing.clone(),
            database: database.clone(),
            issuer: issuer.to_owned(),
            challenges: Challenges::new(database.clone()),
            recovery_codes: RecoveryCodes::new(database.clone()),
            sms_codes: SmsCodes::new(database.clone(), passwords.clone()),
        }
    }

    /// What the user may log in with; nothing if the password is enough.
    pub(crate) async fn methods(&self, user: &str) -> Result<Vec<Method>> {
        let query =
            "SELECT kind FROM second_factors WHERE user_id = $1 AND confirmed ORDER BY kind";
        let kinds: Vec<String> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_all(pool).await?
        });
        let mut methods = Vec::new();
        for kind in kinds {
            methods.push(if kind == "sms" {
                Method::Sms
            } else {
                Method::Totp
            });
        }
        if !methods.is_empty() && self.recovery_codes.count(user).await? > 0 {
            methods.push(Method::RecoveryCode);
        }
        Ok(methods)
    }

    /// Whether the code is right. It is used up by that: for one caller (V6.5.1).
    pub(crate) async fn take(
        &self,
        user: &str,
        proof: &Proof,
    ) -> std::result::Result<bool, Problem> {
        match proof {
            Proof::Totp(code) => self.take_totp(user, code).await,
            Proof::Recovery(code) => Ok(self.recovery_codes.take(user, code).await?),
            Proof::Sms(code) => self.sms_codes.take(user, SmsPurpose::Login, code).await,
        }
    }

    /// The number of a telephone that is confirmed.
    pub(crate) async fn phone(&self, user: &str) -> Result<Option<String>> {
        let query = "SELECT secret FROM second_factors \
                     WHERE user_id = $1 AND kind = 'sms' AND confirmed";
        on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_optional(pool).await
        })
    }

    /// Keeps a factor that is not confirmed yet, for [`PROPOSAL`] seconds; false if there is one that is.
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

    /// The factor works: from now on it is asked for, and there are new recovery codes; both or nothing. It
    /// must run to its end: see `on_pool`.
    pub(crate) async fn confirm(
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

    /// What was proposed of late, and is not confirmed yet.
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

    /// From now on the password is enough.
    pub(crate) async fn remove_all(&self, user: &str) -> Result<()> {
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

    /// Removes at most `limit` proposed factors that were not confirmed in time, and tells how many.
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
