//! Pages of other sites: only the configured ones are allowed, and never with cookies.

use axum::http::{Method, StatusCode};

use crate::{everything, start};

const NAMED: &str = "https://app.example.com";

#[tokio::test]
async fn a_preflight_is_answered_before_a_token_is_asked_for() {
    let service = start(everything()).await;
    for path in ["/me", "/auth/login", "/auth/sessions/7"] {
        let asked = [
            ("origin", NAMED),
            ("access-control-request-method", "GET"),
            (
                "access-control-request-headers",
                "authorization,content-type",
            ),
        ];
        let answer = service.fetch(Method::OPTIONS, path, &asked).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), NAMED);
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers, "authorization,content-type,dpop");
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("DELETE")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn a_configured_origin_may_read_responses_and_errors() {
    let service = start(everything()).await;
    for origin in [NAMED, "http://localhost:5173"] {
        let answer = service
            .fetch(Method::GET, "/me", &[("origin", origin)])
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("vary").contains("origin"));
        let exposed = answer.header("access-control-expose-headers");
        for name in ["www-authenticate", "dpop-nonce"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn other_origins_may_not_read_responses() {
    let service = start(everything()).await;
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "https://sub.app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "http://localhost:5174",
        "null",
        "*",
    ] {
        let asked = [("origin", origin), ("access-control-request-method", "GET")];
        for method in [Method::OPTIONS, Method::GET] {
            let answer = service.fetch(method, "/healthz", &asked).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        }
    }
}

#[tokio::test]
async fn no_origin_is_allowed_by_default() {
    let service = start(Default::default()).await;
    let answer = service
        .fetch(Method::GET, "/me", &[("origin", NAMED)])
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let asked = [("origin", NAMED), ("access-control-request-method", "GET")];
    let answer = service.fetch(Method::OPTIONS, "/healthz", &asked).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}
