//! [`SmsLimits`]: limits on how many codes are sent, because each costs money.

use std::time::Duration;

use sqlx::Result;

use super::SmsPurpose;
use crate::limits::{Quota, Quotas};

const QUARTER: i64 = 15 * 60;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// The limits for an account, for a phone number, and for the whole service.
///
/// Anybody with an account can ask for a code to any phone number. So codes that confirm a number have
/// limits of their own: they cannot use up what logins need, neither for the number nor for the service.
#[derive(Debug, Clone)]
pub(crate) struct SmsLimits {
    quotas: Quotas,
    per_day: i64,
}

// === impl SmsLimits ===

impl SmsLimits {
    /// Allows `per_day` codes a day for the whole service. New numbers get at most half of them.
    pub(crate) fn new(quotas: Quotas, per_day: u32) -> Self {
        Self {
            quotas,
            per_day: per_day.into(),
        }
    }

    /// Counts a code. If it must not be sent, returns how long to wait.
    ///
    /// Narrow limits come first, so that whoever has reached one does not use up the wider ones.
    pub(crate) async fn take(
        &self,
        user: &str,
        phone: &str,
        purpose: SmsPurpose,
    ) -> Result<Option<Duration>> {
        let quota = |kind, of, limit, window| Quota {
            kind,
            of,
            limit,
            window,
        };
        let narrow = match purpose {
            SmsPurpose::Enrol => [
                quota("sms_enrol_account_quarter", user, 5, QUARTER),
                quota("sms_enrol_account_day", user, 10, DAY),
                quota("sms_enrol_number_hour", phone, 5, HOUR),
                quota("sms_enrol_number_day", phone, 10, DAY),
            ],
            SmsPurpose::Login => [
                quota("sms_login_account_quarter", user, 5, QUARTER),
                quota("sms_login_account_day", user, 30, DAY),
                quota("sms_login_number_hour", phone, 10, HOUR),
                quota("sms_login_number_day", phone, 30, DAY),
            ],
        };
        for quota in narrow {
            if let Some(wait) = self.quotas.take(quota).await? {
                return Ok(Some(wait));
            }
        }
        let half = (self.per_day / 2).max(1);
        let enrol = quota("sms_enrol_service_day", "", half, DAY);
        let all = quota("sms_service_day", "", self.per_day, DAY);
        let wide = match purpose {
            SmsPurpose::Enrol => &[enrol, all][..],
            SmsPurpose::Login => &[all],
        };
        for quota in wide {
            if let Some(wait) = self.quotas.take(*quota).await? {
                let (kind, limit) = (quota.kind, quota.limit);
                tracing::error!(
                    kind,
                    limit,
                    "no SMS is sent: the daily limit is reached; raise SMS_PER_DAY if this is not abuse"
                );
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }
}
