//! `POST /auth/login`, and the replacement of bcrypt hashes.

use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;

use crate::support::{PASSWORD, started};

/// [`PASSWORD`] as another program has hashed it: crypt(3) of libxcrypt.
pub(super) const BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuuGGgFFcYeueaAql8Z7U7CnCTRw4DR77W";

#[tokio::test]
async fn a_login_returns_a_pair_of_tokens() {
    let service = started!();
    service.register("ada@example.com").await;
    let answer = service.login(" ADA@example.com", PASSWORD).await;
    let json = answer.json();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 900);
    let left = json["refresh_expires_in"].as_u64().unwrap();
    assert!((2_591_990..=2_592_000).contains(&left), "{left}");

    let me = service.get("/me", &answer.tokens().access).await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.json()["email"], "ada@example.com");
    assert_eq!(me.json()["scopes"].as_array().unwrap().len(), 0);
    assert!(me.json()["sub"].is_string());
}

#[tokio::test]
async fn all_wrong_logins_get_the_same_response() {
    let service = started!();
    for email in ["ada@example.com", "eve@example.com"] {
        service.register(email).await;
    }
    sqlx::query("UPDATE users SET disabled = TRUE WHERE email = 'eve@example.com'")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let wrong = service.login("ada@example.com", "correct horse").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.code(), "invalid_credentials");
    assert_eq!(wrong.headers.get(WWW_AUTHENTICATE), None);

    let long = "x".repeat(2000);
    for (email, password) in [
        ("nobody@example.com", PASSWORD),
        ("ada@example.com", ""),
        ("ada@example.com", &long),
        ("eve@example.com", PASSWORD), // disabled
    ] {
        let answer = service.login(email, password).await;
        assert_eq!(answer.status, wrong.status, "{email}");
        assert_eq!(answer.body, wrong.body, "{email}");
        assert_eq!(answer.headers.len(), wrong.headers.len(), "{email}");
    }
}

#[tokio::test]
async fn a_bcrypt_hash_is_replaced_at_the_first_login() {
    let service = started!();
    let mut database = service.database().await;
    sqlx::query("INSERT INTO users (id, email, password_hash) VALUES ('7', 'old@example.com', $1)")
        .bind(BCRYPT)
        .execute(&mut database)
        .await
        .unwrap();
    let hash = "SELECT password_hash FROM users WHERE id = '7'";

    let wrong = service.login("old@example.com", "wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let kept: String = sqlx::query_scalar(hash)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(kept, BCRYPT);

    let first = service.login("old@example.com", PASSWORD).await.tokens();
    let new: String = sqlx::query_scalar(hash)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(new.starts_with("$argon2id$v=19$"), "{new}");

    let second = service.login("old@example.com", PASSWORD).await.tokens();
    let same: String = sqlx::query_scalar(hash)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(same, new);
    for token in [first.access, second.access] {
        assert_eq!(service.get("/me", &token).await.json()["sub"], "7");
    }
}

#[tokio::test]
async fn a_new_hash_does_not_undo_a_change_of_the_password() {
    let service = started!();
    service.register("ada@example.com").await;
    let email = service::Email::parse("ada@example.com").unwrap();
    let users = service.app.users();
    let mut read_before = users.by_email(&email).await.unwrap().unwrap();
    let current = read_before.password_hash.clone();
    read_before.password_hash = BCRYPT.to_owned();

    let new = tower_jwt_auth::password::PasswordHash::parse(BCRYPT).unwrap();
    assert!(!users.replace_hash(&read_before, &new).await.unwrap());
    let row = users.by_email(&email).await.unwrap().unwrap();
    assert_eq!(row.password_hash, current);
}
