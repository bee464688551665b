//! Refusals of gRPC requests: the status, the message and the metadata that a client reads.

#[cfg(feature = "axum")]
mod in_axum;
mod inner_refusals;

use std::time::Duration;

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_jwt_auth::layer::{GrpcStatus, ProblemJson, error_response, response_for};
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::verifier::StreamEnd;
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer, TokenVerifier, VerifiedToken};

use crate::support::{Seen, builder, claims, request, send, signed, verifier};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const INVALID: &str = r#"Bearer realm="api", error="invalid_token""#;

/// Responds after a wait, like a store that cannot be reached.
#[derive(Debug)]
struct Down;

impl RevocationStore for Down {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        Err(StoreError::new("no route to host"))
    }
}

fn call(token: &str) -> Request<String> {
    request(&[GRPC, ("authorization", &format!("Bearer {token}"))])
}

fn token(more: &str) -> String {
    signed(r#"{"alg":"HS256"}"#, claims(more))
}

fn layer(verifier: TokenVerifier) -> JwtAuthLayer<GrpcStatus> {
    JwtAuthLayer::new(verifier).on_error(GrpcStatus)
}

/// The code, the message and the challenges of a refusal, which must have the form of a gRPC response.
#[track_caller]
fn told(seen: &Seen) -> (&str, &str, String) {
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(seen.body, "");
    let header = |name: &str| seen.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/grpc");
    (
        header("grpc-status"),
        header("grpc-message"),
        seen.challenges.join(" and "),
    )
}

#[tokio::test]
async fn a_refused_grpc_request_gets_a_status_with_a_challenge() {
    let layer = layer(verifier());
    let good = token("");
    assert_eq!(send(&layer, call(&good)).await.body, "alice");

    let none = send(&layer, request(&[GRPC])).await;
    let challenge = r#"Bearer realm="api""#.to_owned();
    let message = "The request needs a bearer token.";
    assert_eq!(told(&none), ("16", message, challenge));

    let bad = send(&layer, call("a.b.c")).await;
    let message = "The bearer token is not valid.";
    assert_eq!(told(&bad), ("16", message, INVALID.to_owned()));
    assert_eq!(bad.headers.len(), 4, "{:?}", bad.headers);

    let twice = request(&[
        GRPC,
        ("authorization", "Bearer a"),
        ("authorization", "Bearer b"),
    ]);
    let twice = send(&layer, twice).await;
    let challenge = r#"Bearer realm="api", error="invalid_request""#.to_owned();
    let message = "The credentials of the request are malformed.";
    assert_eq!(told(&twice), ("16", message, challenge));
}

#[tokio::test]
async fn an_outage_is_unavailable_and_says_when_to_retry() {
    let tokens = builder().0.revocation(Down).build().unwrap();
    let seen = send(&layer(tokens.verifier()), call(&token(""))).await;
    let message = "The bearer token cannot be checked right now.";
    assert_eq!(told(&seen), ("14", message, String::new()));
    assert_eq!(seen.headers["retry-after"], "1");
    assert_eq!(seen.headers["grpc-retry-pushback-ms"], "1000");

    let later = AuthError::new(AuthErrorKind::Unavailable);
    for (after, milliseconds) in [
        (Duration::from_millis(1500), "1500"),
        (Duration::MAX, "2147483647"),
    ] {
        let headers = GrpcStatus::headers(&later.clone().with_retry_after(after));
        assert_eq!(headers["grpc-retry-pushback-ms"], milliseconds);
    }
}

#[tokio::test]
async fn the_response_has_the_content_type_of_the_request() {
    let layer = layer(verifier());
    for (sent, answered) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc+proto"),
        (
            "application/grpc+json; charset=utf-8",
            "application/grpc+json",
        ),
        ("Application/GRPC", "application/grpc"),
        ("application/grpc+thrift", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc-web-text", "application/grpc-web-text"),
        (
            "application/grpc-web-text+proto",
            "application/grpc-web-text+proto",
        ),
    ] {
        let seen = send(&layer, request(&[("content-type", sent)])).await;
        assert_eq!(seen.status, 200, "{sent}");
        assert_eq!(seen.headers["content-type"], answered);
        assert_eq!(seen.headers["grpc-status"], "16");
    }
}

#[tokio::test]
async fn other_requests_get_the_fallback() {
    let with_problems = JwtAuthLayer::new(verifier()).on_error(GrpcStatus.or(ProblemJson));
    let requests = [
        request(&[]),
        request(&[("content-type", "application/json")]),
        request(&[("content-type", "application/grpcx")]),
    ];
    for request in requests {
        let seen = send(&layer(verifier()), request.clone()).await;
        assert_eq!(seen.verdict(), r#"401 Bearer realm="api""#);
        assert_eq!((seen.body.as_str(), seen.headers.len()), ("", 1));

        let seen = send(&with_problems, request).await;
        assert_eq!(seen.verdict(), r#"401 Bearer realm="api""#);
        assert_eq!(seen.headers["content-type"], "application/problem+json");
    }
    // A request that is not gRPC makes no difference.
    assert_eq!(told(&send(&with_problems, request(&[GRPC])).await).0, "16");
}

#[tokio::test]
async fn realm_and_metadata_address_are_in_the_status() {
    let layer = layer(verifier())
        .realm("shop")
        .resource_metadata("https://api.example/.well-known/oauth-protected-resource");
    let challenge = r#"Bearer realm="shop", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;
    let seen = send(&layer, request(&[GRPC])).await;
    assert_eq!(told(&seen).2, challenge);
}

#[test]
fn each_kind_of_error_has_the_code_of_its_http_status() {
    for kind in AuthErrorKind::ALL {
        let error = AuthError::new(*kind);
        let expected = match error.status().as_u16() {
            400 | 401 => 16,
            403 => 7,
            503 => 14,
            500 => 13,
            other => panic!("{other}"),
        };
        assert_eq!(error.grpc_code(), expected, "{kind:?}");
        let headers = GrpcStatus::headers(&error);
        assert_eq!(headers["grpc-status"], expected.to_string().as_str());
        assert_eq!(headers["grpc-message"], error.client_message());
        assert_eq!(
            headers.contains_key("www-authenticate"),
            error.www_authenticate().is_some()
        );
        assert_eq!(
            headers.contains_key("retry-after"),
            error.retry_after().is_some()
        );
    }
}

#[tokio::test]
async fn a_stream_whose_token_ends_is_refused_as_by_the_layer() {
    let invalid = r#"Bearer realm="shop", error="invalid_token""#;
    for (end, code, reason, challenge) in [
        (StreamEnd::Expired, "16", "expired", invalid),
        (StreamEnd::Revoked, "16", "revoked", invalid),
        (StreamEnd::Unavailable, "14", "unavailable", ""),
    ] {
        let stream = tower::service_fn(move |request: Request<String>| {
            let token = request.extensions().get::<VerifiedToken>().unwrap();
            let error = token.end_error(end);
            assert_eq!(error.reason(), reason);
            std::future::ready(Ok::<Response<String>, std::convert::Infallible>(
                error_response(error),
            ))
        });
        let service = layer(verifier()).realm("shop").layer(stream);
        let seen = Seen::of(service.oneshot(call(&token(""))).await.unwrap());
        assert_eq!((told(&seen).0, &*told(&seen).2), (code, challenge));
    }
}

#[tokio::test]
async fn a_closure_can_recognize_a_grpc_request() {
    let layer = JwtAuthLayer::new(verifier()).on_error(|error: &AuthError| {
        Response::new(error.grpc_content_type().unwrap_or("none").to_owned())
    });
    for (content_type, told) in [
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/json", "none"),
    ] {
        let seen = send(&layer, request(&[("content-type", content_type)])).await;
        assert_eq!(seen.body, told);
    }
}

#[test]
fn an_error_without_a_request_gets_the_fallback() {
    let error = AuthError::new(AuthErrorKind::Expired);
    let response: Response<String> = response_for(&GrpcStatus.or(ProblemJson), error);
    assert_eq!(Seen::of(response).verdict(), format!("401 {INVALID}"));
}
