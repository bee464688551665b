//! [`Smtp`]: messages go to a server.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;

use super::{Mailer, NotSent, Sending};
use crate::config::is_this_machine;
use crate::error::Error;
use crate::error::with_causes;

/// How long the server may take for each of its answers.
const TIMEOUT: Duration = Duration::from_secs(10);

const USE_TLS: &str = "let SMTP_URL begin with smtps:// (TLS from the start, port 465), or end it with \
                       ?tls=required (STARTTLS, port 587)";

pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    is_encrypted: bool,
}

// === impl Smtp ===

impl Smtp {
    /// `smtps://` is TLS from the start. `smtp://` demands STARTTLS of a server on another machine, unless
    /// `without_tls` says that the network is safe, and of one on this machine with `?tls=required`. A
    /// password goes to another machine over TLS or not at all. No connection is made yet: the service starts
    /// while the server is away.
    pub(crate) fn new(url: &str, without_tls: bool) -> Result<Self, Error> {
        // What cannot be read is not repeated: it may hold the password.
        let wrong = "SMTP_URL cannot be read: smtps://user:password@host, smtp://user:password@host:587 or \
                     smtp://127.0.0.1:25";
        let mut url = Url::parse(url).map_err(|_| wrong)?;
        let host = url.host_str().ok_or(wrong)?.to_owned();
        let tls = url.query_pairs().find(|(name, _)| name == "tls");
        let tls = tls.map(|(_, value)| value.into_owned());
        let is_near = is_this_machine(&host);
        let is_encrypted = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) | ("smtp" | "smtps", Some("required")) => true,
            ("smtp", None) => !is_near && !without_tls,
            // The server, or whoever is on the way to it, decides.
            ("smtp", Some("opportunistic")) => false,
            _ => return Err(wrong.into()),
        };
        if !is_encrypted && !is_near {
            if !url.username().is_empty() || url.password().is_some() {
                return Err(format!(
                    "SMTP_URL would send its password unencrypted to {host}: {USE_TLS}, and take SMTP_URL \
                     out of DANGEROUS_WITHOUT_TLS"
                )
                .into());
            }
            if !without_tls {
                return Err(format!(
                    "SMTP_URL may send emails, and the links in them, unencrypted to {host}: {USE_TLS}; or, \
                     where the network is safe, set DANGEROUS_WITHOUT_TLS=SMTP_URL"
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

    /// What to do about an error that comes from how the server is reached, and not from the message.
    fn cure(&self, error: &SmtpError) -> Option<&'static str> {
        let text = with_causes(error).to_ascii_lowercase();
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        let is_about_tls =
            words.any(|word| matches!(word, "tls" | "starttls" | "encrypted" | "encryption"));
        match error.status().map(u16::from) {
            // RFC 3207 section 4, RFC 4954 section 6, RFC 5248 section 2.4.
            Some(523 | 530 | 538) if !self.is_encrypted => Some(
                "the server demands TLS: let SMTP_URL begin with smtps:// (TLS from the start, port 465), \
                 or end it with ?tls=required (STARTTLS, port 587)",
            ),
            Some(400..=599) if !self.is_encrypted && is_about_tls => Some(
                "the server may demand TLS: let SMTP_URL begin with smtps:// (TLS from the start, port \
                 465), or end it with ?tls=required (STARTTLS, port 587)",
            ),
            Some(454) => Some(
                "the server can offer no TLS, or check no password, right now: see what its log says",
            ),
            Some(530) => Some(
                "the server demands a login: write SMTP_URL as smtps://user:password@host, or \
                 smtp://user:password@host:587",
            ),
            Some(534 | 535) => {
                Some("the server does not accept the user and password of SMTP_URL: correct them")
            }
            Some(_) => None,
            None if self.is_encrypted && text.contains("starttls is not supported") => Some(
                "STARTTLS is demanded of every server on another machine, and this one does not offer it: let \
                 SMTP_URL begin with smtps:// if it has TLS on port 465; or, where the network to it is safe \
                 and it needs no password, set DANGEROUS_WITHOUT_TLS=SMTP_URL",
            ),
            None if text.contains("certificate") => Some(
                "the certificate of the mail server is not one for the host in SMTP_URL by an authority \
                 that this machine knows: write the host as in the certificate, or name the file of your \
                 own authority in SSL_CERT_FILE",
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
                tracing::info!("e-mail sent");
                return Ok(());
            };
            let cure = self.cure(&error);
            Err(NotSent {
                // What the server refuses for good (5xx) it refuses the next time too; but where it is
                // reached in a wrong way, somebody can mend that.
                again: cure.is_some() || !error.is_permanent(),
                error: error.into(),
                cure,
            })
        })
    }
}
