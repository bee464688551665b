//! What admins can do with accounts, and what they cannot.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Service, Tokens, started};

/// Registers an admin who has logged in.
async fn admin(service: &Service, email: &str) -> Tokens {
    service.register(email).await;
    let address = service::Email::parse(email).unwrap();
    let users = service.app.users();
    assert!(users.grant(&address, service::ADMIN_SCOPE).await.unwrap());
    service.login(email, PASSWORD).await.tokens()
}

async fn id(service: &Service, tokens: &Tokens) -> String {
    let me = service.get("/me", &tokens.access).await.json();
    me["sub"].as_str().unwrap().to_owned()
}

async fn act(service: &Service, admin: &Tokens, id: &str, what: &str) -> Answer {
    let path = format!("/admin/users/{id}/{what}");
    service.send(Method::POST, &path, &admin.access).await
}

async fn set_scopes(service: &Service, admin: &Tokens, id: &str, scopes: &[&str]) -> Answer {
    let path = format!("/admin/users/{id}/scopes");
    let body = json!({ "scopes": scopes });
    service
        .send_json(Method::PUT, &path, &admin.access, &body)
        .await
}

/// OWASP ASVS 5.0 V7.4.2.
#[tokio::test]
async fn disabling_logs_out_at_once_and_enabling_allows_a_new_login() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let ada = service.user("ada@example.com").await;
    let id = id(&service, &ada).await;
    for _ in 0..2 {
        let answer = act(&service, &root, &id, "disable").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    // Applies also to routes that do not read the user, and before a refresh could notice.
    let sessions = service.get("/auth/sessions", &ada.access).await;
    sessions.assert_invalid_token();
    service.assert_over(&ada).await;
    let refused = service.login("ada@example.com", PASSWORD).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);

    let answer = act(&service, &root, &id, "enable").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.assert_over(&ada).await;
    let again = service.login("ada@example.com", PASSWORD).await.tokens();
    service.assert_good(&again).await;
}

#[tokio::test]
async fn removing_a_scope_revokes_live_access_tokens() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let other = admin(&service, "other@example.com").await;
    let id = id(&service, &other).await;
    let given = set_scopes(&service, &root, &id, &["read", "admin", "read"]).await;
    assert_eq!(given.status, StatusCode::NO_CONTENT);
    // Nothing was taken away, so the session continues.
    let answer = service.get("/admin", &other.access).await;
    assert_eq!(answer.status, StatusCode::OK);

    let taken = set_scopes(&service, &root, &id, &["read"]).await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT);
    let answer = service.get("/admin", &other.access).await;
    answer.assert_invalid_token();
    let login = service.login("other@example.com", PASSWORD).await.tokens();
    let answer = service.get("/admin", &login.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let me = service.get("/me", &login.access).await.json();
    assert_eq!(me["scopes"], json!(["read"]));

    for scopes in [&["two words"][..], &[""], &["a\"b"], &["é"], &["a\u{0}b"]] {
        let answer = set_scopes(&service, &root, &id, scopes).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.code(), "invalid_scope");
    }
}

/// OWASP ASVS 5.0 V7.4.5.
#[tokio::test]
async fn an_admin_ends_the_sessions_of_a_user() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();
    let id = id(&service, &first).await;
    let answer = act(&service, &root, &id, "logout").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.assert_over(&first).await;
    service.assert_over(&second).await;
    service.login("ada@example.com", PASSWORD).await.tokens();
    service.assert_good(&root).await;
}

#[tokio::test]
async fn the_last_admin_cannot_lose_the_scope() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let root_id = id(&service, &root).await;
    // Scopes that only look like `admin` do not make an admin.
    service.register("ada@example.com").await;
    let ada = service::Email::parse("ada@example.com").unwrap();
    for scope in ["administrator", "ADMIN"] {
        service.app.users().grant(&ada, scope).await.unwrap();
    }
    for answer in [
        act(&service, &root, &root_id, "disable").await,
        set_scopes(&service, &root, &root_id, &["read"]).await,
    ] {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.code(), "last_admin");
    }
    let kept = set_scopes(&service, &root, &root_id, &["read", "admin"]).await;
    assert_eq!(kept.status, StatusCode::NO_CONTENT);
    service.assert_good(&root).await;

    let other = admin(&service, "other@example.com").await;
    let answer = act(&service, &root, &root_id, "disable").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let other_id = id(&service, &other).await;
    let answer = act(&service, &other, &other_id, "disable").await;
    assert_eq!(answer.code(), "last_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_that_disable_each_other_at_once_leave_one() {
    let service = std::sync::Arc::new(started!());
    for round in 0..5 {
        let [a, b] = [
            format!("a{round}@example.com"),
            format!("b{round}@example.com"),
        ];
        sqlx::query("UPDATE users SET disabled = TRUE")
            .execute(&mut service.database().await)
            .await
            .unwrap();
        let (a, b) = (admin(&service, &a).await, admin(&service, &b).await);
        let (a_id, b_id) = (id(&service, &a).await, id(&service, &b).await);
        let racers = [(a, b_id), (b, a_id)].map(|(by, id)| {
            let service = service.clone();
            tokio::spawn(async move { act(&service, &by, &id, "disable").await.status })
        });
        for racer in racers {
            racer.await.unwrap();
        }
        let left = "SELECT count(*) FROM users WHERE NOT disabled";
        let left: i64 = sqlx::query_scalar(left)
            .fetch_one(&mut service.database().await)
            .await
            .unwrap();
        assert_eq!(left, 1);
    }
}

#[tokio::test]
async fn users_are_listed_page_by_page_without_secrets() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    for name in ["ada", "eve", "joe"] {
        service.register(&format!("{name}@example.com")).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/admin/users?limit=2&after={after}");
        let answer = service.get(&path, &root.access).await;
        assert_eq!(answer.status, StatusCode::OK);
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(!text.contains("argon2") && !text.contains("hash"), "{text}");
        let page = answer.json();
        let users = page["users"].as_array().unwrap();
        assert!(users.len() <= 2);
        let emails = users.iter().map(|user| user["email"].as_str().unwrap());
        seen.extend(emails.map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    let all = ["ada", "eve", "joe", "root"].map(|name| format!("{name}@example.com"));
    assert_eq!(seen, all);
    let page = service.get("/admin/users", &root.access).await.json();
    let row = &page["users"][3];
    assert_eq!(row["scopes"], "admin");
    assert_eq!(row["disabled"], false);
    assert_eq!(row["email_verified"], false);
    for path in ["/admin/users?limit=many", "/admin/users?limit=-1"] {
        let answer = service.get(path, &root.access).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
}

/// OWASP ASVS 5.0 V6.4.6.
#[tokio::test]
async fn an_admin_starts_a_reset_but_cannot_choose_the_password() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let ada = service.user("ada@example.com").await;
    service.letter("ada@example.com", 1).await;
    let id = id(&service, &ada).await;
    let answer = act(&service, &root, &id, "password-reset").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(answer.body.is_empty(), "only the owner gets the link");
    let letter = service.letter("ada@example.com", 2).await;
    letter.token("reset-password");
    service.assert_good(&ada).await;
}

#[tokio::test]
async fn only_admins_can_use_the_admin_routes() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let ada = service.user("ada@example.com").await;
    let id = id(&service, &root).await;
    for what in ["disable", "enable", "logout", "password-reset"] {
        let answer = act(&service, &ada, &id, what).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        assert_eq!(answer.code(), "insufficient_scope");
        for unknown in ["nobody", "%00"] {
            let answer = act(&service, &root, unknown, what).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
        }
    }
    let answer = set_scopes(&service, &ada, &id, &["admin"]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = service.get("/admin/users", &ada.access).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let path = "/admin/users";
    let answer = service.request(Method::GET, path, &[], Value::Null.to_string());
    assert_eq!(answer.await.status, StatusCode::UNAUTHORIZED);
    service.assert_good(&root).await;
}

/// PostgreSQL refuses a NUL in a text, and no id may lead to another folder of the storage. So a malformed
/// id belongs to nobody.
#[tokio::test]
async fn malformed_ids_are_not_found() {
    let service = started!();
    let ada = service.user("ada@example.com").await;
    let user = service::Email::parse("ada@example.com").unwrap();
    service.app.users().grant(&user, "admin").await.unwrap();
    let admin = service.login("ada@example.com", PASSWORD).await.tokens();
    let long = "x".repeat(4000);
    let elsewhere = [
        "%2e%2e",
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "..%5C..",
    ];
    let unreadable = ["%00", "a%00b", "%FF", "%20", "%0A", "caf%C3%A9", &long];
    for id in elsewhere.into_iter().chain(unreadable) {
        for (method, path) in [
            (Method::GET, format!("/users/{id}/avatar")), // chapter: avatars
            (Method::POST, format!("/admin/users/{id}/disable")),
            (Method::POST, format!("/admin/users/{id}/enable")),
            (Method::PUT, format!("/admin/users/{id}/scopes")),
            (Method::POST, format!("/admin/users/{id}/logout")),
            (Method::POST, format!("/admin/users/{id}/password-reset")),
            (Method::DELETE, format!("/admin/users/{id}/second-factor")), // chapter: second-factor
            (Method::DELETE, format!("/auth/sessions/{id}")),
        ] {
            let body = json!({ "scopes": [] });
            let answer = service.send_json(method, &path, &admin.access, &body).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{path} {:?}",
                answer.body
            );
            assert_eq!(answer.code(), "not_found", "{path}");
            // chapter: avatars {
            let none = service
                .send(Method::GET, "/users/%00/avatar", "garbage")
                .await;
            none.assert_invalid_token();
            // chapter: avatars }
        }
    }
    // `after` is not an id, but goes to the database as well.
    let list = service.get("/admin/users?after=%00", &admin.access).await;
    assert_eq!(list.status, StatusCode::NOT_FOUND);
    service.assert_good(&ada).await;
}
