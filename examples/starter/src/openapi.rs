//! The description of the API (OpenAPI 3.1), made from the handlers: `/openapi.json` and `/docs`.
//!
//! A new route gets `#[utoipa::path]` and a line below; a test names the routes that have none. A route
//! behind a guard names its scopes by their types, as `security(("bearer" = [Admin::NAME]))`; a test
//! compares them with the challenge of the guard.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use serde::Serialize;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::routes::{
    account, admin_users, avatar, change_password, confirm_email, health, login, login_code,
    logout, refresh, register, reset_password, second_factor, sessions,
};
use crate::second_factor::Method;

/// Swagger UI is bundled, with styles inline; it reaches this service alone.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "starter",
        description = "Accounts, sessions and tokens. Every error is a problem document (RFC 9457), \
                       whose `error` is a word for programs."
    ),
    paths(
        register::register,
        login::login,
        refresh::refresh,
        logout::logout,
        logout::logout_all,
        sessions::list,
        sessions::end,
        account::me,
        account::admin,
        avatar::put,
        avatar::own,
        avatar::of,
        avatar::delete,
        admin_users::list,
        admin_users::disable,
        admin_users::enable,
        admin_users::set_scopes,
        admin_users::logout,
        admin_users::reset_password,
        admin_users::remove_second_factor,
        change_password::change,
        reset_password::forgot,
        reset_password::reset,
        confirm_email::verify,
        confirm_email::resend,
        login_code::answer,
        login_code::send,
        second_factor::status,
        second_factor::add_totp,
        second_factor::confirm_totp,
        second_factor::add_sms,
        second_factor::confirm_sms,
        second_factor::send_sms,
        second_factor::remove,
        health::healthz,
        health::readyz,
    ),
    components(schemas(Problem)),
    modifiers(&WhatAllShare)
)]
struct Api;

/// RFC 9457.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)] // the shape of what `Problem` of the service writes
struct Problem {
    #[schema(rename = "type", example = "about:blank")]
    kind: String,
    #[schema(example = "Unauthorized")]
    title: String,
    #[schema(example = 401)]
    status: u16,
    /// For people.
    detail: String,
    /// For programs.
    #[schema(example = "invalid_token")]
    error: String,
    /// Which of several reasons, with `invalid_password`.
    reason: Option<String>,
}

/// What a login and a refresh answer (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
#[allow(dead_code)] // the shape of the crate's `TokenPair`
pub(crate) struct Tokens {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: String,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Not there with `Token-Transport: cookie`: it is in the cookie then.
    refresh_token: Option<String>,
    /// Seconds.
    refresh_expires_in: u64,
}

/// Times are seconds since 1970, as in tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionAlone)]
#[allow(dead_code)] // the shape of the crate's `Session`
pub(crate) struct SessionShape {
    id: String,
    /// The `User-Agent` of the login.
    label: Option<String>,
    created_at: u64,
    /// The last login or refresh; requests with the access token do not count.
    last_used_at: u64,
    /// When the session ends at the latest.
    expires_at: u64,
}

/// What a right password is answered with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // the shape of the login's answer
pub(crate) enum LoginAnswer {
    Tokens(Tokens),
    /// A code is asked for as well, by one of the methods.
    Challenge {
        challenge: String,
        methods: Vec<Method>,
        /// Seconds.
        expires_in: i64,
    },
}

struct WhatAllShare;

// === impl WhatAllShare ===

impl Modify for WhatAllShare {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_with(Components::new);
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        components
            .responses
            .insert(PROBLEM.to_owned(), RefOr::T(problem()));
        for path in api.paths.paths.values_mut() {
            for operation in operations(path) {
                let any = RefOr::Ref(Ref::from_response_name(PROBLEM));
                let responses = &mut operation.responses.responses;
                responses.insert("default".to_owned(), any);
            }
        }
    }
}

fn problem() -> Response {
    let schema = Ref::from_schema_name(PROBLEM);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(
            "What is wrong. With 429 and 503 comes `Retry-After`, with a bad token \
             `WWW-Authenticate`.",
        )
        .content("application/problem+json", content)
        .build()
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.patch,
        &mut path.delete,
    ];
    all.into_iter().flatten()
}

/// The document and its page; both come out of the program, and need no other site.
pub(crate) fn routes() -> Router {
    let config = Config::default().validator_url("none");
    let page = SwaggerUi::new("/docs").url("/openapi.json", Api::openapi());
    Router::from(page.config(config))
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            POLICY,
        ))
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
}
