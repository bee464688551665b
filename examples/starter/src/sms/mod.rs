//! One-time codes by SMS as a second factor: the gateway that sends them, and limits on how many are sent.
//!
//! Needs the chapter `second-factor`. To remove it: `./chapters remove sms` (see `docs/removing.md`).

mod codes;
mod gateway;
mod limits;
mod routes;

pub(crate) use codes::{SmsCodes, SmsPurpose};
pub use gateway::SmsSettings;
pub(crate) use gateway::{Sms, text_of};
pub(crate) use limits::SmsLimits;

use std::time::Duration;

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::User;
use crate::app::{App, RequireToken};
use crate::operations::digest;
use crate::outbox::{Notification, Outbox};
use crate::problem::Problem;

/// Sends codes within the limits.
#[derive(Debug, Clone)]
pub(crate) struct SmsSender {
    pub(crate) codes: SmsCodes,
    /// `None` if this service sends no SMS.
    pub(crate) limits: Option<SmsLimits>,
    pub(crate) outbox: Outbox,
}

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    let with_token = OpenApiRouter::new()
        .routes(routes!(routes::add))
        .routes(routes!(routes::confirm))
        .routes(routes!(routes::send_to_caller))
        .route_layer(token.clone());
    OpenApiRouter::new()
        .routes(routes!(routes::send_for_login))
        .merge(with_token)
}

// === impl SmsSender ===

impl SmsSender {
    /// Returns the limits for this user. An account whose address is not confirmed costs nothing to make,
    /// and would get around every limit for accounts.
    fn limits_for(&self, user: &User) -> Result<&SmsLimits, Problem> {
        let Some(limits) = &self.limits else {
            let detail = "This service does not send codes by SMS. Use an authenticator app.";
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "sms_not_offered",
                detail,
            ));
        };
        if !user.email_verified {
            let detail = "Confirm your email address first: open the link in our email.";
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "email_not_confirmed",
                detail,
            ));
        }
        Ok(limits)
    }

    /// Sends a code by SMS, within the limits.
    async fn send_code(
        &self,
        user: &User,
        phone: String,
        purpose: SmsPurpose,
    ) -> Result<(), Problem> {
        let detail = "Too many codes were sent. `Retry-After` says when to ask again.";
        let limits = self.limits_for(user)?;
        if let Some(wait) = limits.take(&user.id, &phone, purpose).await? {
            tracing::warn!(event = "sms_limited", user = digest(&user.id));
            return Err(Problem::too_many(detail, wait));
        }
        let Some(code) = self.codes.make(&user.id, purpose).await? else {
            let wait = Duration::from_secs(codes::WINDOW_SECONDS.unsigned_abs());
            return Err(Problem::too_many(detail, wait));
        };
        self.outbox.post(Notification::Code { phone, code });
        Ok(())
    }
}
