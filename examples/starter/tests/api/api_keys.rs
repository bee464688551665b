//! API keys: which routes they open, and when they end.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use service::Email; // chapter: admin

use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";
const PATH: &str = "/auth/api-keys";

struct Key {
    id: String,
    text: String,
}

async fn ask(service: &Service, owner: &Tokens, change: Value) -> Answer {
    let mut body = json!({ "current_password": PASSWORD, "label": "backup" });
    let fields = change.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    service.post_as(owner, PATH, &body).await
}

async fn create(service: &Service, owner: &Tokens, scopes: &[&str]) -> Key {
    let answer = ask(service, owner, json!({ "scopes": scopes })).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    Key {
        id: text("id"),
        text: text("key"),
    }
}

async fn keys(service: &Service, owner: &Tokens) -> Vec<Value> {
    let answer = service.get(PATH, &owner.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()["keys"].as_array().unwrap().clone()
}

async fn revoke(service: &Service, owner: &Tokens, id: &str) -> Answer {
    let path = format!("{PATH}/{id}");
    service.send(Method::DELETE, &path, &owner.access).await
}

// chapter: admin {
async fn grant(service: &Service, email: &str) {
    let email = Email::parse(email).unwrap();
    let granted = service.app.users().grant(&email, service::ADMIN_SCOPE);
    assert!(granted.await.unwrap());
}
// chapter: admin }

// chapter: admin {
/// An admin who is not the user of the test.
async fn admin(service: &Service) -> Tokens {
    service.register("root@example.com").await;
    grant(service, "root@example.com").await;
    service.login("root@example.com", PASSWORD).await.tokens()
}

async fn act(service: &Service, admin: &Tokens, user: &Tokens, what: &str) {
    let id = user.claims()["sub"].as_str().unwrap().to_owned();
    let path = format!("/admin/users/{id}/{what}");
    let answer = service.send(Method::POST, &path, &admin.access).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
}
// chapter: admin }

#[tokio::test]
async fn a_key_is_shown_once_and_opens_only_profile_and_avatars() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let made = ask(
        &service,
        &ada,
        json!({ "label": " nightly backup\u{200b}" }),
    )
    .await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let made = made.json();
    let key = made["key"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap();
    let (prefix, rest) = key.rsplit_once('_').unwrap();
    assert!(!prefix.is_empty() && rest.starts_with(id), "{key}");
    let days =
        (made["expires_at"].as_i64().unwrap() - made["created_at"].as_i64().unwrap()) / 86_400;
    assert_eq!(days, 90);

    let listed = service.get(PATH, &ada.access).await;
    assert!(!listed.text().contains(rest), "{:?}", listed.body);
    let row = &listed.json()["keys"][0];
    assert_eq!(row["label"], "nightly backup");
    assert_eq!(
        (&row["id"], &row["last_used_at"]),
        (&made["id"], &Value::Null)
    );

    let me = service.get("/me", &key).await;
    assert_eq!(me.status, StatusCode::OK, "{:?}", me.body);
    assert_eq!(
        (&me.json()["email"], &me.json()["scopes"]),
        (&json!(EMAIL), &json!([]))
    );
    // chapter: avatars {
    let none = service.get("/me/avatar", &key).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", &*bearer), ("content-type", "image/png")];
    let pixel = include_bytes!("pixel.png").as_slice();
    let put = service
        .request(Method::PUT, "/me/avatar", &headers, pixel)
        .await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{:?}", put.body);
    let removed = service.send(Method::DELETE, "/me/avatar", &key).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    // chapter: avatars }

    // The last use is recorded outside the request.
    let mut used = Value::Null;
    for _ in 0..2000 {
        used = keys(&service, &ada).await[0]["last_used_at"].clone();
        if !used.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(used.is_i64(), "{used}");
}

/// The API description lists all routes, so this also covers routes that are added later.
#[tokio::test]
async fn a_key_opens_neither_account_nor_admin_routes() {
    let service = started!();
    let scopes: Vec<&str> = [
        service::ADMIN_SCOPE, // chapter: admin
    ]
    .into();
    service.register(EMAIL).await;
    grant(&service, EMAIL).await; // chapter: admin
    let ada = service.login(EMAIL, PASSWORD).await.tokens();
    let key = create(&service, &ada, &scopes).await;
    let description = service
        .fetch(Method::GET, "/openapi.json", &[])
        .await
        .json();
    let open = ["/me", "/me/avatar", "/users/{id}/avatar"];
    let mut refused = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation.get("security").is_none() || open.contains(&path.as_str()) {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{id}", &key.id);
            let answer = service
                .send_json(method, &path, &key.text, &json!({}))
                .await;
            answer.assert_invalid_token();
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused}");
    assert_eq!(service.get("/me", &key.text).await.status, StatusCode::OK);
    assert_eq!(keys(&service, &ada).await.len(), 1);
}

// chapter: admin {
#[tokio::test]
async fn a_key_never_has_a_scope_that_its_user_lacks() {
    let service = started!();
    let root = admin(&service).await;
    let ada = service.user(EMAIL).await;
    for scopes in [vec!["admin"], vec!["a b"], vec![""], vec!["\0"]] {
        let answer = ask(&service, &ada, json!({ "scopes": scopes })).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.code(), "invalid_scope");
    }
    grant(&service, EMAIL).await;
    let ada = service.login(EMAIL, PASSWORD).await.tokens();
    let key = create(&service, &ada, &["admin", "admin"]).await;
    let scopes = async || service.get("/me", &key.text).await.json()["scopes"].clone();
    assert_eq!(scopes().await, json!(["admin"]));

    let path = format!(
        "/admin/users/{}/scopes",
        ada.claims()["sub"].as_str().unwrap()
    );
    let body = json!({ "scopes": ["other"] });
    let set = service
        .send_json(Method::PUT, &path, &root.access, &body)
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{:?}", set.body);
    // At once, and never more than the key was made for.
    assert_eq!(scopes().await, json!([]));
    let ada = service.login(EMAIL, PASSWORD).await.tokens();
    assert_eq!(keys(&service, &ada).await[0]["scopes"], json!([]));
}

#[tokio::test]
async fn keys_of_a_disabled_user_stop_at_once_and_stay_revoked() {
    let service = started!();
    let root = admin(&service).await;
    let ada = service.user(EMAIL).await;
    let key = create(&service, &ada, &[]).await;
    assert_eq!(service.get("/me", &key.text).await.status, StatusCode::OK);
    // Also if only the table says so.
    let mut database = service.database().await;
    for (disabled, good) in [("TRUE", false), ("FALSE", true)] {
        let query = format!("UPDATE users SET disabled = {disabled} WHERE email = '{EMAIL}'");
        let query = sqlx::AssertSqlSafe(query);
        sqlx::raw_sql(query).execute(&mut database).await.unwrap();
        let answer = service.get("/me", &key.text).await;
        assert_eq!(answer.status == StatusCode::OK, good, "{:?}", answer.body);
    }
    act(&service, &root, &ada, "disable").await;
    service.get("/me", &key.text).await.assert_invalid_token();
    act(&service, &root, &ada, "enable").await;
    service.get("/me", &key.text).await.assert_invalid_token();
    let ada = service.login(EMAIL, PASSWORD).await.tokens();
    assert_eq!(keys(&service, &ada).await.len(), 0);
}

/// A key that is created at the moment when its user is disabled must not work later.
#[tokio::test]
async fn no_key_is_created_while_its_user_is_being_disabled() {
    let service = started!();
    let root = admin(&service).await;
    service.register(EMAIL).await;
    for _ in 0..5 {
        let ada = service.login(EMAIL, PASSWORD).await.tokens();
        let ((), answer) = tokio::join!(
            act(&service, &root, &ada, "disable"),
            ask(&service, &ada, json!({})),
        );
        act(&service, &root, &ada, "enable").await;
        if answer.status == StatusCode::CREATED {
            let key = answer.json()["key"].as_str().unwrap().to_owned();
            service.get("/me", &key).await.assert_invalid_token();
        }
        let ada = service.login(EMAIL, PASSWORD).await.tokens();
        assert_eq!(keys(&service, &ada).await.len(), 0);
    }
}
// chapter: admin }

#[tokio::test]
async fn a_new_key_needs_the_password_and_is_reported_by_email() {
    let service = started!();
    let ada = service.proved_user(EMAIL).await;
    for (password, status) in [
        (json!("wrong"), StatusCode::FORBIDDEN),
        (json!(""), StatusCode::FORBIDDEN),
        (json!(null), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = ask(&service, &ada, json!({ "current_password": password })).await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
    assert_eq!(keys(&service, &ada).await.len(), 0);
    create(&service, &ada, &[]).await;
    let email = service.letter(EMAIL, 2).await;
    assert!(
        email.head.contains("Subject: A new API key"),
        "{}",
        email.head
    );
}

#[tokio::test]
async fn invalid_settings_of_a_key_are_refused() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let long = "x".repeat(101);
    for (change, code) in [
        (json!({ "label": "" }), "invalid_label"),
        (json!({ "label": " \u{200b} " }), "invalid_label"),
        (json!({ "label": "a\nb" }), "invalid_label"),
        (json!({ "label": "a\0b" }), "invalid_label"),
        (json!({ "label": long }), "invalid_label"),
        (json!({ "label": null }), "invalid_body"),
        (json!({ "expires_in_days": 0 }), "invalid_lifetime"),
        (json!({ "expires_in_days": 367 }), "invalid_lifetime"),
        (json!({ "expires_in_days": -1 }), "invalid_body"),
        (json!({ "expires_in_days": 1e9 }), "invalid_body"),
        (json!({ "scopes": "admin" }), "invalid_body"),
    ] {
        let answer = ask(&service, &ada, change.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}");
        assert_eq!(answer.code(), code, "{change}");
    }
    assert_eq!(keys(&service, &ada).await.len(), 0);
}

#[tokio::test]
async fn the_number_of_keys_of_a_user_is_limited() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let first = create(&service, &ada, &[]).await;
    for _ in 1..20 {
        create(&service, &ada, &[]).await;
    }
    let answer = ask(&service, &ada, json!({})).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{:?}", answer.body);
    assert_eq!(answer.code(), "too_many_api_keys");
    let revoked = revoke(&service, &ada, &first.id).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    create(&service, &ada, &[]).await;
    assert_eq!(keys(&service, &ada).await.len(), 20);
}

#[tokio::test]
async fn only_its_owner_can_revoke_a_key() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let eve = service.user("eve@example.com").await;
    let key = create(&service, &ada, &[]).await;
    for (user, id) in [
        (&eve, key.id.as_str()),
        (&ada, "nonsense"),
        (&ada, "%00"),
        (&ada, "AAAAAAAAAAAAAAAA"),
    ] {
        let answer = revoke(&service, user, id).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
    }
    assert_eq!(service.get("/me", &key.text).await.status, StatusCode::OK);
    let answer = revoke(&service, &ada, &key.id).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.get("/me", &key.text).await.assert_invalid_token();
    let again = revoke(&service, &ada, &key.id).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_and_expired_keys_are_refused() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let key = create(&service, &ada, &[]).await;
    let (start, end) = key.text.split_at(key.text.len() - 1);
    let mistyped = format!("{start}{}", if end == "x" { "y" } else { "x" });
    let prefix = key.text.split_once(&key.id).unwrap().0;
    for wrong in [mistyped.as_str(), prefix, &key.text[..40]] {
        service.get("/me", wrong).await.assert_invalid_token();
    }
    sqlx::query("UPDATE jwt_api_keys SET expires_at = 1")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    service.get("/me", &key.text).await.assert_invalid_token();
    assert_eq!(keys(&service, &ada).await[0]["expires_at"], 0);
}

#[tokio::test]
async fn an_outage_does_not_refuse_a_key() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let key = create(&service, &ada, &[]).await;
    assert_eq!(service.get("/me", &key.text).await.status, StatusCode::OK);
    service.app.close().await;
    service.get("/me", &key.text).await.assert_unavailable();
    service.get(PATH, &ada.access).await.assert_unavailable();
}

/// Anybody can register an address, and create keys before its owner proves it.
#[tokio::test]
async fn keys_from_before_the_address_was_proved_end() {
    let service = started!();
    let eve = service.user(EMAIL).await;
    let key = create(&service, &eve, &[]).await;
    service.register(EMAIL).await;
    // The owner of the address was not told about Eve's key.
    let link = service.letter(EMAIL, 2).await.token("confirm-email");
    let body = json!({ "token": link });
    let proved = service.post("/auth/email/verify", &body).await;
    assert_eq!(proved.status, StatusCode::NO_CONTENT, "{:?}", proved.body);
    service.get("/me", &key.text).await.assert_invalid_token();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM jwt_api_keys")
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}
