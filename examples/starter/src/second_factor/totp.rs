//! Codes of an app: RFC 6238, with 30 seconds, six digits and SHA-1, which all apps know.

use qrcodegen::{DataTooLong, QrCode, QrCodeEcc};
use serde::Serialize;
use sqlx::Result;
use totp_rs::{Builder, Secret, Totp};

use super::{Factors, Method};
use crate::User;
use crate::database::on_pool;
use crate::problem::Problem;
use crate::times::{SKEW, now};
use crate::typed::OneTimeCode;

/// How long a code is the present one.
const STEP_SECONDS: i64 = 30;

/// What an app needs. It is shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Enrolment {
    /// For typing: 160 random bits in base 32.
    secret: String,
    /// What the QR code holds.
    otpauth_uri: String,
    /// The QR code, row by row: `1` is dark. It needs a light border four wide.
    qr_code: Vec<String>,
}

// === impl Factors ===

impl Factors {
    /// A new secret, which counts once a code has confirmed it; none if there is one that counts.
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
        let kept = self.propose(&user.id, Method::Totp, &enrolment.secret);
        Ok(kept.await?.then_some(enrolment))
    }

    /// The proposed secret, if this is a code of it, which is used up by that.
    pub(crate) async fn take_proposed(
        &self,
        user: &str,
        code: &OneTimeCode,
    ) -> Result<Option<String>> {
        let Some(secret) = self.proposed(user, Method::Totp).await? else {
            return Ok(None);
        };
        match self.step(&secret, code) {
            Some(step) => Ok(self.use_step(user, step).await?.then_some(secret)),
            None => Ok(None),
        }
    }

    /// A code is good for its 30 seconds and those before and after, and once: a step that was used,
    /// or one before it, does not come again (RFC 6238 section 5.2).
    pub(super) async fn take_totp(&self, user: &str, code: &OneTimeCode) -> Result<bool> {
        let query = "SELECT secret FROM second_factors \
                     WHERE user_id = $1 AND kind = 'totp' AND confirmed";
        let secret: Option<String> = on_pool!(&self.database, pool => {
            sqlx::query_scalar(query).bind(user).fetch_optional(pool).await?
        });
        match secret.and_then(|secret| self.step(&secret, code)) {
            Some(step) => self.use_step(user, step).await,
            None => Ok(false),
        }
    }

    /// A step that lies in the future was used by a clock that was wrong.
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

    /// The step that the code belongs to.
    fn step(&self, secret: &str, code: &OneTimeCode) -> Option<i64> {
        let secret = Secret::try_from_base32(secret).ok()?;
        let time = u64::try_from(now()).ok()?;
        let step = self.totp(secret, "user")?.check(code.as_str(), time)?;
        i64::try_from(step).ok()
    }

    /// A colon would end the name.
    fn totp(&self, secret: Secret, account: &str) -> Option<Totp> {
        Builder::new()
            .with_secret(secret)
            .with_account_name(account.replace(':', "_"))
            .with_issuer(Some(self.issuer.replace(':', "_")))
            .build()
            .ok()
    }
}
/// What a camera reads, though a part of it is hidden.
fn qr_code(text: &str) -> std::result::Result<Vec<String>, DataTooLong> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)?;
    let module = |x, y| if code.get_module(x, y) { '1' } else { '0' };
    let row = |y| (0..code.size()).map(|x| module(x, y)).collect();
    Ok((0..code.size()).map(row).collect())
}
