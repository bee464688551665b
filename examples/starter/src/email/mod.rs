//! Email: the texts, and how they leave the service: to a mail server, or by default to a folder.
//!
//! [`Mailer`] sends messages and [`Writer`] writes them. Needs accounts. Cannot be removed.

mod folder;
mod smtp;
mod writer;

pub(crate) use writer::Writer;

pub(crate) use folder::write_file; // chapter: sms

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};

use crate::config::dangerous;
use crate::config::{parsed, variable};
use crate::error::Error;

/// Where emails go, who they are from, and where their links lead.
#[derive(Clone)]
#[allow(missing_debug_implementations)] // the URL may contain a password
pub struct MailSettings {
    /// The mail server, `smtp://` or `smtps://`. With `None`, emails go to the folder.
    pub smtp_url: Option<String>,
    /// Whether emails may go to a server on another machine without TLS.
    pub without_tls: bool,
    /// The folder that emails are written to if there is no server, one file each.
    pub folder: PathBuf,
    /// The sender of the emails.
    pub from: Mailbox,
    /// The address at which users reach the service. Links in emails begin with it, and never with the
    /// `Host` of a request, which a client can choose freely.
    pub public_url: String,
}

/// A message to one person, in plain text.
pub(crate) struct Message {
    pub(crate) to: String,
    pub(crate) subject: &'static str,
    pub(crate) text: String,
}

/// Why a message was not sent.
#[derive(Debug)]
pub(crate) struct NotSent {
    /// Whether another attempt may succeed.
    pub(crate) again: bool,
    pub(crate) error: Error,
    /// What the operator can do about it, if that is known.
    pub(crate) cure: Option<&'static str>,
}

pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), NotSent>> + Send + 'a>>;

/// Delivers a message in the format of RFC 5322.
pub(crate) trait Mailer: Send + Sync {
    fn send(&self, message: lettre::Message) -> Sending<'_>;
}

// === impl NotSent ===

impl NotSent {
    /// Returns an error after which another attempt may succeed.
    pub(crate) fn for_now(error: impl Into<Error>) -> Self {
        Self {
            again: true,
            error: error.into(),
            cure: None,
        }
    }

    /// Returns an error after which another attempt would fail in the same way.
    pub(crate) fn for_good(error: impl Into<Error>) -> Self {
        Self {
            again: false,
            ..Self::for_now(error)
        }
    }
}

// === impl MailSettings ===

impl MailSettings {
    pub(crate) fn from_env(folder: PathBuf, public_url: String) -> Result<Self, Error> {
        let from = parsed(
            "MAIL_FROM",
            "an address, such as: Example <no-reply@example.com>",
        )?;
        Ok(Self {
            smtp_url: variable("SMTP_URL")?,
            without_tls: dangerous::without_tls()?.contains("SMTP_URL"),
            folder: variable("MAIL_FOLDER")?.map_or(folder, PathBuf::from),
            from: match from {
                Some(from) => from,
                None => "no-reply@localhost".parse()?,
            },
            public_url,
        })
    }

    /// Returns a mailer for the server if there is a URL, and for the folder otherwise.
    pub(crate) fn mailer(&self) -> Result<Arc<dyn Mailer>, Error> {
        match &self.smtp_url {
            Some(url) => Ok(Arc::new(smtp::Smtp::new(url, self.without_tls)?)),
            None => Ok(Arc::new(folder::MailFolder::new(&self.folder)?)),
        }
    }
}

/// Leaves the text unencoded if every mail server must accept it in that form (RFC 5322 section 2.1.1). Then a
/// long link stays on one line for whoever looks at the file.
fn body(text: String) -> Body {
    const MAX_LINE: usize = 998;
    if text.is_ascii() && text.lines().all(|line| line.len() <= MAX_LINE) {
        let lines = text.lines().flat_map(|line| [line, "\r\n"]);
        let lines: String = lines.collect();
        return Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

// === impl Message ===

impl Message {
    /// Converts the message to the format of RFC 5322. An address that is not valid there cannot become a
    /// header line.
    pub(crate) fn written(self, from: &Mailbox) -> Result<lettre::Message, NotSent> {
        let written = || -> Result<_, Error> {
            let message = lettre::Message::builder()
                .from(from.clone())
                .to(Mailbox::new(None, self.to.parse()?))
                .subject(self.subject)
                .message_id(None)
                .header(ContentType::TEXT_PLAIN);
            Ok(message.body(body(self.text))?)
        };
        written().map_err(NotSent::for_good)
    }
}
