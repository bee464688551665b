//! [`Letter`]: what the service writes to its users, and to whom. Change the texts here.

use sqlx::Result;

use crate::accounts::Registrations;
use crate::mail::Message;
use crate::one_time_tokens::{OneTimeTokens, Purpose};
use crate::{Email, Users};

/// What is to be written. Who gets it, and whether anybody does, is found out beside the request:
/// so its answer and its time tell nothing about the account.
#[derive(Clone)]
pub(crate) enum Letter {
    /// The link that confirms a registration. The owner of an address that is proved already is told that
    /// somebody has tried to register it.
    Registered { email: Email, registration: String },
    /// Another link for the registration with this id.
    ConfirmAgain(String),
    /// The link for a new password, if the address has an account.
    ResetPassword(Email),
    /// So that the owner knows if it was somebody else (V6.3.7).
    PasswordChanged(Email),
    /// The same, for what is asked for beside it.
    SecondFactorChanged(Email),
    /// A code, in a short message.
    Code { phone: String, code: String },
}

/// What writing takes.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) users: Users,
    pub(crate) tokens: OneTimeTokens,
    pub(crate) registrations: Registrations,
    pub(crate) public_url: String,
}

// === impl Letter ===

impl Letter {
    /// For the log: who gets it is nobody else's business.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::ConfirmAgain(_) => "confirm_again",
            Self::ResetPassword(_) => "reset_password",
            Self::PasswordChanged(_) => "password_changed",
            Self::SecondFactorChanged(_) => "second_factor_changed",
            Self::Code { .. } => "code",
        }
    }

    /// The email address, the phone number, or the id of a registration, which stands for its address.
    pub(crate) fn recipient(&self) -> &str {
        match self {
            Self::Registered { email, .. }
            | Self::ResetPassword(email)
            | Self::PasswordChanged(email)
            | Self::SecondFactorChanged(email) => email.as_str(),
            Self::ConfirmAgain(registration) => registration,
            Self::Code { phone, .. } => phone,
        }
    }

    /// Whether it takes no more than the address to cause it. The others tell the owner what
    /// happened to the account.
    pub(crate) fn anybody_can_cause_it(&self) -> bool {
        match self {
            Self::Registered { .. }
            | Self::ConfirmAgain(_)
            | Self::ResetPassword(_)
            | Self::Code { .. } => true,
            Self::PasswordChanged(_) | Self::SecondFactorChanged(_) => false,
        }
    }
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

/// What a short message says.
pub(crate) fn text_of(code: &str) -> String {
    format!("{code} is your code. It is good for 5 minutes. Tell it to nobody.")
}

// === impl Writer ===

impl Writer {
    /// The message; none if nobody is to get one.
    pub(crate) async fn write(&self, letter: &Letter) -> Result<Option<Message>> {
        let email = match letter {
            Letter::Registered { email, .. }
            | Letter::ResetPassword(email)
            | Letter::PasswordChanged(email)
            | Letter::SecondFactorChanged(email) => email.clone(),
            Letter::ConfirmAgain(registration) => {
                match self.registrations.email(registration).await? {
                    Some(email) => email,
                    None => return Ok(None),
                }
            }
            Letter::Code { .. } => return Ok(None),
        };
        let user = self.users.by_email(&email).await?;
        if user.as_ref().is_some_and(|user| user.disabled) {
            return Ok(None);
        }
        let proved = user.filter(|user| user.email_verified);
        match (letter, proved) {
            (Letter::Registered { registration, .. }, None)
            | (Letter::ConfirmAgain(registration), None) => self.confirm(registration).await,
            (Letter::ConfirmAgain(_) | Letter::Code { .. }, _) => Ok(None),
            (Letter::Registered { .. }, Some(user)) => {
                let text = "Somebody, perhaps you, has tried to register this address, which has\n\
                            an account already. Nothing has changed: log in as before. If you\n\
                            have forgotten your password, choose a new one within 15 minutes:";
                let subject = "You have an account already";
                let token = self.tokens.make(Purpose::ResetPassword, &user).await?;
                Ok(token.map(|token| self.reset(&email, subject, text, &token)))
            }
            (Letter::ResetPassword(_), proved) => {
                let token = match proved {
                    Some(user) => self.tokens.make(Purpose::ResetPassword, &user).await?,
                    // Whoever reads this proves the address with the link, and begins anew.
                    None => self.registrations.reset_link(&email).await?,
                };
                let text = "Somebody, perhaps you, has asked for a new password for your account.\n\
                            Choose it within 15 minutes:";
                Ok(token.map(|token| self.reset(&email, "Choose a new password", text, &token)))
            }
            (Letter::SecondFactorChanged(_), _) => Ok(Some(Message {
                to: email.as_str().to_owned(),
                subject: "Your second factor was changed",
                text: format!(
                    "What your account asks for beside the password was changed just now.\n\n\
                     If this was not you, choose a new password at once:\n{}/\n",
                    self.public_url
                ),
            })),
            (Letter::PasswordChanged(_), _) => Ok(Some(Message {
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
