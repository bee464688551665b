//! The metrics for Prometheus.

use axum::http::{Method, StatusCode};
use service::{MetricsPlace, serve_metrics};

use crate::support::{Client, PASSWORD};
use crate::{everything, start};

#[tokio::test]
async fn requests_refusals_sessions_and_passwords_are_counted() {
    let service = start(everything()).await;
    let tokens = service.user("ada@example.com").await;
    service.login("ada@example.com", "wrong").await;
    service.get("/me", &tokens.access).await;
    service.get("/me", "garbage").await;
    service.get("/admin", &tokens.access).await;
    service.get("/nowhere/ada@example.com", "").await;
    service
        .request(Method::from_bytes(b"HUNTER2").unwrap(), "/me", &[], "")
        .await;
    service
        .send(Method::DELETE, "/auth/sessions/no-such-id", &tokens.access)
        .await;
    // The response to the first request was lost.
    for _ in 0..2 {
        service.refresh(&tokens.refresh).await.tokens();
    }
    service.logout(&tokens.access).await;

    let answer = service.fetch(Method::GET, "/metrics", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = answer.text();
    for line in [
        r#"http_requests_total{method="POST",route="/auth/register",status="202"} 1"#,
        r#"http_requests_total{method="POST",route="/auth/login",status="401"} 1"#,
        r#"http_requests_total{method="GET",route="/me",status="200"} 1"#,
        r#"http_requests_total{method="GET",route="/me",status="401"} 1"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"http_requests_total{method="other",route="/me",status="401"} 1"#,
        r#"http_requests_total{method="DELETE",route="/auth/sessions/{id}",status="404"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/me"} 2"#,
        r#"http_requests_in_flight 1"#,
        r#"auth_refusals_total{kind="malformed_token"} 1"#,
        r#"auth_refusals_total{kind="insufficient_scope"} 1"#,
        r#"auth_decisions_total{outcome="refused",reason="not_three_parts",cached=""} 1"#,
        r#"auth_decisions_total{outcome="refused_downstream",reason="insufficient_scope",cached=""} 1"#,
        r#"session_events_total{event="session_opened",reason=""} 1"#,
        r#"session_events_total{event="refresh_converged",reason="concurrent"} 1"#,
        r#"session_events_total{event="session_ended",reason="revoked"} 1"#,
        r#"password_duration_seconds_count{outcome="done"} 3"#,
        r#"passwords_in_flight 0"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
    // Nothing that a user chose or owns.
    for private in [
        "ada",
        "HUNTER2",
        "nowhere",
        "no-such-id",
        PASSWORD,
        &tokens.access,
    ] {
        assert!(!text.contains(private), "{private}\n{text}");
    }
}

#[tokio::test]
async fn metrics_are_off_by_default_and_can_have_their_own_address() {
    let service = start(Default::default()).await;
    let answer = service.request(Method::GET, "/metrics", &[], "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);

    let place = MetricsPlace::At("127.0.0.1:0".to_owned());
    let address = serve_metrics(&place, &service.app).await.unwrap();
    let own = Client::new(address.unwrap());
    let answer = own.fetch(Method::GET, "/metrics", &[]).await;
    assert!(
        answer
            .text()
            .contains(r#"route="unmatched",status="404"} 1"#)
    );
    let answer = own.fetch(Method::GET, "/me", &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
