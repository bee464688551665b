//! What axum and tower refuse by themselves. `support` checks that each response is a problem document.

use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::started;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn the_process_is_alive_and_ready() {
    let service = started!();
    let answer = service.request(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({ "status": "ok" }));
    let answer = service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(answer.json(), json!({ "status": "ready" }));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let service = started!();
    for path in ["/nowhere", "/auth", "/me/"] {
        let answer = service.request(Method::GET, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.code(), "not_found");
    }
    let answer = service.request(Method::GET, "/auth/login", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.code(), "method_not_allowed");
    assert_eq!(answer.headers[ALLOW], "POST");
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let service = started!();
    for path in ["/auth/register", "/auth/login", "/auth/refresh"] {
        for body in ["", "{", "nonsense", "\u{0}"] {
            let answer = service.request(Method::POST, path, &JSON, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert_eq!(answer.code(), "invalid_request");
        }
        for body in ["{}", "7", r#"{"email":1,"password":2,"refresh_token":3}"#] {
            let answer = service.request(Method::POST, path, &JSON, body).await;
            assert_eq!(
                answer.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{path} {body}"
            );
            assert_eq!(answer.code(), "invalid_body");
        }
        for headers in [&[][..], &[(CONTENT_TYPE.as_str(), "text/plain")]] {
            let answer = service.request(Method::POST, path, headers, "{}").await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(answer.code(), "unsupported_media_type");
        }
        let large = json!({ "email": "x".repeat(64 * 1024) }).to_string();
        let answer = service.request(Method::POST, path, &JSON, large).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.code(), "too_large");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_client_error() {
    let service = started!();
    let mut connection = TcpStream::connect(service.address()).await.unwrap();
    let head = "POST /auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_must_name_exactly_one_host() {
    let service = started!();
    for hosts in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nhost: a\r\n",
        "host: a b\r\n",
    ] {
        for path in ["/healthz", "/", "/nowhere"] {
            let mut connection = TcpStream::connect(service.address()).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{hosts:?} {path}: {answer}"
            );
            assert!(answer.contains("application/problem+json"), "{answer}");
        }
    }
}

#[tokio::test]
async fn no_error_repeats_what_was_sent() {
    let service = started!();
    let body = r#"{"email":"ada@example.com","password":["hunter2-hunter2"]}"#;
    let answer = service
        .request(Method::POST, "/auth/login", &JSON, body)
        .await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
}
