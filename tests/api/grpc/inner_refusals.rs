//! Refusals of gRPC requests by code behind the layer: guards and the methods of services.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_jwt_auth::layer::{GrpcStatus, error_response};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{JwtAuthLayer, Require, VerifiedToken};

use super::{GRPC, call, layer, token, told};
use crate::support::{Seen, probe, request, tokens, verifier};

#[tokio::test]
async fn guards_and_methods_refuse_as_the_layer_does() {
    let write = Require::scope("write");
    let slow = || {
        write.clone().and(Require::that_async((), |(), _| async {
            tokio::task::yield_now().await;
            Ok::<_, StoreError>(true)
        }))
    };
    let challenge = r#"Bearer realm="shop", error="insufficient_scope", scope="write""#;
    let expected = (
        "7",
        "The bearer token does not allow this.",
        challenge.to_owned(),
    );
    let auth = layer(verifier()).realm("shop");
    for guard in [write.clone(), slow()] {
        let service = ServiceBuilder::new().layer(auth.clone()).layer(guard);
        let service = service.service(probe());
        let seen = Seen::of(service.clone().oneshot(call(&token(""))).await.unwrap());
        assert_eq!(told(&seen), expected);

        let good = call(&token(r#","scope":"write""#));
        let seen = Seen::of(service.oneshot(good).await.unwrap());
        assert_eq!(seen.body, "alice");
    }

    let by_hand = service_fn(async |request: Request<String>| {
        let token = request.extensions().get::<VerifiedToken>().unwrap();
        let refused = token.require(&Require::scope("write")).unwrap_err();
        let headers = GrpcStatus::headers(&refused);
        assert_eq!(headers["grpc-status"], "7");
        assert_eq!(
            headers["www-authenticate"],
            r#"Bearer realm="shop", error="insufficient_scope", scope="write""#
        );
        Ok::<Response<String>, Infallible>(error_response(refused))
    });
    let response = auth.layer(by_hand).oneshot(call(&token(""))).await;
    assert_eq!(told(&Seen::of(response.unwrap())), expected);

    let anonymous = ServiceBuilder::new()
        .layer(auth.optional())
        .layer(write.clone())
        .service(probe());
    let seen = Seen::of(anonymous.oneshot(request(&[GRPC])).await.unwrap());
    assert_eq!(told(&seen).0, "16");
}

#[tokio::test]
async fn a_guard_with_its_own_responder_reads_the_request() {
    let waits = Require::that_async((), |(), _| async {
        tokio::task::yield_now().await;
        Ok::<_, StoreError>(false)
    });
    for (guard, challenge) in [
        (
            Require::scope("write"),
            r#"Bearer realm="api", error="insufficient_scope", scope="write""#,
        ),
        (waits, r#"Bearer realm="api""#),
    ] {
        let service = ServiceBuilder::new()
            .layer(JwtAuthLayer::new(verifier()))
            .layer(guard.on_error(GrpcStatus))
            .service(probe());
        let seen = Seen::of(service.clone().oneshot(call(&token(""))).await.unwrap());
        assert_eq!((told(&seen).0, &*told(&seen).2), ("7", challenge));

        let mut plain = call(&token(""));
        plain.headers_mut().remove("content-type");
        let seen = Seen::of(service.oneshot(plain).await.unwrap());
        assert_eq!(seen.verdict(), format!("403 {challenge}"));
    }

    let no_layer = Require::scope("write").on_error(GrpcStatus).layer(probe());
    let seen = Seen::of(no_layer.oneshot(request(&[GRPC])).await.unwrap());
    let message = "The request could not be processed.";
    assert_eq!(told(&seen), ("13", message, String::new()));
}

#[tokio::test]
async fn an_inner_refusal_reaches_the_decision_hook() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let auth = layer(tokens().verifier()).on_decision(move |decision| {
        hook.lock().unwrap().push(decision.reason());
    });
    let service = ServiceBuilder::new()
        .layer(auth)
        .layer(Require::scope("write"))
        .service(probe());
    for request in [call(&token("")), request(&[GRPC])] {
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(
        *told.lock().unwrap(),
        ["accepted", "insufficient_scope", "missing_token"]
    );
}
