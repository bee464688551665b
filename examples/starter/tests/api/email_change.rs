//! Changing the email address of an account, which needs both addresses.

use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const OLD: &str = "ada@example.com";
const NEW: &str = "lovelace@example.org";
const PATH: &str = "/auth/email/change";

async fn begin(service: &Service, user: &Tokens, email: &str) -> Answer {
    let body = json!({ "current_password": PASSWORD, "new_email": email });
    service.post_as(user, PATH, &body).await
}

async fn begun(service: &Service, user: &Tokens, email: &str) {
    let answer = begin(service, user, email).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
}

/// Returns the links of the first change, by a user with a proved address.
async fn links(service: &Service) -> (String, String) {
    let new = service.letter(NEW, 1).await.token("new-email");
    (new, service.letter(OLD, 2).await.token("old-email"))
}

async fn confirm(service: &Service, link: &str) -> Answer {
    let path = "/auth/email/change/confirm";
    service.post(path, &json!({ "token": link })).await
}

/// Follows the link. Returns whether the account has its new address now.
async fn changed(service: &Service, link: &str) -> bool {
    let answer = confirm(service, link).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()["changed"].as_bool().unwrap()
}

async fn stop(service: &Service, link: &str) -> Answer {
    let path = "/auth/email/change/stop";
    service.post(path, &json!({ "token": link })).await
}

fn assert_invalid_link(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{:?}", answer.body);
    assert_eq!(answer.code(), "invalid_link");
}

async fn pending(service: &Service, user: &Tokens) -> Value {
    let answer = service.get(PATH, &user.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()["pending"].clone()
}

async fn email_of(service: &Service, user: &Tokens) -> Value {
    service.get("/me", &user.access).await.json()["email"].clone()
}

async fn run(service: &Service, statement: &'static str) {
    let mut database = service.database().await;
    sqlx::raw_sql(statement)
        .execute(&mut database)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_changes_once_both_links_are_confirmed() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    let elsewhere = service.login(OLD, PASSWORD).await.tokens();
    assert_eq!(pending(&service, &ada).await, Value::Null);
    begun(&service, &ada, &format!(" {} ", NEW.to_uppercase())).await;
    let (new, old) = links(&service).await;
    let waiting = pending(&service, &ada).await;
    assert_eq!(waiting["new_email"], NEW);
    assert_eq!(waiting["new_confirmed"], false);

    // The same link twice does not confirm both addresses.
    assert!(!changed(&service, &new).await);
    assert!(!changed(&service, &new).await);
    let waiting = pending(&service, &ada).await;
    assert_eq!(
        (&waiting["new_confirmed"], &waiting["old_confirmed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(email_of(&service, &ada).await, OLD);
    service.assert_good(&elsewhere).await;

    assert!(changed(&service, &old).await);
    assert_eq!(email_of(&service, &ada).await, NEW);
    assert_eq!(pending(&service, &ada).await, Value::Null);
    service.assert_over(&elsewhere).await;
    service.assert_good(&ada).await;
    let refused = service.login(OLD, PASSWORD).await;
    assert_eq!(refused.code(), "invalid_credentials");
    service.login(NEW, PASSWORD).await.tokens();
    for link in [&new, &old] {
        assert_invalid_link(&confirm(&service, link).await);
        assert_invalid_link(&stop(&service, link).await);
    }
    for (email, count) in [(NEW, 2), (OLD, 3)] {
        let email = service.letter(email, count).await;
        assert!(email.head.contains("was changed"), "{}", email.head);
    }
}

#[tokio::test]
async fn either_link_or_the_account_stops_a_change_of_address() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    for round in 0..3 {
        begun(&service, &ada, NEW).await;
        let new = service.letter(NEW, 1 + round).await.token("new-email");
        let old = service.letter(OLD, 2 + round).await.token("old-email");
        assert!(!changed(&service, &old).await);
        let answer = match round {
            0 => stop(&service, &old).await,
            1 => stop(&service, &new).await,
            _ => service.send(Method::DELETE, PATH, &ada.access).await,
        };
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
        assert_eq!(pending(&service, &ada).await, Value::Null);
        for link in [new, old] {
            assert_invalid_link(&confirm(&service, &link).await);
        }
    }
    let again = service.send(Method::DELETE, PATH, &ada.access).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
    assert_eq!(email_of(&service, &ada).await, OLD);
}

#[tokio::test]
async fn changing_the_address_needs_password_and_confirmed_address() {
    let service = started!();
    let eve = service.user("eve@example.com").await;
    let unproved = begin(&service, &eve, NEW).await;
    assert_eq!(unproved.status, StatusCode::FORBIDDEN);
    assert_eq!(unproved.code(), "email_not_confirmed");
    let ada = service.proved_user(OLD).await;
    let body = json!({ "current_password": "wrong", "new_email": NEW });
    let wrong = service.post_as(&ada, PATH, &body).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert_eq!(wrong.code(), "wrong_password");
    for (email, status, code) in [
        (
            "nonsense",
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_email",
        ),
        (
            "a\0@b.de",
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_email",
        ),
        (OLD, StatusCode::CONFLICT, "same_email"),
        (" ADA@Example.com", StatusCode::CONFLICT, "same_email"),
    ] {
        let answer = begin(&service, &ada, email).await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{email}");
    }
    assert_eq!(pending(&service, &ada).await, Value::Null);
    for link in ["", "x", &"A".repeat(43), "\0"] {
        assert_invalid_link(&confirm(&service, link).await);
        assert_invalid_link(&stop(&service, link).await);
    }
}

/// The responses do not tell who has an account.
#[tokio::test]
async fn the_address_of_another_account_cannot_be_taken() {
    let service = started!();
    service.proved_user(NEW).await;
    let ada = service.proved_user(OLD).await;
    begun(&service, &ada, NEW).await;
    let told = service.letter(NEW, 2).await;
    assert!(
        told.text.contains("an address can have only one"),
        "{}",
        told.text
    );
    assert!(!told.text.contains("new-email="), "{}", told.text);
    let old = service.letter(OLD, 2).await.token("old-email");
    assert!(!changed(&service, &old).await);
    assert_eq!(email_of(&service, &ada).await, OLD);
}

/// The address gets its account during the change.
#[tokio::test]
async fn an_account_made_meanwhile_keeps_its_address() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    begun(&service, &ada, NEW).await;
    let (new, old) = links(&service).await;
    assert!(!changed(&service, &new).await);
    assert_eq!(service.register(NEW).await.status, StatusCode::ACCEPTED);
    let link = service.letter(NEW, 2).await.token("confirm-email");
    let proved = service
        .post("/auth/email/verify", &json!({ "token": link }))
        .await;
    assert_eq!(proved.status, StatusCode::NO_CONTENT);
    assert_invalid_link(&confirm(&service, &old).await);
    assert_eq!(email_of(&service, &ada).await, OLD);
    service.login(NEW, PASSWORD).await.tokens();
}

#[tokio::test]
async fn an_unproved_account_loses_the_address_to_its_owner() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    let eve = service.user(NEW).await;
    begun(&service, &ada, NEW).await;
    let new = service.letter(NEW, 2).await.token("new-email");
    let old = service.letter(OLD, 2).await.token("old-email");
    assert!(!changed(&service, &old).await);
    assert!(changed(&service, &new).await);
    assert_eq!(email_of(&service, &ada).await, NEW);
    service.assert_over(&eve).await;
}

#[tokio::test]
async fn a_new_change_of_address_replaces_the_pending_one() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    begun(&service, &ada, NEW).await;
    let (new, old) = links(&service).await;
    assert!(!changed(&service, &old).await);
    begun(&service, &ada, "other@example.org").await;
    assert_eq!(pending(&service, &ada).await["old_confirmed"], false);
    for link in [new, old] {
        assert_invalid_link(&confirm(&service, &link).await);
    }
    let other = service
        .letter("other@example.org", 1)
        .await
        .token("new-email");
    let old = service.letter(OLD, 3).await.token("old-email");
    assert!(!changed(&service, &other).await);
    assert!(changed(&service, &old).await);
    assert_eq!(email_of(&service, &ada).await, "other@example.org");
}

#[tokio::test]
async fn any_other_change_of_the_account_ends_the_pending_change() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    for (round, change) in [
        "UPDATE users SET scopes = 'other'",
        "UPDATE users SET password_hash = password_hash || 'x'; \
         UPDATE users SET password_hash = substr(password_hash, 1, length(password_hash) - 1)",
        "UPDATE email_changes SET expires_at = 1",
        // As written by a wrong clock.
        "UPDATE email_changes SET created_at = created_at + 100000",
    ]
    .into_iter()
    .enumerate()
    {
        begun(&service, &ada, NEW).await;
        let new = service.letter(NEW, 1 + round).await.token("new-email");
        let old = service.letter(OLD, 2 + round).await.token("old-email");
        assert!(!changed(&service, &new).await);
        run(&service, change).await;
        assert_eq!(pending(&service, &ada).await, Value::Null, "{change}");
        for link in [new, old] {
            assert_invalid_link(&confirm(&service, &link).await);
        }
    }
    assert_eq!(email_of(&service, &ada).await, OLD);
}

#[tokio::test]
async fn the_number_of_changes_of_address_is_limited() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    for round in 0..5 {
        begun(&service, &ada, &format!("a{round}@example.org")).await;
    }
    let answer = begin(&service, &ada, NEW).await;
    assert_eq!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS,
        "{:?}",
        answer.body
    );
    assert!(answer.headers.contains_key(RETRY_AFTER));
    assert_eq!(pending(&service, &ada).await["new_email"], "a4@example.org");
}

#[tokio::test]
async fn concurrent_confirmations_change_the_address_once() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    begun(&service, &ada, NEW).await;
    let (new, old) = links(&service).await;
    let clicks = [&new, &old, &new, &old, &new, &old].map(|link| confirm(&service, link));
    let [a, b, c, d, e, f] = clicks;
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    let mut done = 0;
    for answer in [a, b, c, d, e, f] {
        match answer.status {
            StatusCode::OK if answer.json()["changed"] == true => done += 1,
            StatusCode::OK => {}
            _ => assert_invalid_link(&answer),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(email_of(&service, &ada).await, NEW);
}

#[tokio::test]
async fn links_to_the_old_address_stop_working_after_the_change() {
    let service = started!();
    let ada = service.proved_user(OLD).await;
    begun(&service, &ada, NEW).await;
    let (new, old) = links(&service).await;
    service
        .post("/auth/password/forgot", &json!({ "email": OLD }))
        .await;
    let reset = service.letter(OLD, 3).await.token("reset-password");
    assert!(!changed(&service, &new).await);
    assert!(changed(&service, &old).await);
    let body = json!({ "token": reset, "new_password": "another stapled battery horse" });
    assert_invalid_link(&service.post("/auth/password/reset", &body).await);
    service.login(NEW, PASSWORD).await.tokens();
}
