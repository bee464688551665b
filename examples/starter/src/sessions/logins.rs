//! [`Logins`]: what all ways to log in have in common, from the limits to the session.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::password::{PasswordHash, Verification};
use utoipa::ToSchema;

use super::Client;
use super::transport::Tokens;
use crate::accounts::{User, Users};
use crate::limits::{Attempts, Source};
use crate::operations::{digest, events};
use crate::passwords::Passwords;
use crate::problem::Problem;
use crate::second_factor::{CHALLENGE_SECONDS, Factors, Method}; // chapter: second-factor
use crate::typed::Email;

/// Opens sessions for users who have proved who they are.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    pub(crate) attempts: Attempts,
    pub(crate) passwords: Passwords,
    pub(crate) sessions: Sessions,
    pub(crate) users: Users,
    pub(crate) factors: Factors, // chapter: second-factor
    /// Whether only users with a confirmed email address may log in.
    pub(crate) require_verified_email: bool,
}

/// The response to the first factor of a login.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LoginAnswer {
    Tokens(Tokens),
    // chapter: second-factor {
    /// A second factor is needed, by one of these methods.
    Challenge {
        challenge: String,
        methods: Vec<Method>,
        /// The lifetime of the challenge, in seconds.
        expires_in: i64,
    },
    // chapter: second-factor }
}

// === impl Logins ===

impl Logins {
    /// Logs in with a password. Everything that can be wrong gets the same response, after the same work.
    pub(super) async fn by_password(
        &self,
        client: &Client,
        email: &Email,
        password: &str,
    ) -> Result<LoginAnswer, Problem> {
        let source = Source::Address(client.ip);
        let attempt = self.attempts.begin(email.as_str(), source).await?;
        let user = self.users.by_email(email).await?;
        let verified = self.passwords.verify_user(password, user.as_ref()).await?;
        let (Verification::Match { rehash }, Some(user)) = (&verified, &user) else {
            let reason = match user {
                Some(_) => "wrong_password",
                None => "unknown_account",
            };
            events::login_failed(email.as_str(), user.as_ref(), client.ip, reason);
            return Err(self.refused());
        };
        if let Some(reason) = self.barred(user) {
            events::login_failed(email.as_str(), Some(user), client.ip, reason);
            return Err(self.refused());
        }
        attempt.succeeded().await?;
        if let Some(new) = rehash {
            self.replace_hash(user, new).await;
        }
        self.proceed(user, client, &["pwd"]).await
    }

    /// Continues after the first factor: asks for the second one if the user has one, and opens the session
    /// otherwise. `amr` says how the first factor was proved (RFC 8176).
    pub(crate) async fn proceed(
        &self,
        user: &User,
        client: &Client,
        amr: &[&str],
    ) -> Result<LoginAnswer, Problem> {
        // chapter: second-factor {
        let methods = self.factors.methods(&user.id).await?;
        if !methods.is_empty() {
            return Ok(LoginAnswer::Challenge {
                challenge: self.factors.challenges.make(user, amr).await?,
                methods,
                expires_in: CHALLENGE_SECONDS,
            });
        }
        // chapter: second-factor }
        let pair = self.open(user, client, amr).await?;
        Ok(LoginAnswer::Tokens(client.transport.deliver(pair)?))
    }

    /// Opens the session of a user who has proved everything that is needed.
    pub(crate) async fn open(
        &self,
        user: &User,
        client: &Client,
        amr: &[&str],
    ) -> Result<TokenPair, Problem> {
        let mut session = self
            .sessions
            .open(&user.id)
            .client(client.mark())
            .dpop(client.proof.as_ref())
            .scopes(user.scopes.split_whitespace())
            .claims(json!({
                "email": user.email,
                "email_verified": user.email_verified,
                "amr": amr,
            }));
        if let Some(label) = client.label() {
            session = session.label(label);
        }
        // chapter: social-login {
        if let Some(time) = client.auth_time {
            session = session.auth_time(time);
        }
        // chapter: social-login }
        let pair = session.issue().await?;

        // A change during the login, such as a new password, fewer scopes, a second factor or a disabled
        // account, has logged the user out everywhere. This session did not exist yet, so it must end now.
        let now = self.users.active(&user.id).await?;
        if now.is_none_or(|now| now.version != user.version) {
            self.sessions.end_by_token(&pair.refresh_token).await?;
            events::login_failed(&user.email, Some(user), client.ip, "changed");
            return Err(self.refused());
        }
        events::login_succeeded(user, client.ip, amr);
        Ok(pair)
    }

    /// Returns why this user may not log in, whatever was proved.
    pub(crate) fn barred(&self, user: &User) -> Option<&'static str> {
        if user.disabled {
            return Some("disabled");
        }
        (self.require_verified_email && !user.email_verified).then_some("not_confirmed")
    }

    /// Replaces an old hash with a stronger one. The login succeeds whether or not that works.
    async fn replace_hash(&self, user: &User, new: &PasswordHash) {
        match self.users.replace_hash(user, new).await {
            Ok(true) => tracing::info!(user = digest(&user.id), "password hash replaced"),
            Ok(false) => {} // another request was faster
            Err(error) => tracing::warn!(%error, "password hash not replaced"),
        }
    }

    /// Gives one response for everything that can be wrong. There is no `WWW-Authenticate`, because a
    /// password in a JSON body is not a scheme that the header could name.
    pub(crate) fn refused(&self) -> Problem {
        let detail = if self.require_verified_email {
            "The email address or the password is wrong, or the address is not confirmed yet."
        } else {
            "The email address or the password is wrong."
        };
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
    }
}

// === impl LoginAnswer ===

impl IntoResponse for LoginAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Tokens(tokens) => tokens.into_response(),
            challenge @ Self::Challenge { .. } => axum::Json(challenge).into_response(), // chapter: second-factor
        }
    }
}
