//! `/auth/second-factor`: list the second factors, add an authenticator app, remove all factors.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::totp::Enrolment;
use super::{Added, Factors, Method, Proof, exists, invalid_code};
use crate::finish::finish;
use crate::limits::Attempts;
use crate::operations::events;
use crate::passwords::{MIN_PASSWORD_CHARS, Passwords};
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};
use crate::typed::OneTimeCode;

#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
pub(super) struct Status {
    /// The methods for the second step of a login. It is empty if the password is enough.
    methods: Vec<Method>,
    recovery_codes_left: i64,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct AddTotp {
    current_password: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CodeConfirmation)]
pub(crate) struct Confirm {
    pub(crate) code: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SecondFactorRemoval)]
pub(super) struct Remove {
    current_password: String,
    method: Method,
    code: String,
}

/// Lists the second factors of the user.
#[utoipa::path(
    get,
    operation_id = "second_factor_status",
    path = "/auth/second-factor",
    tag = "second factor",
    responses((status = 200, description = "The second factors", body = Status)),
    security(("bearer" = []))
)]
pub(super) async fn status(
    State(factors): State<Factors>,
    Caller { user, .. }: Caller,
) -> Result<Json<Status>, Problem> {
    Ok(Json(Status {
        methods: factors.methods(&user.id).await?,
        recovery_codes_left: factors.recovery_codes.count(&user.id).await?,
    }))
}

/// Proposes an authenticator app, to be confirmed with a code of it.
///
/// The password is asked for again, so that a stolen token is not enough (OWASP ASVS 5.0 V7.5.1).
#[utoipa::path(
    post,
    path = "/auth/second-factor/totp",
    tag = "second factor",
    request_body = AddTotp,
    responses((status = 200, description = "The secret for the authenticator app", body = Enrolment)),
    security(("bearer" = []))
)]
pub(super) async fn add_totp(
    State(factors): State<Factors>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<AddTotp>,
) -> Result<Json<Enrolment>, Problem> {
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    let enrolment = factors.enrol_totp(&caller.user).await?;
    Ok(Json(enrolment.ok_or_else(exists)?))
}

/// Turns the authenticator app on, with a code of it.
#[utoipa::path(
    post,
    path = "/auth/second-factor/totp/confirm",
    tag = "second factor",
    request_body = Confirm,
    responses((status = 200, description = "On; the recovery codes are shown only once", body = Added)),
    security(("bearer" = []))
)]
pub(super) async fn confirm_totp(
    State(factors): State<Factors>,
    State(attempts): State<Attempts>,
    caller: Caller,
    Json(request): Json<Confirm>,
) -> Result<Json<Added>, Problem> {
    let code = OneTimeCode::parse(&request.code)?;
    let user = &caller.user;
    let account = user.enrolment();
    let attempt = attempts.begin(&account, caller.source()).await?;
    let taken = factors.take_proposed(&user.id, &code).await?;
    let Some(secret) = taken else {
        events::code_refused_in(user, caller.session(), Method::Totp);
        return Err(invalid_code());
    };
    attempt.succeeded().await?;
    Ok(Json(factors.turn_on(caller, Method::Totp, secret).await?))
}

/// Removes all second factors.
///
/// It takes the password and a code, so that neither of them alone can remove the other.
#[utoipa::path(
    post,
    operation_id = "remove_second_factor",
    path = "/auth/second-factor/remove",
    tag = "second factor",
    request_body = Remove,
    responses((status = 204, description = "Removed; the password is enough to log in")),
    security(("bearer" = []))
)]
pub(super) async fn remove(
    State(factors): State<Factors>,
    State(attempts): State<Attempts>,
    State(passwords): State<Passwords>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<Remove>,
) -> Result<StatusCode, Problem> {
    let proof = Proof::parse(request.method, &request.code)?;
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    if caller.user.has_password() && passwords.char_count(current) < MIN_PASSWORD_CHARS {
        let detail =
            "Without a second factor the password is too short. Choose a longer one first.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "invalid_password", detail).reason("too_short"));
    }
    let user = &caller.user;
    let account = user.second_factor();
    let attempt = attempts.begin(&account, caller.source()).await?;
    if !factors.take(&user.id, &proof).await? {
        events::code_refused_in(user, caller.session(), request.method);
        return Err(invalid_code());
    }
    attempt.succeeded().await?;
    finish(async move {
        factors.turn_off(&caller.user, None).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
