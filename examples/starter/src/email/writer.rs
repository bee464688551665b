//! [`Writer`]: writes the emails to users. Change the texts here.

use sqlx::Result;

use super::Message;
use crate::accounts::{
    ChangeLink, EmailChanges, OneTimeTokens, Purpose, Registrations, Side, Users,
};
use crate::outbox::Notification;
use crate::typed::Email;

/// Writes emails, and decides who gets them.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) users: Users,
    pub(crate) tokens: OneTimeTokens,
    pub(crate) registrations: Registrations,
    pub(crate) email_changes: EmailChanges,
    pub(crate) public_url: String,
}

// === impl Writer ===

impl Writer {
    /// Writes the email. Returns `None` if nobody should get one.
    pub(crate) async fn write(&self, notification: &Notification) -> Result<Option<Message>> {
        let email = match notification {
            Notification::Registered { email, .. }
            | Notification::ResetPassword(email)
            | Notification::PasswordChanged(email)
            | Notification::ChangeEmail { to: email, .. }
            | Notification::Notice { to: email, .. } => email.clone(),
            // chapter: social-login {
            Notification::LoginLinked { email, .. } | Notification::LoginUnlinked { email, .. } => {
                email.clone()
            }
            // chapter: social-login }
            Notification::ConfirmAgain(registration) => {
                match self.registrations.email(registration).await? {
                    Some(email) => email,
                    None => return Ok(None),
                }
            }
            Notification::Code { .. } => return Ok(None), // chapter: sms
        };
        let user = self.users.by_email(&email).await?;
        if user.as_ref().is_some_and(|user| user.disabled) {
            return Ok(None);
        }
        let proved = user.filter(|user| user.email_verified);
        match (notification, proved) {
            (Notification::Registered { registration, .. }, None)
            | (Notification::ConfirmAgain(registration), None) => self.confirm(registration).await,
            (Notification::ConfirmAgain(_), Some(_)) => Ok(None),
            (Notification::Code { .. }, _) => Ok(None), // chapter: sms
            (Notification::Registered { .. }, Some(user)) => {
                let text = "Somebody, perhaps you, has tried to register this email address. It\n\
                            already has an account, so nothing has changed: log in as before. If\n\
                            you have forgotten your password, choose a new one within 15 minutes:";
                let subject = "You already have an account";
                let token = self.tokens.make(Purpose::ResetPassword, &user).await?;
                Ok(token.map(|token| self.reset(&email, subject, text, &token)))
            }
            (Notification::ResetPassword(_), proved) => {
                let token = match proved {
                    Some(user) => self.tokens.make(Purpose::ResetPassword, &user).await?,
                    // Whoever reads the email proves the address with the link, and gets a new account.
                    None => self.registrations.reset_link(&email).await?,
                };
                let text = "Somebody, perhaps you, has asked for a new password for your account.\n\
                            Open this page within 15 minutes to choose one:";
                Ok(token.map(|token| self.reset(&email, "Choose a new password", text, &token)))
            }
            (Notification::ChangeEmail { change, side, .. }, _) => {
                let link = self.email_changes.link(change, *side).await?;
                Ok(link.map(|link| self.change_email(&email, *side, link)))
            }
            (Notification::Notice { notice, .. }, _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: notice.subject,
                text: format!("{}\n{}/\n", notice.text, self.public_url),
            })),
            // chapter: social-login {
            (Notification::LoginLinked { provider, .. }, _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "A login was linked to your account",
                text: format!(
                    "From now on you can log in here with your account at {provider}.\n\n\
                     If this was not you, choose a new password and unlink it at once:\n{}/\n",
                    self.public_url
                ),
            })),
            (Notification::LoginUnlinked { provider, .. }, _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "A login was unlinked from your account",
                text: format!(
                    "You can no longer log in here with your account at {provider}.\n\n\
                     If this was not you, choose a new password at once:\n{}/\n",
                    self.public_url
                ),
            })),
            // chapter: social-login }
            (Notification::PasswordChanged(_), _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "Your password was changed",
                text: format!(
                    "The password of your account has just been changed.\n\n\
                     If this was not you, choose a new one at once:\n{}/\n",
                    self.public_url
                ),
            })),
        }
    }

    /// Writes the email that confirms a registration. The token comes after a `#`. Browsers do not send
    /// that part, so it is in no server's log and in no `Referer`.
    async fn confirm(&self, registration: &str) -> Result<Option<Message>> {
        let link = self.registrations.link(registration).await?;
        Ok(link.map(|(token, email)| Message {
            text: format!(
                "Somebody, perhaps you, has registered an account with this email address.\n\n\
                 If it was you, open this page within 24 hours and press the button to confirm\n\
                 that the address is yours:\n\n\
                 {}/#confirm-email={token}\n\n\
                 If you have not registered, ignore this email. Never confirm a registration\n\
                 that you did not make: whoever made it knows the password.\n",
                self.public_url
            ),
            to: email.as_str().to_owned(),
            subject: "Please confirm your email address",
        }))
    }

    fn change_email(&self, to: &Email, side: Side, link: ChangeLink) -> Message {
        let url = &self.public_url;
        let (subject, text) = match (side, link) {
            (_, ChangeLink::Taken) => (
                "You already have an account",
                "Somebody, perhaps you, wants to use this email address for another account. It\n\
                 already has an account, and an address can have only one, so nothing happens.\n"
                    .to_owned(),
            ),
            (Side::New, ChangeLink::Made { token, .. }) => (
                "Please confirm your new email address",
                format!(
                    "Somebody, perhaps you, wants to use this email address for an account.\n\n\
                     If it was you, open this page within 24 hours and press the button to\n\
                     confirm that the address is yours:\n\n\
                     {url}/#new-email={token}\n\n\
                     The link in our email to your old address has to be confirmed as well.\n\n\
                     If this was not you, ignore this email.\n"
                ),
            ),
            (Side::Old, ChangeLink::Made { token, new_email }) => (
                "Please confirm the change of your email address",
                format!(
                    "Somebody, perhaps you, wants to change the email address of your account to\n\n\
                     {}\n\n\
                     Open this page within 24 hours to allow the change or to stop it:\n\n\
                     {url}/#old-email={token}\n\n\
                     If this was not you, stop the change and choose a new password at once:\n\
                     whoever asked for it was able to log in to your account.\n",
                    new_email.as_str()
                ),
            ),
        };
        Message {
            to: to.as_str().to_owned(),
            subject,
            text,
        }
    }

    fn reset(&self, to: &Email, subject: &'static str, text: &str, token: &str) -> Message {
        Message {
            text: format!(
                "{text}\n\n{}/#reset-password={token}\n\nIf this was not you, ignore this email.\n",
                self.public_url
            ),
            to: to.as_str().to_owned(),
            subject,
        }
    }
}
