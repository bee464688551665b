//! The table of users, beyond the flows.

use service::Email;

use crate::support::{Service, started};

async fn scopes(service: &Service) -> String {
    let email = Email::parse("ada@example.com").unwrap();
    let user = service.app.users().by_email(&email).await.unwrap();
    user.unwrap().scopes
}

#[tokio::test]
async fn a_scope_is_granted_once_and_keeps_the_others() {
    let service = started!();
    service.register("ada@example.com").await;
    let [ada, eve] = ["ada@example.com", "eve@example.com"].map(|text| Email::parse(text).unwrap());
    let users = service.app.users();
    // Some contain others, and some have a meaning in SQL.
    for scope in [
        "administrator",
        "admin",
        "ADMIN",
        "%",
        "_",
        "'",
        "a",
        "admin",
        "administrator",
    ] {
        assert!(users.grant(&ada, scope).await.unwrap(), "{scope}");
    }
    assert_eq!(scopes(&service).await, "administrator admin ADMIN % _ ' a");
    assert!(!users.grant(&eve, "admin").await.unwrap());
    assert_eq!(scopes(&service).await, "administrator admin ADMIN % _ ' a");
}

#[tokio::test]
async fn an_account_has_the_time_of_its_creation() {
    let service = started!();
    service.register("ada@example.com").await;
    let made = "SELECT created_at FROM users";
    let made: i64 = sqlx::query_scalar(made)
        .fetch_one(&mut service.database().await)
        .await
        .unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(
        (0..60).contains(&(i64::try_from(now).unwrap() - made)),
        "{made}"
    );
}
