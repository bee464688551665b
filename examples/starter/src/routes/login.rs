//! `POST /auth/login`: from an e-mail address and a password to a pair of tokens.

use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};
use utoipa::ToSchema;

use super::register::invalid_email;
use crate::attempts::Source;
use crate::client_ip::ClientIp;
use crate::logging::digest;
use crate::openapi::LoginAnswer;
use crate::problem::Problem;
use crate::second_factor::{LIFETIME, Method};
use crate::uniform::end_of_step;
use crate::web::client_mark;
use crate::{App, Email, User, events};

/// How much of the `User-Agent` a session is labelled with.
const MAX_LABEL_CHARS: usize = 100;

#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
pub(crate) struct Request {
    email: String,
    password: String,
}

/// What a right password is worth.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Tokens(TokenPair),
    /// A code is asked for as well, by one of these methods.
    Challenge {
        challenge: String,
        methods: Vec<Method>,
        expires_in: i64,
    },
}

#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "sessions",
    request_body = Request,
    responses((status = 200, description = "A new session, or a challenge", body = LoginAnswer))
)]
pub(crate) async fn login(
    State(app): State<App>,
    Extension(client): Extension<ClientIp>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Json<Answer>, Problem> {
    let start = Instant::now();
    let answer = try_login(&app, client, &headers, &request).await;
    // Who is refused waits, so that time does not tell why (OWASP ASVS 5.0 V6.3.8).
    if matches!(&answer, Err(problem) if problem.is(StatusCode::UNAUTHORIZED)) {
        end_of_step(start).await;
    }
    answer
}

async fn try_login(
    app: &App,
    client: ClientIp,
    headers: &HeaderMap,
    request: &Request,
) -> Result<Json<Answer>, Problem> {
    let email = Email::parse(&request.email).ok_or_else(invalid_email)?;
    let source = Source::Address(client);
    let attempt = app.attempts.begin(email.as_str(), source).await?;
    let user = app.users.by_email(&email).await?;
    let verified = app.verify_password(&request.password, user.as_ref());
    let verified = verified.await?;
    let (Verification::Match { rehash }, Some(user)) = (&verified, &user) else {
        let reason = match user {
            Some(_) => "wrong_password",
            None => "unknown_account",
        };
        events::login_failed(email.as_str(), user.as_ref(), client, reason);
        return Err(refused(app));
    };
    let reason = match user.disabled {
        true => Some("disabled"),
        false => (app.require_verified_email && !user.email_verified).then_some("not_confirmed"),
    };
    if let Some(reason) = reason {
        events::login_failed(email.as_str(), Some(user), client, reason);
        return Err(refused(app));
    }
    attempt.succeeded().await?;
    if let Some(new) = rehash {
        replace_hash(app, user, new).await;
    }
    let methods = app.factors.methods(&user.id).await?;
    if methods.is_empty() {
        let Json(pair) = open_session(app, user, client, headers, &["pwd"]).await?;
        return Ok(Json(Answer::Tokens(pair)));
    }
    Ok(Json(Answer::Challenge {
        challenge: app.factors.challenges.make(user).await?,
        methods,
        expires_in: LIFETIME,
    }))
}

/// Opens the session of a user who has proved everything that is asked for.
pub(super) async fn open_session(
    app: &App,
    user: &User,
    client: ClientIp,
    headers: &HeaderMap,
    amr: &[&str],
) -> Result<Json<TokenPair>, Problem> {
    let mut session = app
        .sessions
        .open(&user.id)
        .client(client_mark(headers))
        .scopes(user.scopes.split_whitespace())
        .claims(json!({
            "email": user.email,
            "email_verified": user.email_verified,
            "amr": amr,
        }));
    if let Some(label) = label(headers) {
        session = session.label(label);
    }
    let pair = session.issue().await?;

    // Whoever was disabled, or got another password, fewer scopes or a second factor, while this was going
    // on was logged out everywhere then: this session was not there yet.
    let now = app.users.active(&user.id).await?;
    if now.is_none_or(|now| now.version != user.version) {
        app.sessions.end_by_token(&pair.refresh_token).await?;
        events::login_failed(&user.email, Some(user), client, "changed");
        return Err(refused(app));
    }
    events::login_succeeded(user, client, amr);
    Ok(Json(pair))
}

/// What the user will know the session by.
fn label(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    let label: String = agent.chars().take(MAX_LABEL_CHARS).collect();
    (!label.is_empty()).then_some(label)
}

/// Puts a stronger hash in the place of an old one. The login is good whether or not it works.
async fn replace_hash(app: &App, user: &User, new: &PasswordHash) {
    match app.users.replace_hash(user, new).await {
        Ok(true) => tracing::info!(user = digest(&user.id), "password hash replaced"),
        Ok(false) => {} // somebody else was faster
        Err(error) => tracing::warn!(%error, "password hash not replaced"),
    }
}

/// One answer to all that is wrong. No `WWW-Authenticate`: the password is no bearer token, and a
/// JSON body is no scheme that a header could name.
fn refused(app: &App) -> Problem {
    let detail = if app.require_verified_email {
        "The e-mail address or the password is wrong, or the address is not confirmed yet."
    } else {
        "The e-mail address or the password is wrong."
    };
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
}

// === impl App ===

impl App {
    /// Compares a password with that of the user. An unknown user, and a stored hash that cannot be
    /// used, cost the same work, so that time does not tell who has an account. The log names the
    /// user of such a hash; a password reset replaces it.
    pub(crate) async fn verify_password(
        &self,
        password: &str,
        user: Option<&User>,
    ) -> Result<Verification, Problem> {
        let stored = user.map(|user| user.password_hash.as_str());
        let verified = match self.passwords.verify(password, stored).await {
            Err(PasswordError::TooLong { .. }) => return Ok(Verification::Mismatch),
            verified => verified?,
        };
        if let (Verification::UnusableHash { reason }, Some(user)) = (&verified, user) {
            let user = digest(&user.id);
            tracing::warn!(user, %reason, "the stored password hash cannot be used");
        }
        Ok(verified)
    }
}
