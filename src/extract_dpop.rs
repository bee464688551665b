//! [`DpopProof`] as an extractor for axum, for routes that issue tokens.

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::dpop::{Dpop, DpopError, DpopProof};

/// Verifies the proof of a request. The state of the route must contain a [`Dpop`]. A request without a proof
/// is refused.
impl<S> FromRequestParts<S> for DpopProof
where
    S: Send + Sync,
    Dpop: FromRef<S>,
{
    type Rejection = DpopError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, DpopError> {
        verify(parts, state)
    }
}

/// Verifies the proof of a request if it has one. A request with an invalid proof is refused.
impl<S> OptionalFromRequestParts<S> for DpopProof
where
    S: Send + Sync,
    Dpop: FromRef<S>,
{
    type Rejection = DpopError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, DpopError> {
        if Dpop::has_proof(&parts.headers) {
            verify(parts, state).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn verify<S>(parts: &Parts, state: &S) -> Result<DpopProof, DpopError>
where
    Dpop: FromRef<S>,
{
    let dpop = Dpop::from_ref(state);
    let proof = dpop.verify_proof(&parts.method, &parts.uri, &parts.headers)?;
    Ok(proof.in_request(&parts.extensions))
}
