//! Guards: [`Require`](crate::Require) decides what a verified token may do, as a layer, as an extractor, or
//! by a call in a handler. All three make the same response.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::{delete, get, post}};
//! use tower_jwt_auth::{AuthError, JwtAuthLayer, Require, VerifiedToken};
//! use tower_jwt_auth::guard::Scoped;
//!
//! tower_jwt_auth::scopes! {
//!     /// Creates orders.
//!     struct OrdersWrite = "orders:write";
//! }
//!
//! /// As an extractor.
//! async fn create(user: Scoped<OrdersWrite>) -> String {
//!     format!("created by {}", user.subject().unwrap_or_default())
//! }
//!
//! /// By a call in the handler.
//! async fn remove(token: VerifiedToken) -> Result<String, AuthError> {
//!     token.require(&Require::scope("orders:write").and(Require::role("manager")))?;
//!     Ok("removed".into())
//! }
//!
//! # fn example(verifier: tower_jwt_auth::TokenVerifier) {
//! let app: Router = Router::new()
//!     .route("/orders", post(create))
//!     .route("/orders/{id}", delete(remove))
//!     // As a layer, for the routes above it or for one route.
//!     .route("/reports", get(async || "...").route_layer(Require::any_scope(["reports:read", "admin"])))
//!     .route_layer(JwtAuthLayer::new(verifier)); // added last, so it runs first
//! # let _ = app; } }
//! ```
//!
//! # Responses
//!
//! | what is missing | response |
//! |---|---|
//! | a name in the requirement, for example because a variable is not set | 500; the error says what is empty |
//! | the [`JwtAuthLayer`](crate::JwtAuthLayer) in front | 500; the error says what to add |
//! | the token, behind an [optional](crate::JwtAuthLayer::optional) layer | 401 |
//! | a recent login, or an authentication level | 401 `insufficient_user_authentication` with `max_age`, `acr_values` and `scope` of the whole requirement (RFC 9470) |
//! | a scope | 403 `insufficient_scope`; `scope` names every scope of the whole requirement |
//! | a role, a claim, a permission, a predicate | 403 that names only the realm, because another scope would not help ([`Forbidden`](crate::AuthErrorKind::Forbidden)) |
//! | an answer, because an async predicate has failed | 503 with `Retry-After` |
//!
//! If several things are missing, the first matching row decides. One case is different: if an alternative of
//! an [`or`](crate::Require::or) is an async predicate that has failed, the response is 503, whatever the
//! other alternatives lack. The body is made by the [layer in front](crate::JwtAuthLayer::on_error).
//!
//! There is no `not`, because no challenge can ask a client for a token with fewer rights. To keep somebody
//! out, use [`Require::that`](crate::Require::that), such as
//! `Require::that(|token| !token.has_role("suspended"))`.

mod by_hand;
mod check;
mod decide;
mod future;
mod layer;
mod policy;
mod problem;
pub(crate) mod require;
mod rule;
mod scoped;
mod scopes;
mod service;
mod value;

pub use crate::names::Names;
pub use future::RequireFuture;
pub use layer::RequireLayer;
pub use policy::{Allowed, Policy};
pub use scoped::Scoped;
#[doc(hidden)]
pub use scopes::assert_scope;
pub use scopes::{AnyOf, Scope, Scopes};
pub use service::RequireService;
pub use value::ClaimValue;
