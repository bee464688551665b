//! `POST /auth/refresh`.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Request, StatusCode};
use serde_json::json;
use service::SessionSettings;
use tower_service::Service as _;

use crate::support::{PASSWORD, Service, claims, issuer_in_the_past, started};

async fn execute(service: &Service, statement: &'static str) {
    let done = sqlx::query(statement)
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test]
async fn a_refresh_returns_the_next_pair() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let answer = service.refresh(&first.refresh).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 900);
    let second = answer.tokens();
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(claims(&second.access)["sid"], claims(&first.access)["sid"]);
    for token in [&first.access, &second.access] {
        assert_eq!(service.get("/me", token).await.status, StatusCode::OK);
    }
    service.refresh(&second.refresh).await.tokens();
}

#[tokio::test]
async fn a_client_that_lost_the_response_gets_it_again() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let lost = service.refresh(&first.refresh).await.tokens();
    let again = service.refresh(&first.refresh).await.tokens();
    assert_eq!(again.refresh, lost.refresh);
    assert_eq!(
        service.get("/me", &again.access).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_replaced_token_works_only_for_the_client_that_replaced_it() {
    let service = started!();
    service.register("ada@example.com").await;
    // A missing header is a mark as well, so a thief gains nothing by leaving it out.
    for (own, other) in [("browser", "thief"), ("browser", ""), ("", "thief")] {
        let first = service.login("ada@example.com", PASSWORD).await.tokens();
        let second = service.refresh_as(own, &first.refresh).await.tokens();
        let again = service.refresh_as(own, &first.refresh).await.tokens();
        assert_eq!(again.refresh, second.refresh);

        let stolen = service.refresh_as(other, &first.refresh).await;
        stolen.assert_invalid_grant();
        service.assert_over(&second).await;
    }
}

#[tokio::test]
async fn an_updated_client_can_still_use_its_token() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let second = service.refresh_as("browser/1", &first.refresh).await;
    let second = second.tokens().refresh;
    let third = service.refresh_as("browser/2", &second);
    service.assert_good(&third.await.tokens()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_concurrent_refreshes_all_get_the_same_token() {
    let service = Arc::new(started!());
    let tokens = service.user("ada@example.com").await;
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let (service, token) = (Arc::clone(&service), tokens.refresh.clone());
            tokio::spawn(async move { service.refresh(&token).await.tokens() })
        })
        .collect();
    let mut next = HashSet::new();
    for racer in racers {
        next.insert(racer.await.unwrap().refresh);
    }
    assert_eq!(next.len(), 1);
    for token in next {
        service.refresh(&token).await.tokens();
    }
}

#[tokio::test]
async fn reusing_a_token_ends_the_session_after_a_later_refresh() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let other = service.login("ada@example.com", PASSWORD).await.tokens();
    let second = service.refresh(&first.refresh).await.tokens();
    let third = service.refresh(&second.refresh).await.tokens();

    service.refresh(&first.refresh).await.assert_invalid_grant();
    service.refresh(&third.refresh).await.assert_invalid_grant();
    for token in [&first.access, &second.access, &third.access] {
        let answer = service.get("/me", token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.code(), "invalid_token");
    }
    assert_eq!(service.sessions(&other.access).await.len(), 1);
    service.refresh(&other.refresh).await.tokens();
}

#[tokio::test]
async fn reusing_a_token_ends_the_session_after_the_grace_period() {
    let sessions = SessionSettings {
        rotation_grace: Duration::ZERO,
        ..SessionSettings::default()
    };
    let service = started!(sessions);
    let first = service.user("ada@example.com").await;
    let second = service.refresh(&first.refresh).await.tokens();
    assert_eq!(
        service.get("/me", &second.access).await.status,
        StatusCode::OK
    );
    // The first use of an access token is recorded outside the request. Until then, the first refresh token
    // counts as that of a client that has lost the response.
    let mut answer = service.refresh(&first.refresh).await;
    for _ in 0..1000 {
        if answer.status != StatusCode::OK {
            break;
        }
        assert_eq!(answer.tokens().refresh, second.refresh);
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = service.refresh(&first.refresh).await;
    }
    answer.assert_invalid_grant();
    let answer = service.get("/me", &second.access).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    service
        .refresh(&second.refresh)
        .await
        .assert_invalid_grant();
}

#[tokio::test]
async fn an_idle_session_ends() {
    let sessions = SessionSettings {
        idle_ttl: Duration::from_secs(1),
        ..SessionSettings::default()
    };
    let service = started!(sessions);
    let tokens = service.user("ada@example.com").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    service
        .refresh(&tokens.refresh)
        .await
        .assert_invalid_grant();
    assert!(service.sessions(&tokens.access).await.is_empty());
}

#[tokio::test]
async fn all_bad_refresh_tokens_get_the_same_response() {
    let service = started!();
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
        service.refresh(token).await.assert_invalid_grant();
    }
    service.refresh(&tokens.refresh).await.tokens();
}

// chapter: admin {
#[tokio::test]
async fn a_refresh_reads_the_user_again() {
    let service = started!();
    service.register("ada@example.com").await;
    execute(&service, "UPDATE users SET scopes = 'admin reports'").await;
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    assert_eq!(claims(&tokens.access)["email"], "ada@example.com");
    assert_eq!(claims(&tokens.access)["scope"], "admin reports");

    let change = "UPDATE users SET scopes = 'reports more', email = 'ada@lovelace.example'";
    execute(&service, change).await;
    let tokens = service.refresh(&tokens.refresh).await.tokens();
    assert_eq!(claims(&tokens.access)["email"], "ada@lovelace.example");
    let me = service.get("/me", &tokens.access).await.json();
    assert_eq!(me["scopes"], json!(["reports"]));
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    // A scope of the login comes back if the user gets it again. Any other scope does not.
    execute(&service, "UPDATE users SET scopes = 'admin more'").await;
    let tokens = service.refresh(&tokens.refresh).await.tokens();
    let me = service.get("/me", &tokens.access).await.json();
    assert_eq!(me["scopes"], json!(["admin"]));
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.json()["users"], 1);
}
// chapter: admin }

const DISABLE: &str = "UPDATE users SET disabled = TRUE";
const ENABLE: &str = "UPDATE users SET disabled = FALSE";

#[tokio::test]
async fn a_disabled_user_gets_no_more_tokens_and_the_session_ends() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    execute(&service, DISABLE).await;
    service
        .refresh(&tokens.refresh)
        .await
        .assert_invalid_grant();
    execute(&service, ENABLE).await;
    service.assert_over(&tokens).await;
}

#[tokio::test]
async fn a_deleted_user_gets_no_more_tokens() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    execute(&service, "DELETE FROM users").await;
    service
        .refresh(&tokens.refresh)
        .await
        .assert_invalid_grant();
    let sessions = service.get("/auth/sessions", &tokens.access).await;
    sessions.assert_invalid_token();
}

/// Polls the request this many times, and drops it. Returns the status if there was a response.
async fn dropped_after(polls: usize, service: &Service, refresh_token: &str) -> Option<StatusCode> {
    let body = json!({ "refresh_token": refresh_token }).to_string();
    let request = Request::post("/auth/refresh")
        .header(HOST, "auth.test")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    let mut answer = pin!(service.app.router().call(request.unwrap()));
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let answer = answer.as_mut().poll(context);
        answer.map(|Ok(answer)| Some(answer.status()))
    })
    .await
}

/// Wherever the client disconnects, the session has ended with its access tokens, or it continues.
#[tokio::test]
async fn a_dropped_refusal_happens_completely_or_not_at_all() {
    let service = started!();
    service.register("ada@example.com").await;
    for polls in 1.. {
        let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
        execute(&service, DISABLE).await;
        let answered = dropped_after(polls, &service, &tokens.refresh).await;
        if let Some(status) = answered {
            assert_eq!(status, StatusCode::BAD_REQUEST);
        }
        let is_answered = answered.is_some();
        execute(&service, ENABLE).await;

        let answer = service.refresh(&tokens.refresh).await;
        if is_answered || answer.status != StatusCode::OK {
            answer.assert_invalid_grant();
            service
                .get("/me", &tokens.access)
                .await
                .assert_invalid_token();
        }
        if is_answered {
            break;
        }
    }
}
