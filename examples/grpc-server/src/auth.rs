//! Helpers for the methods of a tonic service: the caller, the status of an error, and streams that end with
//! their token.

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Status};
use tower_jwt_auth::layer::GrpcStatus;
use tower_jwt_auth::{AuthError, AuthErrorKind, Require, VerifiedToken};

/// Returns the verified token of a call, which the layer has put into the extensions.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<&VerifiedToken, Status> {
    let token = request.extensions().get();
    token.ok_or_else(|| status(&AuthErrorKind::MissingLayer.into()))
}

/// Checks a requirement in a method. The status is that of a layer: 7 `PERMISSION_DENIED`, with a
/// challenge that names the scope in the metadata.
pub(crate) fn check(token: &VerifiedToken, requirement: &Require) -> Result<(), Status> {
    token.require(requirement).map_err(|error| status(&error))
}

/// Ends a stream with 16 `UNAUTHENTICATED` when the token expires or is revoked.
pub(crate) fn until_ended<T>(
    token: &VerifiedToken,
    items: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static
where
    T: Send + 'static,
{
    let token = token.clone();
    let ended = async move {
        let end = token.ended().await;
        status(&token.end_error(end))
    };
    let state = Some((Box::pin(items), Box::pin(ended)));
    stream::unfold(state, |state| async move {
        let (mut items, mut ended) = state?;
        tokio::select! {
            biased;
            status = &mut ended => Some((Err(status), None)),
            item = items.next() => Some((Ok(item?), Some((items, ended)))),
        }
    })
}

fn status(error: &AuthError) -> Status {
    Status::from_header_map(&GrpcStatus::headers(error))
        .unwrap_or_else(|| Status::internal(error.client_message()))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};

    use super::until_ended;

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_does_not_wait_for_its_token() {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        let tokens = TokenIssuer::builder(key).issuer("me").audience("orders");
        let tokens = tokens.build().unwrap();
        let token = tokens.access("alice").issue().unwrap();
        let token = tokens.verifier().verify(&token).await.unwrap();

        let items = until_ended(&token, stream::iter([1, 2]));
        let items: Vec<_> = items.map(Result::unwrap).collect().await;
        assert_eq!(items, [1, 2]);
    }
}
