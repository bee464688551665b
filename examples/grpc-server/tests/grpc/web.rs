//! gRPC-Web, and plain HTTP on the same port.

use axum::body::Body;
use axum::http::{Request, Response};
use grpc_server::proto::GetRequest;
use grpc_server::proto::orders_client::OrdersClient;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::Code;
use tonic_web::GrpcWebClientLayer;
use tower::Layer;

use crate::support::{Service, metadata, with_token};

/// Status, headers and body of an HTTP/1.1 request.
async fn send(request: Request<Body>) -> Response<String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_grpc_web_client_reads_responses_and_refusals() {
    let service = Service::start().await;
    let http = Client::builder(TokioExecutor::new()).build_http();
    let web = GrpcWebClientLayer::new().layer(http);
    let origin = format!("http://{}", service.address).parse().unwrap();
    let mut orders = OrdersClient::with_origin(web, origin);
    let order = || GetRequest { id: "1".into() };

    let got = orders.get(with_token(order(), &service.token())).await;
    assert_eq!(got.unwrap().into_inner().owner, "alice");

    let refused = orders.get(order()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "The request needs a bearer token.");
    assert_eq!(
        metadata(&refused, "www-authenticate"),
        r#"Bearer realm="api""#
    );

    service.lose_the_store();
    let refused = orders.get(with_token(order(), &service.token())).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(metadata(&refused, "retry-after"), "1");
}

#[tokio::test]
async fn a_grpc_web_refusal_has_the_form_of_its_request() {
    let service = Service::start().await;
    let uri = format!("http://{}/orders.v1.Orders/Get", service.address);
    for content_type in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
    ] {
        let request = Request::post(&uri).header("content-type", content_type);
        let response = send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.headers()["grpc-status"], "16");
        assert_eq!(response.body(), "");
    }
}

#[tokio::test]
async fn plain_http_gets_http_responses() {
    let service = Service::start().await;
    let get = |path: &str| Request::get(format!("http://{}{path}", service.address));

    let response = send(get("/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (response.status().as_u16(), &**response.body()),
        (200, "ok")
    );

    for path in ["/me", "/orders.v1.Orders/Get"] {
        let response = send(get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="api""#
        );
        let json = "application/problem+json";
        assert_eq!(response.headers()["content-type"], json);
        assert!(
            response
                .body()
                .contains("The request needs a bearer token.")
        );
        assert!(!response.headers().contains_key("grpc-status"));
    }

    let bearer = format!("Bearer {}", service.token());
    let request = get("/me").header("authorization", bearer);
    let response = send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert!(response.body().contains(r#""sub":"alice""#));
}
