//! `grpc-server`, copied and built: its own tests call it over gRPC, and these tests call it over HTTP.

use crate::server::{self, Server};
use crate::{NO_VARIABLES, copied};

const NAME: &str = "grpc-server";

#[test]
fn copied_examples_pass_their_own_grpc_tests() {
    if let Err(said) = copied::test(&copied::built(NAME), &[]) {
        panic!("{said}");
    }
}

#[test]
fn copied_examples_serve_http_beside_grpc() {
    let server = Server::start(NAME, &NO_VARIABLES);
    let healthy = server.get_with("/healthz", &[]);
    assert_eq!((healthy.status, &*healthy.body), (200, "ok"));

    let answer = server.get("/me", &server.printed_token());
    assert_eq!(answer.status, 200, "{answer:?}");
    let claims: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["scope"], "orders:write");

    for path in ["/me", "/orders.v1.Orders/Get"] {
        let refused = server.get(path, "garbage");
        assert_eq!(refused.status, 401, "{refused:?}");
        let challenge = r#"Bearer realm="api", error="invalid_token""#;
        assert_eq!(refused.header("www-authenticate"), [challenge]);
        let json = "application/problem+json";
        assert_eq!(refused.header("content-type"), [json]);
        assert!(refused.body.contains("The bearer token is not valid."));
    }
}

#[test]
fn copied_examples_with_grpc_report_a_bad_configuration() {
    let (code, errors) = server::run_to_the_end(NAME, &[("JWT_SECRET", "short")]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("JWT_ISSUER is not set"), "{errors}");
}
