//! Refusals of gRPC requests by axum's extractors and handlers.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tower::ServiceExt as _;
use tower_jwt_auth::guard::Scoped;
use tower_jwt_auth::layer::{GrpcStatus, ProblemJson};
use tower_jwt_auth::{AuthError, JwtAuthLayer, JwtClaims, Require, VerifiedToken};

use super::{call, token, told};
use crate::support::{Seen, request, verifier};

tower_jwt_auth::scopes! {
    struct Write = "write";
}

#[derive(Deserialize)]
struct WithTenant {
    #[serde(rename = "tenant")]
    _tenant: u32,
}

async fn answer(app: Router, request: Request<String>) -> Seen {
    let request = request.map(Body::from);
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut seen = Seen::of(Response::from_parts(parts, body));
    seen.headers.remove("content-length");
    seen
}

#[tokio::test]
async fn extractors_refuse_a_grpc_request_as_the_layer_does() {
    let by_hand = async |token: VerifiedToken| -> Result<(), AuthError> {
        token.require(&Require::scope("write"))
    };
    let routes = [
        post(async |_: Scoped<Write>| ()),
        post(by_hand),
        post(async |_: JwtClaims<WithTenant>| ()),
        post(async || ()).route_layer(Require::role("admin")),
    ];
    let auth = JwtAuthLayer::new(verifier())
        .optional()
        .on_error(GrpcStatus.or(ProblemJson));
    for (index, route) in routes.into_iter().enumerate() {
        let app = Router::new().route("/", route).route_layer(auth.clone());
        let sent = |mut request: Request<String>| {
            *request.method_mut() = http::Method::POST;
            request
        };
        let seen = answer(app.clone(), sent(call(&token("")))).await;
        let message = "The bearer token does not allow this.";
        assert_eq!((told(&seen).0, told(&seen).1), ("7", message), "{index}");
        let grpc = request(&[("content-type", "application/grpc")]);
        let seen = answer(app.clone(), sent(grpc)).await;
        assert_eq!(told(&seen).0, "16", "{index}");

        let seen = answer(app, sent(request(&[]))).await;
        assert_eq!(seen.status, 401, "{index}");
        assert_eq!(seen.headers["content-type"], "application/problem+json");
    }
}
