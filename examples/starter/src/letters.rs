//! [`Letter`]: what the service writes to its users, and to whom. Change the texts here.

use sqlx::Result;

use crate::mail::Message;
use crate::one_time_tokens::{OneTimeTokens, Purpose};
use crate::{Email, User, Users};

/// What is to be written. Who gets it, and whether anybody does, is found out beside the request:
/// so its answer and its time tell nothing about the account.
#[derive(Clone)]
pub(crate) enum Letter {
    /// The link that confirms the address, unless it is confirmed.
    ConfirmEmail(Email),
    /// Somebody has tried to register an address that has an account.
    AlreadyRegistered(Email),
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
    pub(crate) public_url: String,
}

// === impl Letter ===

impl Letter {
    /// For the log: who gets it is nobody else's business.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::ConfirmEmail(_) => "confirm_email",
            Self::AlreadyRegistered(_) => "already_registered",
            Self::ResetPassword(_) => "reset_password",
            Self::PasswordChanged(_) => "password_changed",
            Self::SecondFactorChanged(_) => "second_factor_changed",
            Self::Code { .. } => "code",
        }
    }

    /// The email address, or the phone number.
    pub(crate) fn recipient(&self) -> &str {
        match self {
            Self::ConfirmEmail(email)
            | Self::AlreadyRegistered(email)
            | Self::ResetPassword(email)
            | Self::PasswordChanged(email)
            | Self::SecondFactorChanged(email) => email.as_str(),
            Self::Code { phone, .. } => phone,
        }
    }

    /// Whether it takes no more than the address to cause it. The others tell the owner what
    /// happened to the account.
    pub(crate) fn anybody_can_cause_it(&self) -> bool {
        match self {
            Self::ConfirmEmail(_)
            | Self::AlreadyRegistered(_)
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
        let (Letter::ConfirmEmail(email)
        | Letter::AlreadyRegistered(email)
        | Letter::ResetPassword(email)
        | Letter::PasswordChanged(email)
        | Letter::SecondFactorChanged(email)) = letter
        else {
            return Ok(None);
        };
        let Some(user) = self.users.by_email(email).await? else {
            return Ok(None);
        };
        if user.disabled {
            return Ok(None);
        }
        match letter {
            Letter::ConfirmEmail(_) if user.email_verified => Ok(None),
            Letter::ConfirmEmail(_) => self.confirm(user).await,
            Letter::AlreadyRegistered(_) if !user.email_verified => self.confirm(user).await,
            Letter::AlreadyRegistered(_) => {
                let text = "Somebody, perhaps you, has tried to register this address, which has\n\
                            an account already. Nothing has changed: log in as before. If you\n\
                            have forgotten your password, choose a new one within 15 minutes:";
                self.reset(user, "You have an account already", text).await
            }
            Letter::ResetPassword(_) => {
                let text = "Somebody, perhaps you, has asked for a new password for your account.\n\
                            Choose it within 15 minutes:";
                self.reset(user, "Choose a new password", text).await
            }
            Letter::Code { .. } => Ok(None),
            Letter::SecondFactorChanged(_) => Ok(Some(Message {
                to: user.email,
                subject: "Your second factor was changed",
                text: format!(
                    "What your account asks for beside the password was changed just now.\n\n\
                     If this was not you, choose a new password at once:\n{}/\n",
                    self.public_url
                ),
            })),
            Letter::PasswordChanged(_) => Ok(Some(Message {
                to: user.email,
                subject: "Your password was changed",
                text: format!(
                    "The password of your account was changed just now.\n\n\
                     If this was not you, choose a new one at once:\n{}/\n",
                    self.public_url
                ),
            })),
        }
    }

    async fn confirm(&self, user: User) -> Result<Option<Message>> {
        let token = self.tokens.make(Purpose::ConfirmEmail, &user).await?;
        Ok(token.map(|token| Message {
            text: format!(
                "Please confirm that this address is yours, within 24 hours:\n\n\
                 {}/#confirm-email={token}\n\n\
                 If you have not registered, do nothing.\n",
                self.public_url
            ),
            to: user.email,
            subject: "Please confirm your address",
        }))
    }

    /// The token is behind a `#`: a browser keeps that to itself, so that it is in no log of a
    /// server and in no `Referer`.
    async fn reset(
        &self,
        user: User,
        subject: &'static str,
        text: &'static str,
    ) -> Result<Option<Message>> {
        let token = self.tokens.make(Purpose::ResetPassword, &user).await?;
        Ok(token.map(|token| Message {
            text: format!(
                "{text}\n\n{}/#reset-password={token}\n\nIf this was not you, do nothing.\n",
                self.public_url
            ),
            to: user.email,
            subject,
        }))
    }
}
