//! Sessions: login with a password, refresh, logout, and the list of a user's sessions.
//!
//! Every way to log in ends in [`Logins`], which opens the session. [`stores`] chooses where sessions,
//! revocations and used proofs are kept. [`BoundTokens`] binds tokens to the keys of clients. Needs accounts
//! and limits. Cannot be removed.

mod bound_tokens;
mod caller;
mod client;
mod cookie;
mod list;
mod login;
mod logins;
mod logout;
mod reauthentication;
mod refresh;
pub(crate) mod stores;
pub(crate) mod transport;

pub(crate) use bound_tokens::{BoundTokens, NewerNonce};
pub(crate) use caller::Caller;
pub(crate) use client::Client;
pub(crate) use cookie::read as read_cookie; // chapter: social-login
pub(crate) use list::{Session, of_user};
pub(crate) use logins::{LoginAnswer, Logins};
pub(crate) use reauthentication::Reauthentication;

use axum::Extension;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, RequireToken};

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    let with_token = OpenApiRouter::new()
        .routes(routes!(logout::logout_all))
        .routes(routes!(list::list))
        .routes(routes!(list::end))
        .route_layer(token.clone());
    // The handler uses the layer itself, because a refresh token may come in place of an access token.
    let logout = OpenApiRouter::new()
        .routes(routes!(logout::logout))
        .route_layer(Extension(token.clone()));
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(refresh::refresh))
        .merge(logout)
        .merge(with_token)
}
