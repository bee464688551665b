//! [`Outbox`]: emails and SMS that wait to be sent, so that no request waits for them.
//!
//! Messages wait in memory. When the service stops, each of them gets one more attempt, within five seconds
//! altogether. Those that fail then, or that wait when the process is killed, are lost, and users ask for
//! them again. Needs email. Cannot be removed.

mod lane;
mod notification;
mod postman;
mod waiting;

pub(crate) use notification::{Notice, Notification};

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;

use crate::accounts::User;
use crate::email::{Mailer, Writer};
use crate::sms::Sms; // chapter: sms
use lane::Lane;
use postman::Postman;
use waiting::Refused;

/// The pauses before an email is tried again, in seconds. After the last attempt it is given up.
const EMAIL_PAUSES: &[u64] = &[1, 5, 30, 120, 600];
// chapter: sms {
/// The pauses before an SMS is tried again, in seconds. Its code expires after five minutes.
const SMS_PAUSES: &[u64] = &[1, 5, 30, 120];
// chapter: sms }
/// How long sending may still take when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Takes the messages to be sent. Clones share the queues.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    email: Arc<Lane>,
    sms: Arc<Lane>, // chapter: sms
}

// === impl Outbox ===

impl Outbox {
    /// Starts the workers. Each kind of message has workers of its own, so that none waits for another
    /// kind.
    pub(crate) fn start(
        writer: Writer,
        mailer: Arc<dyn Mailer>,
        sms: Arc<dyn Sms>, // chapter: sms
        from: Mailbox,
    ) -> Self {
        let postman = Arc::new(Postman {
            writer,
            mailer,
            sms, // chapter: sms
            from,
        });
        Self {
            sms: Lane::start(Arc::clone(&postman), SMS_PAUSES), // chapter: sms
            email: Lane::start(postman, EMAIL_PAUSES),
        }
    }

    /// Adds a message. It never waits, and does not tell whether there was room: a user whose message is
    /// lost can ask for another.
    pub(crate) fn post(&self, notification: Notification) {
        let kind = notification.kind();
        let lane = match notification {
            Notification::Code { .. } => &self.sms, // chapter: sms
            _ => &self.email,
        };
        match lane.add(notification) {
            Ok(()) => {}
            Err(Refused::TooManyForOne) => {
                tracing::warn!(
                    notification = kind,
                    "not sent: many messages already wait for this recipient"
                );
            }
            Err(Refused::Full) => {
                tracing::error!(notification = kind, "not sent: the outbox is full");
            }
        }
    }

    /// Tells the owner of an account what has happened to it. An address that is not proved gets nothing,
    /// because it may belong to somebody else.
    pub(crate) fn tell(&self, user: &User, notice: Notice) {
        if user.email_verified {
            let to = user.address();
            self.post(Notification::Notice { to, notice });
        }
    }

    /// Takes no more messages, and tries to send the waiting ones once, for a few seconds.
    pub(crate) async fn drain(&self) {
        tokio::join!(
            self.email.drain(DRAIN),
            self.sms.drain(DRAIN), // chapter: sms
        );
    }
}
