//! Guards as extractors for axum: [`Scoped`] and [`Allowed`].

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::error::AuthError;
use crate::guard::{Allowed, Policy, Scoped, Scopes};
use crate::verifier::VerifiedToken;

impl<St, S> FromRequestParts<St> for Scoped<S>
where
    St: Send + Sync,
    S: Scopes,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, AuthError> {
        Self::new(VerifiedToken::from_request_parts(parts, state).await?)
    }
}

impl<St, P> FromRequestParts<St> for Allowed<P>
where
    St: Send + Sync,
    P: Policy<St>,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, AuthError> {
        Self::from_extensions(&parts.extensions, state).await
    }
}
