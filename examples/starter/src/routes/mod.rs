//! The routes, and what stands in front of them.

pub(crate) mod account;
pub(crate) mod admin_users;
pub(crate) mod avatar;
pub(crate) mod change_password;
pub(crate) mod confirm_email;
pub(crate) mod health;
pub(crate) mod login;
pub(crate) mod login_code;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod reset_password;
pub(crate) mod second_factor;
pub(crate) mod sessions;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};
use tower_jwt_auth::layer::ProblemJson;
use tower_jwt_auth::{JwtAuthLayer, Require};

use crate::users::Admin;
use crate::{App, avatars, edge, problem, rate_limit, web};

/// Far more than any request here needs.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a client may pause while it sends a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// A database that has fallen silent is an outage too: the answer is 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

// === impl App ===

impl App {
    /// The service, ready to be served with `into_make_service_with_connect_info`: without the
    /// address of the client, all clients are limited as one.
    pub fn router(&self) -> Router {
        let metrics = self.metrics.clone();
        // Its look is that of guards and extractors, too.
        let token = JwtAuthLayer::new(self.tokens.verifier())
            .on_decision(move |decision| metrics.decided(decision))
            .on_error(ProblemJson);
        let for_admins = Router::new()
            .route("/admin", get(account::admin))
            .route("/admin/users", get(admin_users::list))
            .route("/admin/users/{id}/disable", post(admin_users::disable))
            .route("/admin/users/{id}/enable", post(admin_users::enable))
            .route("/admin/users/{id}/scopes", put(admin_users::set_scopes))
            .route("/admin/users/{id}/logout", post(admin_users::logout))
            .route(
                "/admin/users/{id}/password-reset",
                post(admin_users::reset_password),
            )
            .route(
                "/admin/users/{id}/second-factor",
                delete(admin_users::remove_second_factor),
            )
            .route_layer(Require::scoped::<Admin>());
        let avatar = Router::new()
            .route(
                "/me/avatar",
                get(avatar::own).put(avatar::put).delete(avatar::delete),
            )
            .layer(DefaultBodyLimit::max(avatars::MAX_BYTES));
        let with_token = Router::new()
            .merge(for_admins)
            .route("/me", get(account::me))
            .merge(avatar)
            .route("/users/{id}/avatar", get(avatar::of))
            .route("/auth/logout-all", post(logout::logout_all))
            .route("/auth/password/change", post(change_password::change))
            .route("/auth/second-factor", get(second_factor::status))
            .route("/auth/second-factor/totp", post(second_factor::add_totp))
            .route(
                "/auth/second-factor/totp/confirm",
                post(second_factor::confirm_totp),
            )
            .route("/auth/second-factor/sms", post(second_factor::add_sms))
            .route(
                "/auth/second-factor/sms/confirm",
                post(second_factor::confirm_sms),
            )
            .route(
                "/auth/second-factor/sms/send",
                post(second_factor::send_sms),
            )
            .route("/auth/second-factor/remove", post(second_factor::remove))
            .route("/auth/sessions", get(sessions::list))
            .route("/auth/sessions/{id}", delete(sessions::end))
            .route_layer(token);

        // The layer that is added last is the outermost.
        let api = Router::new()
            .merge(with_token)
            .route("/auth/register", post(register::register))
            .route("/auth/login", post(login::login))
            .route("/auth/login/second-factor", post(login_code::answer))
            .route("/auth/login/sms", post(login_code::send))
            .route("/auth/refresh", post(refresh::refresh))
            .route("/auth/logout", post(logout::logout))
            .route("/auth/password/forgot", post(reset_password::forgot))
            .route("/auth/password/reset", post(reset_password::reset))
            .route("/auth/email/verify", post(confirm_email::verify))
            .route("/auth/email/resend", post(confirm_email::resend))
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .with_state(self.clone())
            .layer(from_fn_with_state(self.clone(), rate_limit::limit))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                REQUEST_TIMEOUT,
            ))
            .layer(CatchPanicLayer::new())
            .layer(map_response(problem::for_every_error))
            .layer(from_fn_with_state(self.clone(), web::in_cookie))
            // Tokens and accounts are nothing for a cache (RFC 6749 section 5.1).
            .layer(SetResponseHeaderLayer::if_not_present(
                CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .layer(SetResponseHeaderLayer::overriding(
                PRAGMA,
                HeaderValue::from_static("no-cache"),
            ));
        edge::around(self, api)
    }
}
