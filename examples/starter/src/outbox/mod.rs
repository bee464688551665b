//! [`Outbox`]: emails and SMS wait here to be sent. No request waits for one.
//!
//! What waits is in memory. When the service stops, each message gets one more try within five seconds;
//! what is left then, or when the process is killed, is lost, and its user asks for another.

mod lane;
mod postman;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;

use crate::letters::{Letter, Writer};
use crate::mail::Mailer;
use crate::sms::Sms;
use lane::Lane;
use postman::Postman;
use waiting::Refused;

/// When an email is tried again. After the last of these pauses it is given up.
const EMAIL_PAUSES: &[u64] = &[1, 5, 30, 120, 600];
/// The same for an SMS: its code expires after five minutes.
const SMS_PAUSES: &[u64] = &[1, 5, 30, 120];
/// How long messages may still take when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Where messages are left to be sent; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    email: Arc<Lane>,
    sms: Arc<Lane>,
}

// === impl Outbox ===

impl Outbox {
    /// Starts the workers. Emails and SMS have workers of their own, and do not wait for each other.
    pub(crate) fn start(
        writer: Writer,
        mailer: Arc<dyn Mailer>,
        sms: Arc<dyn Sms>,
        from: Mailbox,
    ) -> Self {
        let postman = Arc::new(Postman::new(writer, mailer, sms, from));
        Self {
            email: Lane::start(Arc::clone(&postman), EMAIL_PAUSES),
            sms: Lane::start(postman, SMS_PAUSES),
        }
    }

    /// Leaves a message. It never waits, and the caller need not know whether there was room: a
    /// user whose message is lost asks for another.
    pub(crate) fn post(&self, letter: Letter) {
        let kind = letter.kind();
        let lane = match letter {
            Letter::Code { .. } => &self.sms,
            _ => &self.email,
        };
        match lane.add(letter) {
            Ok(()) => {}
            Err(Refused::TooManyForOne) => {
                tracing::warn!(
                    letter = kind,
                    "not sent: many messages already wait for this recipient"
                );
            }
            Err(Refused::Full) => {
                tracing::error!(letter = kind, "not sent: the outbox is full");
            }
        }
    }

    /// Takes no more messages, and gives those that wait one try, for a few seconds.
    pub(crate) async fn drain(&self) {
        tokio::join!(self.email.drain(DRAIN), self.sms.drain(DRAIN));
    }
}
