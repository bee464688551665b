//! [`Smtp`]: messages go to a server.

use std::time::Duration;

use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::{Mailer, NotSent, Sending};
use crate::Error;

/// How long the server may take for each of its answers.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

// === impl Smtp ===

impl Smtp {
    /// `smtps://` is TLS from the start, `smtp://...?tls=required` asks for it, and `smtp://`
    /// goes without. No connection is made yet: the service starts while the server is away.
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        // What cannot be read is not repeated: it may hold the password.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(
            |_| "SMTP_URL cannot be read: smtps://user:password@host, or smtp://host:25",
        )?;
        Ok(Self(transport.timeout(Some(TIMEOUT)).build()))
    }
}

impl Mailer for Smtp {
    fn send(&self, message: Message) -> Sending<'_> {
        Box::pin(async move {
            match self.0.send(message).await {
                Ok(_) => {
                    tracing::info!("e-mail sent");
                    Ok(())
                }
                // What the server refuses for good (5xx) it refuses the next time too.
                Err(error) => Err(NotSent {
                    again: !error.is_permanent(),
                    error: error.into(),
                }),
            }
        })
    }
}
