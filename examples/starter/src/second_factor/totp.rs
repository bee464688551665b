//! Codes of authenticator apps: RFC 6238, with 30 seconds, six digits and SHA-1, which all apps know.

use qrcodegen::{DataTooLong, QrCode, QrCodeEcc};
use serde::Serialize;
use sqlx::Result;
use totp_rs::{Builder, Secret, Totp};

use super::{Factors, Method};
use crate::accounts::User;
use crate::database::on_pool;
use crate::keys::Opened;
use crate::problem::Problem;
use crate::times::{SKEW, now};
use crate::typed::OneTimeCode;

/// How long a code is the current one.
const STEP_SECONDS: i64 = 30;

/// What an authenticator app needs. It is shown only once.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Enrolment {
    /// The secret, for typing: 160 random bits in base 32.
    secret: String,
    /// The content of the QR code.
    otpauth_uri: String,
    /// The QR code, row by row. `1` is dark. It needs a light border four modules wide.
    qr_code: Vec<String>,
}

// === impl Factors ===

impl Factors {
    /// Makes a new secret, which takes effect once a code has confirmed it. Returns `None` if a confirmed
    /// one exists.
    pub(crate) async fn enrol_totp(
        &self,
        user: &User,
    ) -> std::result::Result<Option<Enrolment>, Problem> {
        let secret = Secret::generate();
        let typed = secret.to_base32();
        let uri = self.totp(secret, &user.email);
        let uri = uri.and_then(|totp| totp.to_url().ok());
        let uri = uri.ok_or_else(|| Problem::internal(&std::io::Error::other("no TOTP")))?;
        let enrolment = Enrolment {
            secret: typed,
            qr_code: qr_code(&uri).map_err(|error| Problem::internal(&error))?,
            otpauth_uri: uri,
        };
        let sealed = self.seal(&user.id, &enrolment.secret)?;
        let kept = self.propose(&user.id, Method::Totp, &sealed);
        Ok(kept.await?.then_some(enrolment))
    }

    /// Returns the proposed secret as it is stored, if this is one of its codes, and uses up the code.
    pub(crate) async fn take_proposed(
        &self,
        user: &str,
        code: &OneTimeCode,
    ) -> std::result::Result<Option<String>, Problem> {
        let Some(sealed) = self.proposed(user, Method::Totp).await? else {
            return Ok(None);
        };
        match self.step(&self.unseal(user, &sealed)?.secret, code) {
            Some(step) => Ok(self.use_step(user, step).await?.then_some(sealed)),
            None => Ok(None),
        }
    }

    /// Accepts a code for its 30 seconds and for the 30 seconds before and after, and only once: neither a
    /// used step nor an earlier one is accepted again (RFC 6238 section 5.2).
    pub(super) async fn take_totp(
        &self,
        user: &str,
        code: &OneTimeCode,
    ) -> std::result::Result<bool, Problem> {
        let query = "SELECT secret FROM second_factors \
                     WHERE user_id = $1 AND kind = 'totp' AND confirmed";
        let sealed: Option<String> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_optional(pool).await?
        });
        let Some(sealed) = sealed else {
            return Ok(false);
        };
        let opened = self.unseal(user, &sealed)?;
        let Some(step) = self.step(&opened.secret, code) else {
            return Ok(false);
        };
        let used = self.use_step(user, step).await?;
        if used && !opened.is_current {
            self.seal_anew(user, &sealed, &opened.secret).await?;
        }
        Ok(used)
    }

    /// Seals the secret again with the key that is now the first one, so that the old key can be removed one day.
    async fn seal_anew(
        &self,
        user: &str,
        sealed: &str,
        secret: &str,
    ) -> std::result::Result<(), Problem> {
        let anew = self.seal(user, secret)?;
        let query = "UPDATE second_factors SET secret = $2, resealed = resealed + 1 \
                     WHERE user_id = $1 AND kind = 'totp' AND secret = $3";
        on_pool!(&self.database, pool => {
            sqlx::query(query).bind(user).bind(anew).bind(sealed).execute(pool).await?;
        });
        Ok(())
    }

    fn seal(&self, user: &str, secret: &str) -> std::result::Result<String, Problem> {
        let sealed = self.sealing.seal(&context(user), secret);
        sealed.map_err(|error| Problem::internal(&error))
    }

    fn unseal(&self, user: &str, sealed: &str) -> std::result::Result<Opened, Problem> {
        let opened = self.sealing.open(&context(user), sealed);
        opened.map_err(|error| Problem::internal(&error))
    }

    /// Records that the step was used, and returns whether it is newer than the recorded one. A recorded step in the
    /// future was used while the clock was wrong, and does not count.
    async fn use_step(&self, user: &str, step: i64) -> Result<bool> {
        let query = "UPDATE second_factors SET last_step = $2 \
                     WHERE user_id = $1 AND kind = 'totp' AND (last_step < $2 OR last_step > $3)";
        let latest = (now() + SKEW) / STEP_SECONDS;
        let used = on_pool!(&self.database, pool => {
            let query = sqlx::query(query).bind(user).bind(step).bind(latest);
            query.execute(pool).await?.rows_affected()
        });
        Ok(used == 1)
    }

    /// Returns the step that the code belongs to.
    fn step(&self, secret: &str, code: &OneTimeCode) -> Option<i64> {
        let secret = Secret::try_from_base32(secret).ok()?;
        let time = u64::try_from(now()).ok()?;
        let step = self.totp(secret, "user")?.check(code.as_str(), time)?;
        i64::try_from(step).ok()
    }

    /// Sets up TOTP for an account. Colons are replaced, because a colon ends the name of the issuer.
    fn totp(&self, secret: Secret, account: &str) -> Option<Totp> {
        Builder::new()
            .with_secret(secret)
            .with_account_name(account.replace(':', "_"))
            .with_issuer(Some(self.issuer.replace(':', "_")))
            .build()
            .ok()
    }
}

/// Returns what a sealed secret is bound to. A row that is copied to another user cannot be opened.
fn context(user: &str) -> String {
    format!("totp of {user}")
}

/// Draws a QR code that cameras can read even if a part of it is hidden.
fn qr_code(text: &str) -> std::result::Result<Vec<String>, DataTooLong> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)?;
    let module = |x, y| if code.get_module(x, y) { '1' } else { '0' };
    let row = |y| (0..code.size()).map(|x| module(x, y)).collect();
    Ok((0..code.size()).map(row).collect())
}
