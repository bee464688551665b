//! Emails to a mail server, and what happens to them when it is unavailable.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;

use crate::support::smtp::Sink;
use crate::support::started;

#[tokio::test]
async fn an_email_reaches_the_server_with_a_link_to_the_public_url() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    service.register("ada@example.com").await;
    let letter = sink.wait(1).await;
    for line in [
        "From: no-reply@service-place-",
        "To: ada@example.com",
        "Subject: Please confirm your email address",
        "Date: ",
        "Message-ID: ",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(letter.head.contains(line), "{line}: {}", letter.head);
    }
    let body = json!({ "token": letter.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_email_is_retried_after_4xx_and_given_up_after_5xx() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    sink.never.store(1, Ordering::SeqCst);
    service.register("nobody@example.com").await;
    while sink.never.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sink.later.store(1, Ordering::SeqCst);
    service.register("ada@example.com").await;
    let letter = sink.wait(1).await;
    assert!(letter.head.contains("To: ada@example.com"));
    service.stop().await;
    assert_eq!(sink.letters().len(), 1);
}

#[tokio::test]
async fn no_response_waits_for_the_mail_server() {
    // This server accepts connections, and never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let service = started!(with | settings | settings.mail.smtp_url = Some(url));
    let start = Instant::now();
    for _ in 0..20 {
        let body = json!({ "email": "ada@example.com" });
        let answer = service.post("/auth/password/forgot", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let answer = service.register("ada@example.com").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    // If requests waited for emails, each would wait for a server that never responds.
    assert!(start.elapsed() < Duration::from_secs(60));
    // The service can still stop.
    let start = Instant::now();
    service.stop().await;
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn waiting_emails_are_sent_before_the_service_stops() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    // The first attempt fails, and the second one would come a second later.
    sink.later.store(1, Ordering::SeqCst);
    for number in 0..10 {
        let email = format!("user{number}@example.com");
        let answer = service.register(&email).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    service.stop().await;
    assert_eq!(sink.letters().len(), 10);
}
