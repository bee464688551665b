//! Which messages wait while a mail server defers some of them.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::PASSWORD; // chapter: sms
use crate::support::smtp::Sink;
use crate::support::started;

// chapter: sms {
#[tokio::test]
async fn deferred_emails_do_not_delay_other_messages() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    for number in 0..8 {
        let email = format!("later{number}@example.com");
        let answer = service.register(&email).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    sink.wait_until_put_off(8).await;
    service.register("ada@example.com").await;
    let letter = sink.wait(1).await;
    assert!(letter.head.contains("To: ada@example.com"), "{letter:?}");
    let body = json!({ "token": letter.token("confirm-email") });
    let answer = service.post("/auth/email/verify", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);

    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let body = json!({ "current_password": PASSWORD, "phone": "+4915112345678" });
    let path = "/auth/second-factor/sms";
    let answer = service.post_as(&tokens, path, &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let folder = service.place.folder.path().join("sms");
    for _ in 0..2000 {
        let files = std::fs::read_dir(&folder).unwrap().flatten();
        let mut names = files.map(|file| file.file_name());
        if names.any(|name| name.to_string_lossy().ends_with(".txt")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no SMS");
}
// chapter: sms }

/// Nobody can delay the emails of others by requesting many to one slow mailbox.
#[tokio::test]
async fn one_recipient_occupies_one_worker() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    service.register("silent@example.com").await;
    let body = json!({ "email": "silent@example.com" });
    for _ in 0..8 {
        let answer = service.post("/auth/password/forgot", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    sink.wait_until_put_off(1).await;
    service.register("ada@example.com").await;
    let letter = sink.wait(1).await;
    assert!(letter.head.contains("To: ada@example.com"), "{letter:?}");
}

/// A user gets few links within 15 minutes, so a mail server that defers them must not use them up.
#[tokio::test]
async fn a_retry_sends_the_same_link() {
    let sink = Sink::start().await;
    let service = started!(with | settings | settings.mail.smtp_url = Some(sink.url()));
    sink.later.store(1, Ordering::SeqCst);
    service.register("ada@example.com").await;
    sink.wait(1).await;
    let links: i64 = sqlx::query_scalar("SELECT count(*) FROM registration_links")
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(links, 1);
}
