//! The routes for one-time codes by SMS: add a phone, and ask for a code.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{SmsPurpose, SmsSender};
use crate::operations::events;
use crate::problem::Problem;
use crate::second_factor::login::over;
use crate::second_factor::{Added, Confirm, Factors, Method, exists, invalid_code};
use crate::sessions::{Caller, Reauthentication};
use crate::typed::{LinkSecret, OneTimeCode, Phone};

#[derive(Deserialize, ToSchema)]
pub(super) struct AddSms {
    current_password: String,
    phone: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SmsRequest)]
pub(super) struct Send {
    challenge: String,
}

/// Proposes a phone as a second factor, and sends a code to it.
#[utoipa::path(
    post,
    path = "/auth/second-factor/sms",
    tag = "second factor",
    request_body = AddSms,
    responses((status = 202, description = "A code is on its way to the phone")),
    security(("bearer" = []))
)]
pub(super) async fn add(
    State(factors): State<Factors>,
    State(reauthentication): State<Reauthentication>,
    State(sms): State<SmsSender>,
    caller: Caller,
    Json(request): Json<AddSms>,
) -> Result<StatusCode, Problem> {
    let phone = Phone::parse(&request.phone).ok_or_else(invalid_phone)?;
    sms.limits_for(&caller.user)?;
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    let proposed = factors.propose(&caller.user.id, Method::Sms, phone.as_str());
    if !proposed.await? {
        return Err(exists());
    }
    let (phone, purpose) = (phone.into_string(), SmsPurpose::Enrol);
    sms.send_code(&caller.user, phone, purpose).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Turns codes by SMS on, with the code that was sent to the phone.
#[utoipa::path(
    post,
    path = "/auth/second-factor/sms/confirm",
    tag = "second factor",
    request_body = Confirm,
    responses((status = 200, description = "On; the recovery codes are shown only once", body = Added)),
    security(("bearer" = []))
)]
pub(super) async fn confirm(
    State(factors): State<Factors>,
    State(sms): State<SmsSender>,
    caller: Caller,
    Json(request): Json<Confirm>,
) -> Result<Json<Added>, Problem> {
    let code = OneTimeCode::parse(&request.code)?;
    let user = &caller.user;
    // Comes first: the phone number must be the one that this code was sent to.
    let phone = factors.proposed(&user.id, Method::Sms).await?;
    let phone = phone.ok_or_else(invalid_code)?;
    if !sms.codes.take(&user.id, SmsPurpose::Enrol, &code).await? {
        events::code_refused_in(user, caller.session(), Method::Sms);
        return Err(invalid_code());
    }
    Ok(Json(factors.turn_on(caller, Method::Sms, phone).await?))
}

/// Sends a code to the phone of the user, to remove the second factors. Users who have lost the recovery
/// codes still have the phone.
#[utoipa::path(
    post,
    operation_id = "send_second_factor_code",
    path = "/auth/second-factor/sms/send",
    tag = "second factor",
    responses((status = 202, description = "A code is on its way to the phone")),
    security(("bearer" = []))
)]
pub(super) async fn send_to_caller(
    State(factors): State<Factors>,
    State(sms): State<SmsSender>,
    Caller { user, .. }: Caller,
) -> Result<StatusCode, Problem> {
    let Some(phone) = factors.phone(&user.id).await? else {
        let detail = "The account has no phone to send codes to.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    };
    sms.send_code(&user, phone, SmsPurpose::Login).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sends a code to the phone of a user who has given the right password.
#[utoipa::path(
    post,
    operation_id = "send_sms_code",
    path = "/auth/login/sms",
    tag = "sessions",
    request_body = Send,
    responses((status = 202, description = "A code is on its way to the phone"))
)]
pub(super) async fn send_for_login(
    State(factors): State<Factors>,
    State(sms): State<SmsSender>,
    Json(request): Json<Send>,
) -> Result<StatusCode, Problem> {
    let challenge = LinkSecret::parse(&request.challenge).ok_or_else(over)?;
    let user = factors.challenges.holder(challenge.as_str()).await?;
    let user = user.ok_or_else(over)?;
    let phone = factors.phone(&user.id).await?.ok_or_else(over)?;
    sms.send_code(&user, phone, SmsPurpose::Login).await?;
    Ok(StatusCode::ACCEPTED)
}

fn invalid_phone() -> Problem {
    let detail =
        "This is not a phone number with a country code. Use a form such as +49 151 12345678.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_phone", detail)
}
