//! [`Postman`]: writes a message and sends it once.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use tokio::time::Instant;

use super::Notification;
use crate::email::{Mailer, NotSent, Writer};
use crate::sms::{Sms, text_of}; // chapter: sms

/// How long a written message is used for further attempts. Each new message takes one of the few links that a user
/// gets. But a link is valid for a short time, and most of that time should be left when the message arrives.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// A message in its final format, and when it was written.
pub(super) struct Written {
    message: lettre::Message,
    at: Instant,
}

/// What it takes to send a message.
pub(super) struct Postman {
    pub(super) writer: Writer,
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) sms: Arc<dyn Sms>, // chapter: sms
    pub(super) from: Mailbox,
}

// === impl Written ===

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

// === impl Postman ===

impl Postman {
    /// Tries to send once. `written` is the message of the previous attempt, and is replaced with that of
    /// this one.
    pub(super) async fn send(
        &self,
        notification: &Notification,
        written: &mut Option<Written>,
    ) -> Result<(), NotSent> {
        // chapter: sms {
        if let Notification::Code { phone, code } = notification {
            return self.sms.send(phone, &text_of(code)).await;
        }
        // chapter: sms }
        let kept = written.as_ref().filter(|kept| kept.at.elapsed() < KEPT_FOR);
        let message = if let Some(kept) = kept {
            kept.message.clone()
        } else {
            let at = Instant::now();
            let made = self.writer.write(notification).await;
            let Some(message) = made.map_err(NotSent::for_now)? else {
                return Ok(());
            };
            let message = message.written(&self.from)?;
            written.insert(Written { message, at }).message.clone()
        };
        self.mailer.send(message).await
    }
}
