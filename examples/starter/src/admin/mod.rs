//! Administration: what users with the scope `admin` can do with other accounts.
//!
//! The command `grant-admin EMAIL` gives the scope. Needs accounts, sessions and the outbox. To remove it:
//! `./chapters remove admin` (see `docs/removing.md`).

mod grant;
mod overview;
mod store;
mod users;

pub use grant::grant_admin;
pub use store::ADMIN_SCOPE;
pub(crate) use store::but_last_admin;

use tower_jwt_auth::Require;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::store::Admin;
use crate::app::{App, RequireToken};

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(overview::admin))
        .routes(routes!(users::list))
        .routes(routes!(users::disable))
        .routes(routes!(users::enable))
        .routes(routes!(users::set_scopes))
        .routes(routes!(users::logout))
        .routes(routes!(users::reset_password))
        .routes(routes!(users::remove_second_factor)) // chapter: second-factor
        .route_layer(Require::scoped::<Admin>())
        .route_layer(token.clone())
}
