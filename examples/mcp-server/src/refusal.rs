//! [`Refusal`]: turns the refusal of a tool into an HTTP 403, so that clients ask for more scopes.
//!
//! A tool runs inside the MCP server, whose response is a JSON-RPC result with the status 200. But clients
//! ask the user for another scope only if the status is 403 and the `WWW-Authenticate` header names the scope
//! (MCP specification 2025-11-25, "Runtime Insufficient Scope Errors"). So a tool that refuses leaves its
//! error here, and the response is replaced once the MCP server has finished it.
//!
//! Only tools decide. Nothing in front of the MCP server reads the request to find out which tool is called:
//! it could read the request differently than the MCP server does, and the check could then be bypassed.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_jwt_auth::{AuthError, Require, VerifiedToken};

/// The place in which a tool leaves its refusal for the response.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<OnceLock<AuthError>>);

/// Responds with the refusal of a tool, if there is one.
///
/// A tool that has already sent something, such as its progress, has begun the response. The client then gets
/// the refusal only as the error of the tool. So tools check their scopes first.
pub(crate) async fn as_response(mut request: Request, next: Next) -> Response {
    let refusal = Refusal::default();
    request.extensions_mut().insert(refusal.clone());
    let response = next.run(request).await;
    match refusal.0.get() {
        Some(error) => error.clone().into_response(),
        None => response,
    }
}

/// Returns the caller of a tool, if the token satisfies the requirement.
///
/// # Errors
///
/// The error is the text for the result of the tool, in case the response has already begun.
pub(crate) fn caller<'p>(
    parts: &'p Parts,
    requirement: &Require,
) -> Result<&'p VerifiedToken, String> {
    let token = parts.extensions.get::<VerifiedToken>();
    let token = token.ok_or("the tool is not behind a layer that verifies tokens")?;
    token.require(requirement).map_err(|error| {
        let text = match error.scope() {
            Some(scope) => format!("the access token must have these scopes: {scope}"),
            None => error.client_message().to_owned(),
        };
        if let Some(refusal) = parts.extensions.get::<Refusal>() {
            let _ = refusal.0.set(error);
        }
        text
    })?;
    Ok(token)
}
