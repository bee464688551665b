//! [`Refusal`]: why a login at a provider, or the linking of one, did not succeed.

use std::net::IpAddr;

use axum::http::StatusCode;

use crate::accounts::ProofError;
use crate::problem::Problem;

/// Why there is no login. A provider that is unavailable is an outage, and says nothing about the login.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The user or the provider has refused.
    Denied,
    /// No such login has begun in this browser.
    Over,
    /// The response comes from another provider than the one that was asked (RFC 9700 section 4.4).
    MixedUp,
    /// The provider does not confirm the login, or its ID token is invalid. The text is for the log.
    NotConfirmed(&'static str),
    /// The login is not linked, and the provider does not say that the address is verified.
    AddressNotVerified,
    /// The account with this address is linked to another login at this provider.
    OtherLogin,
    /// The login is linked to another account.
    Taken,
    /// The user has unlinked the login from the account.
    Unlinked,
    /// The account has to confirm its address first.
    AddressNotConfirmed,
    /// The account cannot be used: it is disabled, deleted, or was changed meanwhile.
    NoAccount(&'static str),
    /// The provider, or something that this service needs itself, is unavailable.
    Unavailable,
    /// Another problem, which was logged already.
    Other(Problem),
}

// === impl Refusal ===

impl Refusal {
    /// Returns the code for programs and for the page.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Denied => "login_denied",
            Self::Over => "login_over",
            Self::MixedUp => "wrong_provider",
            Self::NotConfirmed(_) => "login_not_confirmed",
            Self::AddressNotVerified => "address_not_verified",
            Self::OtherLogin => "other_login",
            Self::Taken => "login_taken",
            Self::Unlinked => "login_unlinked",
            Self::AddressNotConfirmed => "email_not_confirmed",
            Self::NoAccount(_) => "account_unavailable",
            Self::Unavailable => "unavailable",
            Self::Other(problem) if problem.is(StatusCode::SERVICE_UNAVAILABLE) => "unavailable",
            Self::Other(problem) if problem.is(StatusCode::TOO_MANY_REQUESTS) => {
                "too_many_requests"
            }
            Self::Other(_) => "internal",
        }
    }

    /// Logs the refusal. An outage was logged already, with its cause.
    pub(super) fn log(&self, provider: &str, ip: IpAddr) {
        let (reason, detail) = match self {
            Self::NotConfirmed(detail) | Self::NoAccount(detail) => (self.code(), Some(detail)),
            _ => (self.code(), None),
        };
        tracing::info!(event = "provider_login_refused", provider, %ip, reason, detail);
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code();
        let (status, detail) = match refusal {
            Refusal::Denied => (
                StatusCode::FORBIDDEN,
                "The login was not allowed at the provider.",
            ),
            Refusal::Over => (
                StatusCode::BAD_REQUEST,
                "This login was used already, took too long, or was started in another browser. Start again.",
            ),
            Refusal::MixedUp => (
                StatusCode::BAD_REQUEST,
                "The answer does not come from the provider that was asked. Start again.",
            ),
            Refusal::NotConfirmed(_) => (
                StatusCode::BAD_REQUEST,
                "The provider does not confirm this login. Start again.",
            ),
            Refusal::AddressNotVerified => (
                StatusCode::FORBIDDEN,
                "The provider does not say that your email address is verified. Verify it there; or log in \
                 here another way, and link this login on the account page.",
            ),
            Refusal::OtherLogin => (
                StatusCode::CONFLICT,
                "The account with your email address is linked to another login at this provider. Log in \
                 with that one, or unlink it on the account page.",
            ),
            Refusal::Taken => (
                StatusCode::CONFLICT,
                "This login is linked to another account. Unlink it from that account first.",
            ),
            Refusal::Unlinked => (
                StatusCode::FORBIDDEN,
                "This login was unlinked from its account. Log in another way, and link it again on the \
                 account page.",
            ),
            Refusal::AddressNotConfirmed => (
                StatusCode::FORBIDDEN,
                "The email address of the account is not confirmed yet: open the link in our email.",
            ),
            Refusal::NoAccount(_) => (
                StatusCode::FORBIDDEN,
                "The account cannot be used. If it was changed just now, start again.",
            ),
            Refusal::Unavailable => return Self::busy(),
            Refusal::Other(problem) => return problem,
        };
        Self::new(status, code, detail)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<ProofError> for Refusal {
    fn from(error: ProofError) -> Self {
        Self::Other(error.into())
    }
}
