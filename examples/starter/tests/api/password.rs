//! Forgotten, reset and changed passwords.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{PASSWORD, Service, started};

const NEW: &str = "another horse, another battery";

/// Requests a link, and finds it in the email with this number.
async fn link(service: &Service, number: usize) -> String {
    // Emails may overtake each other, so wait for the previous one.
    service.letter("ada@example.com", number - 1).await;
    let body = json!({ "email": "ada@example.com" });
    let answer = service.post("/auth/password/forgot", &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let letter = service.letter("ada@example.com", number).await;
    letter.token("reset-password")
}

async fn reset(service: &Service, token: &str, password: &str) -> (StatusCode, String) {
    let body = json!({ "token": token, "new_password": password });
    let answer = service.post("/auth/password/reset", &body).await;
    match answer.status {
        StatusCode::NO_CONTENT => (answer.status, String::new()),
        _ => (answer.status, answer.code()),
    }
}

fn done() -> (StatusCode, String) {
    (StatusCode::NO_CONTENT, String::new())
}

fn invalid_link() -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, "invalid_link".to_owned())
}

async fn change(service: &Service, access: &str, current: &str, new: &str) -> StatusCode {
    let body = json!({ "current_password": current, "new_password": new });
    let path = "/auth/password/change";
    let answer = service.send_json(Method::POST, path, access, &body).await;
    answer.status
}

/// OWASP ASVS 5.0 V6.4.1, V6.4.3 and V6.5.1; OWASP Forgot Password Cheat Sheet.
#[tokio::test]
async fn a_reset_ends_all_sessions_and_logs_nobody_in() {
    let service = started!();
    let tokens = service.proved_user("ada@example.com").await;
    let link = link(&service, 2).await;
    assert_eq!(link.len(), 43, "256 bits");

    assert_eq!(reset(&service, &link, NEW).await, done());
    service.assert_over(&tokens).await;
    let old = service.login("ada@example.com", PASSWORD).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    service.login("ada@example.com", NEW).await.tokens();
    let letter = service.letter("ada@example.com", 3).await;
    assert!(letter.head.contains("Your password was changed"));
    assert_eq!(reset(&service, &link, PASSWORD).await, invalid_link());

    let kept: Vec<String> = sqlx::query_scalar("SELECT digest FROM one_time_tokens")
        .fetch_all(&mut service.database().await)
        .await
        .unwrap();
    assert!(!kept.contains(&link));
}

/// Neither the response nor the work of the request depends on the account.
#[tokio::test]
async fn a_forgotten_password_gets_the_same_response_for_everybody() {
    let service = started!();
    service.register("ada@example.com").await;
    let known = json!({ "email": "ada@example.com" });
    let known = service.post("/auth/password/forgot", &known).await;
    let resend = |registration: &str| json!({ "registration": registration });
    let unknown = "A".repeat(22);
    for email in ["nobody@example.com", "nobody@nowhere.test"] {
        for (path, body) in [
            ("/auth/password/forgot", json!({ "email": email })),
            ("/auth/email/resend", resend("no registration")),
            ("/auth/email/resend", resend(&unknown)),
        ] {
            let answer = service.post(path, &body).await;
            assert_eq!(answer.status, known.status, "{email}");
            assert_eq!(answer.body, known.body, "{email}");
            assert_eq!(answer.headers.len(), known.headers.len(), "{email}");
        }
    }
    service.letter("ada@example.com", 2).await;
    let place = service.stop().await;
    let count = std::fs::read_dir(place.folder.path().join("mail")).unwrap();
    let letters = count.flatten().filter(|file| {
        let name = file.file_name();
        name.to_str().unwrap().ends_with(".eml")
    });
    assert_eq!(
        letters.count(),
        2,
        "only users with an account get an email"
    );
}

/// Links lead to the configured address, whatever the request says.
#[tokio::test]
async fn links_do_not_use_the_host_header() {
    let service = started!();
    service.register("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    let headers = [
        ("content-type", "application/json"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("origin", "https://evil.example"),
    ];
    let body = json!({ "email": "ada@example.com" }).to_string();
    let path = "/auth/password/forgot";
    service.request(Method::POST, path, &headers, body).await;
    let letter = service.letter("ada@example.com", 2).await;
    assert!(!letter.text.contains("evil"), "{}", letter.text);
    letter.token("reset-password");
}

#[tokio::test]
async fn a_reset_link_is_bound_to_purpose_time_and_old_password() {
    let service = started!();
    let tokens = service.proved_user("ada@example.com").await;
    let confirm = service.letter("ada@example.com", 1).await;
    let confirm = confirm.token("confirm-email");
    assert_eq!(reset(&service, &confirm, NEW).await, invalid_link());
    for token in ["", "x", &"A".repeat(43), "\0"] {
        assert_eq!(reset(&service, token, NEW).await, invalid_link());
    }
    // A second link does not invalidate the first one. A changed password invalidates both.
    let first = link(&service, 2).await;
    let second = link(&service, 3).await;
    let changed = change(&service, &tokens.access, PASSWORD, NEW).await;
    assert_eq!(changed, StatusCode::NO_CONTENT);
    service.letter("ada@example.com", 4).await;
    for token in [first, second] {
        assert_eq!(reset(&service, &token, PASSWORD).await, invalid_link());
    }
    let old = link(&service, 5).await;
    sqlx::query("UPDATE one_time_tokens SET expires_at = created_at")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(reset(&service, &old, PASSWORD).await, invalid_link());
    let disabled = link(&service, 6).await;
    sqlx::query("UPDATE users SET disabled = TRUE")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(reset(&service, &disabled, PASSWORD).await, invalid_link());
}

#[tokio::test]
async fn a_refused_password_does_not_use_up_the_link() {
    let service = started!();
    service.register("ada@example.com").await;
    let link = link(&service, 2).await;
    let (status, code) = reset(&service, &link, "short").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(code, "invalid_password");
    assert_eq!(reset(&service, &link, NEW).await, done());
}

#[tokio::test]
async fn an_unusable_hash_counts_as_a_wrong_password_until_a_reset() {
    let service = started!();
    service.user("ada@example.com").await;
    for hash in ["", "!", "pbkdf2_sha256$600000$c2FsdA$aGFzaA=="] {
        let stored = sqlx::query("UPDATE users SET password_hash = $1")
            .bind(hash)
            .execute(&mut service.database().await)
            .await
            .unwrap();
        assert_eq!(stored.rows_affected(), 1);
        let answer = service.login("ada@example.com", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{hash:?}");
    }
    let link = link(&service, 2).await;
    assert_eq!(reset(&service, &link, NEW).await, done());
    service.login("ada@example.com", NEW).await.tokens();
}

/// OWASP ASVS 5.0 V6.5.1.
#[tokio::test(flavor = "multi_thread")]
async fn of_8_concurrent_resets_with_one_link_one_succeeds() {
    let service = std::sync::Arc::new(started!());
    service.proved_user("ada@example.com").await;
    let link = link(&service, 2).await;
    let racers: Vec<_> = (0..8)
        .map(|number| {
            let (service, link) = (service.clone(), link.clone());
            let password = format!("{NEW} {number}");
            tokio::spawn(async move { (reset(&service, &link, &password).await, password) })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        let (answer, password) = racer.await.unwrap();
        if answer == done() {
            winners.push(password);
        } else if answer.0 != StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer, invalid_link());
        }
    }
    // A slow machine may refuse some passwords with 503. Then the link still works.
    if winners.is_empty() {
        assert_eq!(reset(&service, &link, NEW).await, done());
        winners.push(NEW.to_owned());
    }
    assert_eq!(winners.len(), 1);
    service.login("ada@example.com", &winners[0]).await.tokens();
}

#[tokio::test]
async fn a_mailbox_is_not_flooded() {
    let service = started!();
    service.register("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    for _ in 0..12 {
        let body = json!({ "email": "ada@example.com" });
        let answer = service.post("/auth/password/forgot", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let folder = service.stop().await.folder;
    let mail = folder.path().join("mail");
    let letters = crate::support::mail::Letter::all(&mail, "ada@example.com");
    assert_eq!(letters.len(), 6);
}

/// OWASP ASVS 5.0 V6.2.2, V6.2.3, V6.3.7 and V7.4.3.
#[tokio::test]
async fn changing_the_password_needs_it_and_ends_other_sessions() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let other = service.login("ada@example.com", PASSWORD).await.tokens();
    let wrong = change(&service, &tokens.access, NEW, NEW).await;
    assert_eq!(wrong, StatusCode::FORBIDDEN);
    let short = change(&service, &tokens.access, PASSWORD, "short").await;
    assert_eq!(short, StatusCode::UNPROCESSABLE_ENTITY);
    service.assert_good(&other).await;

    let changed = change(&service, &tokens.access, PASSWORD, NEW).await;
    assert_eq!(changed, StatusCode::NO_CONTENT);
    service.assert_over(&other).await;
    service.assert_good(&tokens).await;
    let old = service.login("ada@example.com", PASSWORD).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    service.login("ada@example.com", NEW).await.tokens();
    let letter = service.letter("ada@example.com", 2).await;
    assert!(letter.head.contains("Your password was changed"));
}
