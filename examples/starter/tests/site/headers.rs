//! The security headers of responses, and request ids.

use axum::http::Method;

use crate::{everything, start};

#[tokio::test]
async fn api_responses_can_do_nothing_in_a_browser() {
    let service = start(everything()).await;
    for path in ["/healthz", "/me", "/auth/login", "/nowhere"] {
        let answer = service.fetch(Method::GET, path, &[]).await;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=63072000"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
}

#[tokio::test]
async fn hsts_is_sent_only_with_https() {
    for operations in [
        Default::default(),
        service::Operations {
            public_url: Some(crate::origin("http://localhost:3000")),
            ..Default::default()
        },
    ] {
        let service = start(operations).await;
        let answer = service.fetch(Method::GET, "/healthz", &[]).await;
        assert_eq!(answer.header("strict-transport-security"), "");
    }
}

#[tokio::test]
async fn responses_have_the_id_of_their_request() {
    let service = start(Default::default()).await;
    let id = |answer: &crate::support::Answer| answer.header("x-request-id").to_owned();
    let given = [("x-request-id", "7e1f-AB_c.9")];
    let answer = service.fetch(Method::GET, "/nowhere", &given).await;
    assert_eq!(id(&answer), "7e1f-AB_c.9");

    let mut made = vec![
        id(&service.fetch(Method::GET, "/healthz", &[]).await),
        id(&service.fetch(Method::GET, "/healthz", &[]).await),
    ];
    // Ids that could confuse the log are replaced.
    let long = "a".repeat(65);
    for odd in ["", "a b", "a\tb", "{\"a\":1}", "a;b", long.as_str()] {
        let answer = service
            .fetch(Method::GET, "/healthz", &[("x-request-id", odd)])
            .await;
        assert_ne!(id(&answer), odd);
        made.push(id(&answer));
    }
    assert!(made.iter().all(|id| id.len() == 22), "{made:?}");
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 8);
}
