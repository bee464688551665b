//! `POST /auth/register`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Answer, PASSWORD, started};

/// The response is the same, whatever existed before.
fn assert_answer(answer: &Answer) {
    let mut json = answer.json();
    let registration = json["registration"].take();
    assert_eq!(registration.as_str().unwrap().len(), 22);
    assert_eq!(
        json,
        json!({ "email": "ada@example.com", "registration": null })
    );
}

#[tokio::test]
async fn a_new_account_has_an_id_and_a_normalized_address() {
    let service = started!();
    let answer = service.register("  Ada@Example.COM ").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_answer(&answer);

    let mut database = service.database().await;
    let (id, hash, scopes): (String, String, String) =
        sqlx::query_as("SELECT id, password_hash, scopes FROM users")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(id.len(), 22);
    assert!(hash.starts_with("$argon2id$"));
    assert_eq!(scopes, "");
}

#[tokio::test]
async fn only_the_owner_learns_that_an_address_is_taken() {
    let service = started!();
    let first = service.register("ada@example.com").await;
    let letter = service.letter("ada@example.com", 1).await;
    let account = json!({ "email": "ADA@example.com", "password": "not the horse of before" });
    let again = service.post("/auth/register", &account).await;
    assert_eq!(again.status, first.status);
    assert_answer(&again);
    assert_eq!(again.headers.len(), first.headers.len());
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    service.login("ada@example.com", PASSWORD).await.tokens();

    // An unconfirmed address gets a link for each registration. A confirmed one gets an email about the
    // attempt.
    let second = service.letter("ada@example.com", 2).await;
    second.token("confirm-email");
    let body = json!({ "token": letter.token("confirm-email") });
    service.post("/auth/email/verify", &body).await;
    assert_answer(&service.register("ada@example.com").await);
    let third = service.letter("ada@example.com", 3).await;
    assert!(third.head.contains("You already have an account"));
    third.token("reset-password");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_concurrent_registrations_one_makes_the_account() {
    let service = Arc::new(started!());
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.register("ada@example.com").await.status })
        })
        .collect();
    for racer in racers {
        match racer.await.unwrap() {
            // A slow machine may refuse some passwords with 503.
            StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(service.app.users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn malformed_addresses_cannot_register() {
    let service = started!();
    let long = format!("{}@example.com", "a".repeat(254));
    for email in ["", "ada", "ada@", "@example.com", "a b@example.com", &long] {
        let answer = service.register(email).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{email}");
        assert_eq!(answer.code(), "invalid_email");
    }
}

// chapter: admin {
#[tokio::test]
async fn nobody_becomes_admin_by_registering() {
    let service = started!();
    let account = json!({
        "email": "ada@example.com", "password": PASSWORD,
        "scopes": "admin", "scope": "admin", "id": "chosen", "disabled": false,
    });
    let answer = service.post("/auth/register", &account).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_answer(&answer);
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let answer = service.get("/admin", &tokens.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
// chapter: admin }

#[tokio::test]
async fn text_that_looks_like_sql_is_only_text() {
    let service = started!();
    let email = "x'or'1'='1'--@example.com";
    assert_eq!(service.register(email).await.status, StatusCode::ACCEPTED);
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    let answer = service.login("'or'1'='1'--@x.example", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

/// Addresses are checked once, at registration, by the library that sends the emails.
#[tokio::test]
async fn every_accepted_address_can_get_an_email() {
    let service = started!();
    let long = "l".repeat(64);
    let longer = format!("{long}@example.com");
    for (address, stored) in [
        ("ada+tag@example.com", Some("ada+tag@example.com")),
        ("o'hara_{1}@example.com", Some("o'hara_{1}@example.com")),
        ("ada@mail-1.example.com", Some("ada@mail-1.example.com")),
        (longer.as_str(), Some(longer.as_str())),
        // A domain in another script has an ASCII form, which is its single spelling.
        ("ada@b\u{fc}cher.example", Some("ada@xn--bcher-kva.example")),
        ("bob@B\u{dc}CHER.example", Some("bob@xn--bcher-kva.example")),
        (
            "eve@bu\u{308}cher.example",
            Some("eve@xn--bcher-kva.example"),
        ),
        ("zoe@exam\u{200b}ple.com", Some("zoe@example.com")),
        // Other characters before the `@` would need SMTPUTF8 on every server on the way.
        ("j\u{fc}rgen@example.com", None),
        ("\u{7528}\u{6237}@example.com", None),
        (&format!("l{longer}"), None),
        ("a..b@example.com", None),
        (".a@example.com", None),
        ("a.@example.com", None),
        ("a,b@example.com", None),
        ("a;b@example.com", None),
        ("a:b@example.com", None),
        ("a<b@example.com", None),
        ("a>b@example.com", None),
        ("a(b)@example.com", None),
        ("a[b]@example.com", None),
        ("a\\b@example.com", None),
        ("\"a b\"@example.com", None),
        ("\"ab\"@example.com", None),
        ("a@example..com", None),
        ("a@-example.com", None),
        ("a@example-.com", None),
        ("a@exam_ple.com", None),
        ("a@exam ple.com", None),
        ("a@192.0.2.1", None),
        ("a@[192.0.2.1]", None),
        ("a@[IPv6:2001:db8::1]", None),
    ] {
        let answer = service.register(address).await;
        match stored {
            Some(stored) => {
                assert_eq!(answer.status, StatusCode::ACCEPTED, "{address}");
                assert_eq!(answer.json()["email"], stored);
                service.letter(stored, 1).await.token("confirm-email");
            }
            None => {
                assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
                assert_eq!(answer.code(), "invalid_email");
            }
        }
    }
}
