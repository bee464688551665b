//! `/auth/second-factor`: a user adds codes of an app or by SMS, and removes them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tower_jwt_auth::VerifiedToken;
use utoipa::ToSchema;

use crate::error::with_causes;
use crate::finish::finish;
use crate::letters::Letter;
use crate::logging::digest;
use crate::password_policy::MIN_PASSWORD_CHARS;
use crate::problem::Problem;
use crate::second_factor::{Enrolment, Method, Proof, SmsPurpose};
use crate::typed::{OneTimeCode, Phone};
use crate::{App, User, events};

#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
pub(crate) struct Status {
    /// What a login asks for one of; nothing if the password is enough.
    methods: Vec<Method>,
    recovery_codes_left: i64,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct AddTotp {
    current_password: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct AddSms {
    current_password: String,
    phone: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CodeConfirmation)]
pub(crate) struct Confirm {
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SecondFactorRemoval)]
pub(crate) struct Remove {
    current_password: String,
    method: Method,
    code: String,
}

/// They are shown once.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub(crate) struct Added {
    recovery_codes: Vec<String>,
}

#[utoipa::path(
    get,
    operation_id = "second_factor_status",
    path = "/auth/second-factor",
    tag = "second factor",
    responses((status = 200, description = "What a login asks for", body = Status)),
    security(("bearer" = []))
)]
pub(crate) async fn status(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<Json<Status>, Problem> {
    let user = app.user_of(&token).await?;
    Ok(Json(Status {
        methods: app.factors.methods(&user.id).await?,
        recovery_codes_left: app.factors.recovery_codes.count(&user.id).await?,
    }))
}

/// The password is asked for again: a stolen token adds nothing (OWASP ASVS 5.0 V7.5.1).
#[utoipa::path(
    post,
    path = "/auth/second-factor/totp",
    tag = "second factor",
    request_body = AddTotp,
    responses((status = 200, description = "The secret for the app, to be confirmed", body = Enrolment)),
    security(("bearer" = []))
)]
pub(crate) async fn add_totp(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<AddTotp>,
) -> Result<Json<Enrolment>, Problem> {
    let user = app.user_of(&token).await?;
    app.prove(&user, &token, &request.current_password).await?;
    let enrolment = app.factors.enrol_totp(&user).await?;
    Ok(Json(enrolment.ok_or_else(exists)?))
}

#[utoipa::path(
    post,
    path = "/auth/second-factor/totp/confirm",
    tag = "second factor",
    request_body = Confirm,
    responses((status = 200, description = "It is on; the recovery codes, shown once", body = Added)),
    security(("bearer" = []))
)]
pub(crate) async fn confirm_totp(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<Confirm>,
) -> Result<Json<Added>, Problem> {
    let code = OneTimeCode::parse(&request.code)?;
    let user = app.user_of(&token).await?;
    let (account, source) = (user.enrolment(), app.session_of(&token));
    let attempt = app.attempts.begin(&account, source).await?;
    let taken = app.factors.take_proposed(&user.id, &code).await?;
    let Some(secret) = taken else {
        refused(&user, &token, Method::Totp);
        return Err(invalid_code());
    };
    attempt.succeeded().await?;
    added(app, user, token, Method::Totp, secret).await
}

#[utoipa::path(
    post,
    path = "/auth/second-factor/sms",
    tag = "second factor",
    request_body = AddSms,
    responses((status = 202, description = "A code is on its way, to be confirmed")),
    security(("bearer" = []))
)]
pub(crate) async fn add_sms(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<AddSms>,
) -> Result<StatusCode, Problem> {
    let phone = Phone::parse(&request.phone).ok_or_else(invalid_phone)?;
    let user = app.user_of(&token).await?;
    app.prove(&user, &token, &request.current_password).await?;
    let proposed = app.factors.propose(&user.id, Method::Sms, phone.as_str());
    if !proposed.await? {
        return Err(exists());
    }
    app.send_code(&user.id, phone.into_string(), SmsPurpose::Enrol)
        .await?;
    Ok(StatusCode::ACCEPTED)
}

#[utoipa::path(
    post,
    path = "/auth/second-factor/sms/confirm",
    tag = "second factor",
    request_body = Confirm,
    responses((status = 200, description = "It is on; the recovery codes, shown once", body = Added)),
    security(("bearer" = []))
)]
pub(crate) async fn confirm_sms(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<Confirm>,
) -> Result<Json<Added>, Problem> {
    let code = OneTimeCode::parse(&request.code)?;
    let user = app.user_of(&token).await?;
    // First the number: it is the one that the code went to, or there is a newer code.
    let phone = app.factors.proposed(&user.id, Method::Sms).await?;
    let phone = phone.ok_or_else(invalid_code)?;
    let codes = &app.factors.sms_codes;
    if !codes.take(&user.id, SmsPurpose::Enrol, &code).await? {
        refused(&user, &token, Method::Sms);
        return Err(invalid_code());
    }
    added(app, user, token, Method::Sms, phone).await
}

/// For `remove`: whoever has lost the recovery codes has the telephone still.
#[utoipa::path(
    post,
    operation_id = "send_second_factor_code",
    path = "/auth/second-factor/sms/send",
    tag = "second factor",
    responses((status = 202, description = "A code is on its way, to turn the factors off")),
    security(("bearer" = []))
)]
pub(crate) async fn send_sms(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = app.user_of(&token).await?;
    let Some(phone) = app.factors.phone(&user.id).await? else {
        let detail = "Codes by SMS are not turned on.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    };
    app.send_code(&user.id, phone, SmsPurpose::Login).await?;
    Ok(StatusCode::ACCEPTED)
}

/// All factors, after the password and a code: neither alone is enough to get rid of the other.
#[utoipa::path(
    post,
    operation_id = "remove_second_factor",
    path = "/auth/second-factor/remove",
    tag = "second factor",
    request_body = Remove,
    responses((status = 204, description = "The password is enough again")),
    security(("bearer" = []))
)]
pub(crate) async fn remove(
    State(app): State<App>,
    token: VerifiedToken,
    Json(request): Json<Remove>,
) -> Result<StatusCode, Problem> {
    let proof = Proof::parse(request.method, &request.code)?;
    let user = app.user_of(&token).await?;
    app.prove(&user, &token, &request.current_password).await?;
    if app.passwords.char_count(&request.current_password) < MIN_PASSWORD_CHARS {
        let detail =
            "Without a second factor the password is too short: choose a longer one first.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_password", detail).reason("too_short"));
    }
    let account = user.second_factor();
    let attempt = app.attempts.begin(&account, app.session_of(&token)).await?;
    if !app.factors.take(&user.id, &proof).await? {
        refused(&user, &token, request.method);
        return Err(invalid_code());
    }
    attempt.succeeded().await?;
    finish(async move {
        app.factors.remove_all(&user.id).await?;
        tracing::info!(event = "second_factor_removed", user = digest(&user.id));
        app.outbox.post(Letter::SecondFactorChanged(user.address()));
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// The sessions elsewhere were opened without it, and end.
async fn added(
    app: App,
    user: User,
    token: VerifiedToken,
    method: Method,
    secret: String,
) -> Result<Json<Added>, Problem> {
    finish(async move {
        let session = token.session_id().unwrap_or_default();
        // Before anything changes: if they cannot be ended, there is no factor yet.
        app.sessions.end_others(&user.id, session).await?;
        let confirmed = app.factors.confirm(&user.id, method, &secret).await?;
        let recovery_codes = confirmed.ok_or_else(invalid_code)?;
        tracing::info!(
            event = "second_factor_added",
            user = digest(&user.id),
            method = method.name()
        );
        app.outbox.post(Letter::SecondFactorChanged(user.address()));
        // What was opened in between. The codes are shown only now, whatever becomes of this.
        if let Err(error) = app.sessions.end_others(&user.id, session).await {
            let error = with_causes(&error);
            tracing::error!(error, "sessions from before the second factor may go on");
        }
        let recovery_codes = recovery_codes.iter().map(|code| code.as_str().to_owned());
        Ok(Json(Added {
            recovery_codes: recovery_codes.collect(),
        }))
    })
    .await
}

// === impl App ===

impl App {
    /// Sends a code in a short message, unless there were too many of late.
    pub(super) async fn send_code(
        &self,
        user: &str,
        phone: String,
        purpose: SmsPurpose,
    ) -> Result<(), Problem> {
        let Some(code) = self.factors.sms_codes.make(user, purpose).await? else {
            let detail = "Too many codes were sent. `Retry-After` says when to ask for another.";
            let wait = std::time::Duration::from_secs(900);
            return Err(Problem::too_many(detail, wait));
        };
        self.outbox.post(Letter::Code { phone, code });
        Ok(())
    }
}

fn refused(user: &User, token: &VerifiedToken, method: Method) {
    events::code_refused_in(user, token.session_id().unwrap_or_default(), method);
}

pub(super) fn invalid_code() -> Problem {
    let detail = "The code is wrong, was used, or is too old.";
    Problem::new(StatusCode::FORBIDDEN, "invalid_code", detail)
}

fn invalid_phone() -> Problem {
    let detail = "Give the number of a phone with its country, such as +49 151 12345678.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_phone", detail)
}

fn exists() -> Problem {
    let detail = "There is such a second factor already: remove it first.";
    Problem::new(StatusCode::CONFLICT, "second_factor_exists", detail)
}
