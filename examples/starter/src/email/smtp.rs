//! [`Smtp`]: sends emails through a mail server.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;

use super::{Mailer, NotSent, Sending};
use crate::config::is_this_machine;
use crate::error::Error;
use crate::error::with_causes;

/// How long connecting may take. The transport waits for each response without a limit, but the outbox does not.
const TIMEOUT: Duration = Duration::from_secs(10);

const USE_TLS: &str = "start SMTP_URL with smtps:// (TLS from the start, port 465), or end it with \
                       ?tls=required (STARTTLS, port 587)";

pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    is_encrypted: bool,
}

// === impl Smtp ===

impl Smtp {
    /// Reads the URL of the server. It makes no connection yet, so the service starts even if the server is
    /// down.
    ///
    /// `smtps://` means TLS from the start. `smtp://` requires STARTTLS from a server on another machine,
    /// unless `without_tls` says that the network is safe. From a server on this machine, it requires STARTTLS
    /// only with `?tls=required`. A password is sent to another machine only over TLS.
    pub(crate) fn new(url: &str, without_tls: bool) -> Result<Self, Error> {
        // The URL is not repeated, because it may contain the password.
        let wrong = "SMTP_URL cannot be read: use the form smtps://user:password@host, \
                     smtp://user:password@host:587 or smtp://127.0.0.1:25";
        let mut url = Url::parse(url).map_err(|_| wrong)?;
        let host = url.host_str().ok_or(wrong)?.to_owned();
        let tls = url.query_pairs().find(|(name, _)| name == "tls");
        let tls = tls.map(|(_, value)| value.into_owned());
        let is_near = is_this_machine(&host);
        let is_encrypted = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) | ("smtp" | "smtps", Some("required")) => true,
            ("smtp", None) => !is_near && !without_tls,
            // The server decides, or whoever is on the way to it.
            ("smtp", Some("opportunistic")) => false,
            _ => return Err(wrong.into()),
        };
        if !is_encrypted && !is_near {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(format!(
                    "SMTP_URL would send its password unencrypted to {host}: {USE_TLS}, and \
                     remove SMTP_URL from DANGEROUS_WITHOUT_TLS"
                )
                .into());
            }
            if !without_tls {
                return Err(format!(
                    "SMTP_URL may send emails, and the links in them, unencrypted to {host}: {USE_TLS}, or, \
                     if the network is safe, set DANGEROUS_WITHOUT_TLS=SMTP_URL"
                )
                .into());
            }
        }
        if is_encrypted && url.scheme() == "smtp" {
            url.set_query(Some("tls=required"));
        }
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| wrong)?;
        Ok(Self {
            transport: transport.timeout(Some(TIMEOUT)).build(),
            is_encrypted,
        })
    }

    /// Returns what to do about an error that comes from how the server is reached, and not from the
    /// message.
    fn cure(&self, error: &SmtpError) -> Option<&'static str> {
        let text = with_causes(error).to_ascii_lowercase();
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        let is_about_tls =
            words.any(|word| matches!(word, "tls" | "starttls" | "encrypted" | "encryption"));
        match error.status().map(u16::from) {
            // RFC 3207 section 4, RFC 4954 section 6, RFC 5248 section 2.4.
            Some(523 | 530 | 538) if !self.is_encrypted => Some(
                "the server requires TLS: start SMTP_URL with smtps:// (TLS from the start, port 465), \
                 or end it with ?tls=required (STARTTLS, port 587)",
            ),
            Some(400..=599) if !self.is_encrypted && is_about_tls => Some(
                "the server may require TLS: start SMTP_URL with smtps:// (TLS from the start, port \
                 465), or end it with ?tls=required (STARTTLS, port 587)",
            ),
            Some(454) => {
                Some("the server cannot offer TLS or check passwords right now: see its log")
            }
            Some(530) => Some(
                "the server requires a login: write SMTP_URL as smtps://user:password@host, or \
                 smtp://user:password@host:587",
            ),
            Some(534 | 535) => {
                Some("the server refuses the user or password in SMTP_URL: correct them")
            }
            Some(_) => None,
            None if self.is_encrypted && text.contains("starttls is not supported") => Some(
                "STARTTLS is required from every server on another machine, and this one does not offer \
                 it: start SMTP_URL with smtps:// if it has TLS on port 465. If the network to it is safe \
                 and it needs no password, set DANGEROUS_WITHOUT_TLS=SMTP_URL",
            ),
            None if text.contains("certificate") => Some(
                "the certificate of the mail server does not match the host in SMTP_URL, or this machine does \
                 not trust its issuer: use the host name of the certificate, or set SSL_CERT_FILE to the \
                 file of your own certificate authority",
            ),
            None if text.contains("corrupt message") => Some(
                "the port does not speak TLS from the start: use port 465 with smtps://, or write smtp:// \
                 with port 587 (STARTTLS)",
            ),
            None => None,
        }
    }
}

impl Mailer for Smtp {
    fn send(&self, message: Message) -> Sending<'_> {
        Box::pin(async move {
            let Err(error) = self.transport.send(message).await else {
                tracing::info!("email sent");
                return Ok(());
            };
            let cure = self.cure(&error);
            Err(NotSent {
                // What the server refuses permanently (5xx), it refuses the next time too. But if it is
                // reached in the wrong way, the operator can correct that.
                again: cure.is_some() || !error.is_permanent(),
                error: error.into(),
                cure,
            })
        })
    }
}
