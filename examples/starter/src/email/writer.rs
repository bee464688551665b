//! [`Writer`]: the emails to users, and who gets them. Change the texts here.

use sqlx::Result;

use super::Message;
use crate::accounts::{OneTimeTokens, Purpose, Registrations, Users};
use crate::outbox::Notification;
use crate::typed::Email;

/// Writes emails.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) users: Users,
    pub(crate) tokens: OneTimeTokens,
    pub(crate) registrations: Registrations,
    pub(crate) public_url: String,
}

// === impl Writer ===

impl Writer {
    /// Writes the email. Returns `None` if nobody is to get one.
    pub(crate) async fn write(&self, notification: &Notification) -> Result<Option<Message>> {
        let email = match notification {
            Notification::Registered { email, .. }
            | Notification::ResetPassword(email)
            | Notification::PasswordChanged(email) => email.clone(),
            Notification::SecondFactorChanged(email) => email.clone(), // chapter: second-factor
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
                let text = "Somebody, perhaps you, has tried to register this address, which has\n\
                            an account already. Nothing has changed: log in as before. If you\n\
                            have forgotten your password, choose a new one within 15 minutes:";
                let subject = "You have an account already";
                let token = self.tokens.make(Purpose::ResetPassword, &user).await?;
                Ok(token.map(|token| self.reset(&email, subject, text, &token)))
            }
            (Notification::ResetPassword(_), proved) => {
                let token = match proved {
                    Some(user) => self.tokens.make(Purpose::ResetPassword, &user).await?,
                    // Whoever reads this proves the address with the link, and begins anew.
                    None => self.registrations.reset_link(&email).await?,
                };
                let text = "Somebody, perhaps you, has asked for a new password for your account.\n\
                            Choose it within 15 minutes:";
                Ok(token.map(|token| self.reset(&email, "Choose a new password", text, &token)))
            }
            // chapter: second-factor {
            (Notification::SecondFactorChanged(_), _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "Your second factor was changed",
                text: format!(
                    "What your account asks for beside the password was changed just now.\n\n\
                     If this was not you, choose a new password at once:\n{}/\n",
                    self.public_url
                ),
            })),
            // chapter: second-factor }
            // chapter: social-login {
            (Notification::LoginLinked { provider, .. }, _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "A login was linked to your account",
                text: format!(
                    "Your account can be used with your login at {provider} from now on.\n\n\
                     If this was not you, choose a new password and unlink it at once:\n{}/\n",
                    self.public_url
                ),
            })),
            (Notification::LoginUnlinked { provider, .. }, _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "A login was unlinked from your account",
                text: format!(
                    "Your account cannot be used with your login at {provider} any more.\n\n\
                     If this was not you, choose a new password at once:\n{}/\n",
                    self.public_url
                ),
            })),
            // chapter: social-login }
            (Notification::PasswordChanged(_), _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "Your password was changed",
                text: format!(
                    "The password of your account was changed just now.\n\n\
                     If this was not you, choose a new one at once:\n{}/\n",
                    self.public_url
                ),
            })),
        }
    }

    /// The token is behind a `#`: a browser keeps that to itself, so that it is in no log of a
    /// server and in no `Referer`.
    async fn confirm(&self, registration: &str) -> Result<Option<Message>> {
        let link = self.registrations.link(registration).await?;
        Ok(link.map(|(token, email)| Message {
            text: format!(
                "Somebody, perhaps you, has registered an account with this address.\n\n\
                 If it was you, open this page within 24 hours, and press the button there\n\
                 to confirm that the address is yours:\n\n\
                 {}/#confirm-email={token}\n\n\
                 If you have not registered, ignore this message. Never confirm a\n\
                 registration that you did not make: whoever made it knows the password.\n",
                self.public_url
            ),
            to: email.as_str().to_owned(),
            subject: "Please confirm your address",
        }))
    }

    fn reset(&self, to: &Email, subject: &'static str, text: &str, token: &str) -> Message {
        Message {
            text: format!(
                "{text}\n\n{}/#reset-password={token}\n\nIf this was not you, do nothing.\n",
                self.public_url
            ),
            to: to.as_str().to_owned(),
            subject,
        }
    }
}
