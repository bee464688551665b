//! [`Notification`]: what the service tells users, by email or SMS.

use crate::accounts::Side;
use crate::typed::Email;

/// A message to a user. Whether anybody gets it, and who, is decided outside the request. So neither the
/// response nor its time tells anything about the account.
#[derive(Clone)]
pub(crate) enum Notification {
    /// The link that confirms a registration. If the address already has a confirmed account, its owner
    /// learns that somebody has tried to register it.
    Registered { email: Email, registration: String },
    /// Another link for the registration with this id.
    ConfirmAgain(String),
    /// The link to choose a new password, if the address has an account.
    ResetPassword(Email),
    /// Tells the owner, in case somebody else has changed the password (OWASP ASVS 5.0 V6.3.7).
    PasswordChanged(Email),
    /// The link for one side of a change of the email address.
    ChangeEmail {
        to: Email,
        change: String,
        side: Side,
    },
    /// Tells the owner what has happened to the account.
    Notice { to: Email, notice: Notice },
    // chapter: social-login {
    /// A login at this provider was linked to the account.
    LoginLinked { email: Email, provider: String },
    /// A login at this provider was unlinked from the account.
    LoginUnlinked { email: Email, provider: String },
    // chapter: social-login }
    // chapter: sms {
    /// A one-time code, by SMS.
    Code { phone: String, code: String },
    // chapter: sms }
}

/// What the owner of an account is told. The address of the service follows the text.
#[derive(Clone, Copy)]
pub(crate) struct Notice {
    /// The name in the log.
    pub(crate) kind: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) text: &'static str,
}

// === impl Notification ===

impl Notification {
    /// Returns the name in the log, which must not contain the recipient.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::ConfirmAgain(_) => "confirm_again",
            Self::ResetPassword(_) => "reset_password",
            Self::PasswordChanged(_) => "password_changed",
            Self::ChangeEmail { side, .. } => match side {
                Side::New => "change_email_new",
                Side::Old => "change_email_old",
            },
            Self::Notice { notice, .. } => notice.kind,
            Self::LoginLinked { .. } => "login_linked", // chapter: social-login
            Self::LoginUnlinked { .. } => "login_unlinked", // chapter: social-login
            Self::Code { .. } => "code",                // chapter: sms
        }
    }

    /// Returns the email address, the phone number, or the id of a registration, which stands for its
    /// address.
    pub(crate) fn recipient(&self) -> &str {
        match self {
            Self::Registered { email, .. }
            | Self::ResetPassword(email)
            | Self::PasswordChanged(email)
            | Self::ChangeEmail { to: email, .. }
            | Self::Notice { to: email, .. } => email.as_str(),
            // chapter: social-login {
            Self::LoginLinked { email, .. } | Self::LoginUnlinked { email, .. } => email.as_str(),
            // chapter: social-login }
            Self::ConfirmAgain(registration) => registration,
            Self::Code { phone, .. } => phone, // chapter: sms
        }
    }

    /// Returns whether anybody who knows the address can cause this message. The other messages tell the
    /// owner what happened to the account.
    pub(crate) fn anybody_can_cause_it(&self) -> bool {
        match self {
            Self::Registered { .. } | Self::ConfirmAgain(_) | Self::ResetPassword(_) => true,
            Self::Code { .. } => true, // chapter: sms
            Self::ChangeEmail { side, .. } => *side == Side::New,
            Self::PasswordChanged(_) | Self::Notice { .. } => false,
            Self::LoginLinked { .. } | Self::LoginUnlinked { .. } => false, // chapter: social-login
        }
    }
}

impl std::fmt::Debug for Notification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}
