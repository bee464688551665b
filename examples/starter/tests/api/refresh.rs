//! `POST /auth/refresh`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use crate::support::{Answer, Service, issuer_in_the_past};

fn assert_invalid_grant(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let service = Service::start().await;
    let first = service.user("ada@example.com").await;
    let answer = service.refresh(&first.refresh).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 900);
    let second = answer.tokens();
    assert_eq!(
        service.get("/me", &second.access).await.status,
        StatusCode::OK
    );

    assert_invalid_grant(&service.refresh(&first.refresh).await);
    service.refresh(&second.refresh).await.tokens();
}

#[tokio::test]
async fn a_refresh_token_that_was_used_stays_used_after_a_restart() {
    let service = Service::start().await;
    let first = service.user("ada@example.com").await;
    let second = service.refresh(&first.refresh).await.tokens();
    let service = Service::start_in(service.stop().await).await;
    assert_invalid_grant(&service.refresh(&first.refresh).await);
    service.refresh(&second.refresh).await.tokens();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_refreshes_at_once_one_succeeds() {
    let service = Arc::new(Service::start().await);
    let tokens = service.user("ada@example.com").await;
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let (service, token) = (Arc::clone(&service), tokens.refresh.clone());
            tokio::spawn(async move { service.refresh(&token).await })
        })
        .collect();
    let mut traded = 0;
    for racer in racers {
        let answer = racer.await.unwrap();
        if answer.status == StatusCode::OK {
            traded += 1;
        } else {
            assert_invalid_grant(&answer);
        }
    }
    assert_eq!(traded, 1);
}

#[tokio::test]
async fn what_is_no_good_refresh_token_is_one_answer() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let id = service.get("/me", &tokens.access).await.json()["sub"].clone();
    let id = id.as_str().unwrap();
    let expired = issuer_in_the_past(Duration::from_secs(31 * 86_400));
    let expired = expired.refresh(id).session("s").issue().unwrap();
    let now = issuer_in_the_past(Duration::ZERO);
    let stranger = now.refresh("nobody").session("s").issue().unwrap();
    let (signed, _) = tokens.refresh.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(43));

    for token in [
        "",
        "garbage",
        "a.b.c",
        &tokens.access,
        &expired,
        &stranger,
        &forged,
    ] {
        assert_invalid_grant(&service.refresh(token).await);
    }
    service.refresh(&tokens.refresh).await.tokens();
}

#[tokio::test]
async fn a_refresh_reads_the_row_of_the_user_again() {
    let service = Service::start().await;
    let tokens = service.user("ada@example.com").await;
    let email = starter::Email::parse("ada@example.com").unwrap();
    for _ in 0..2 {
        assert!(service.app.users().grant(&email, "admin").await.unwrap());
    }
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    let tokens = service.refresh(&tokens.refresh).await.tokens();
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["users"], 1);
    let me = service.get("/me", &tokens.access).await.json();
    assert_eq!(me["scopes"], serde_json::json!(["admin"]));

    sqlx::query("UPDATE users SET disabled = 1")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_invalid_grant(&service.refresh(&tokens.refresh).await);
    let answer = service.get("/me", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
