//! Deleting an account: nothing is left of it.

use axum::http::Method; // chapter: avatars
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use service::Email; // chapter: admin
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;

use crate::support::factor; // chapter: second-factor
use crate::support::mail::Letter;
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

pub(super) const EMAIL: &str = "ada@example.com";
pub(super) const NEW: &str = "lovelace@example.org";
const PATH: &str = "/auth/account/delete";
/// These tables keep an account for a while after its deletion, so that requests under way are refused.
const FOR_A_WHILE: [&str; 3] = ["jwt_revocations", "jwt_sessions", "removed_users"];

async fn delete(service: &Service, user: &Tokens, email: &str, password: &str) -> Answer {
    let body = json!({ "current_password": password, "email": email });
    service.post_as(user, PATH, &body).await
}

pub(super) fn id(user: &Tokens) -> String {
    user.claims()["sub"].as_str().unwrap().to_owned()
}

// chapter: admin {
async fn admin(service: &Service, email: &str) -> Tokens {
    service.register(email).await;
    let address = Email::parse(email).unwrap();
    let granted = service.app.users().grant(&address, service::ADMIN_SCOPE);
    assert!(granted.await.unwrap());
    service.login(email, PASSWORD).await.tokens()
}
// chapter: admin }

/// Returns all columns of all tables.
async fn columns(service: &Service, database: &mut AnyConnection) -> Vec<(String, String)> {
    let query = match service.place.database_url.starts_with("sqlite:") {
        true => {
            "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table'"
        }
        false => {
            "SELECT CAST(table_name AS text), CAST(column_name AS text) \
             FROM information_schema.columns WHERE table_schema = current_schema()"
        }
    };
    sqlx::query_as(query).fetch_all(database).await.unwrap()
}

/// Returns the tables that contain one of these texts in any column.
async fn tables_with(service: &Service, texts: &[&str]) -> Vec<String> {
    let mut database = service.database().await;
    let columns = columns(service, &mut database).await;
    assert!(columns.len() > 50, "{columns:?}");
    let mut found = Vec::new();
    for (table, column) in columns {
        for text in texts {
            let text = text.replace('_', "\\_");
            let query = format!(
                "SELECT count(*) FROM \"{table}\" \
                 WHERE CAST(\"{column}\" AS text) LIKE '%{text}%' ESCAPE '\\'"
            );
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
            let count: i64 = query.fetch_one(&mut database).await.unwrap();
            if count > 0 {
                found.push(table.clone());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

async fn run(service: &Service, statement: &'static str) {
    let mut database = service.database().await;
    sqlx::raw_sql(statement)
        .execute(&mut database)
        .await
        .unwrap();
}

/// Restarts the service after everything temporary has expired. It cleans up at the start.
async fn a_while_later(service: Service) -> Service {
    run(&service, "UPDATE removed_users SET removed_at = 1").await;
    let mut over = vec!["SELECT count(*) FROM removed_users"];
    if service.place.redis_url.is_none() {
        run(&service, "UPDATE jwt_revocations SET until = 1").await;
        run(
            &service,
            "UPDATE jwt_sessions SET ended_at = 1 WHERE ended_at IS NOT NULL",
        )
        .await;
        over.push("SELECT count(*) FROM jwt_revocations WHERE until = 1");
        over.push("SELECT count(*) FROM jwt_sessions WHERE ended_at = 1");
    }
    let service = Service::start_in(service.stop().await).await;
    let mut database = service.database().await;
    for query in over {
        for round in 0.. {
            let query = sqlx::query_scalar(query);
            let left: i64 = query.fetch_one(&mut database).await.unwrap();
            if left == 0 {
                break;
            }
            assert!(round < 2000, "not cleaned up");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    service
}

// chapter: api-keys {
async fn api_key(service: &Service, user: &Tokens) -> String {
    let key = json!({ "current_password": PASSWORD, "label": "backup" });
    let key = service.post_as(user, "/auth/api-keys", &key).await;
    assert_eq!(key.status, StatusCode::CREATED, "{:?}", key.body);
    key.json()["key"].as_str().unwrap().to_owned()
}
// chapter: api-keys }

/// Returns a user who has something in every table, with the data that nobody else may learn and the number
/// of emails to the user.
pub(super) async fn user_with_everything(service: &Service) -> (Tokens, Vec<String>, usize) {
    let ada = service.proved_user(EMAIL).await;
    let mut emails = 1;
    service.login(EMAIL, "wrong").await;
    let reset = json!({ "email": EMAIL });
    service.post("/auth/password/forgot", &reset).await;
    let change = json!({ "current_password": PASSWORD, "new_email": NEW });
    // chapter: second-factor {
    // Comes before the change of the address, because a new factor would end that.
    let app = factor::App::add(service, ada).await;
    let ada = app.tokens;
    emails += 1;
    service.login(EMAIL, PASSWORD).await.challenge();
    // chapter: second-factor }
    let change = service.post_as(&ada, "/auth/email/change", &change).await;
    assert_eq!(change.status, StatusCode::ACCEPTED, "{:?}", change.body);
    // chapter: sms {
    let phone = json!({ "current_password": PASSWORD, "phone": "+4915112345678" });
    let sms = service
        .post_as(&ada, "/auth/second-factor/sms", &phone)
        .await;
    assert_eq!(sms.status, StatusCode::ACCEPTED, "{:?}", sms.body);
    // chapter: sms }
    let keys: Vec<String> = [
        api_key(service, &ada).await, // chapter: api-keys
    ]
    .into();
    emails += keys.len();
    // chapter: avatars {
    let bearer = format!("Bearer {}", ada.access);
    let headers = [("authorization", &*bearer), ("content-type", "image/png")];
    let pixel = include_bytes!("pixel.png").as_slice();
    let put = service
        .request(Method::PUT, "/me/avatar", &headers, pixel)
        .await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{:?}", put.body);
    // chapter: avatars }
    // The links to choose a new password and to change the address.
    emails += 2;
    service.letter(EMAIL, emails).await;
    (ada, keys, emails)
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_account() {
    let service = started!();
    let (ada, keys, emails) = user_with_everything(&service).await;
    let id = id(&ada);
    let counted = [
        EMAIL.to_owned(),
        format!("second factor of {id}"),
        format!("enrolment of {id}"),
    ];
    let [a, b, c] = counted.map(|name| digest(&name));
    let before = tables_with(&service, &[&*id, EMAIL, NEW, &a]).await;
    for table in [
        "email_changes",
        "jwt_api_keys",     // chapter: api-keys
        "login_challenges", // chapter: second-factor
        "login_failures",
        "one_time_tokens",
        "recovery_codes", // chapter: second-factor
        "registrations",
        "second_factors", // chapter: second-factor
        "sms_codes",      // chapter: sms
        "users",
    ] {
        assert!(
            before.iter().any(|with| with == table),
            "{table}: {before:?}"
        );
    }
    // chapter: avatars {
    let avatar = service
        .place
        .folder
        .path()
        .join("storage/avatars")
        .join(&id);
    assert!(avatar.exists());
    // chapter: avatars }

    let answer = delete(&service, &ada, " ADA@example.com ", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    service.assert_over(&ada).await;
    for key in keys {
        service.get("/me", &key).await.assert_invalid_token();
    }
    assert!(!avatar.exists()); // chapter: avatars
    let told = service.letter(EMAIL, emails + 1).await;
    assert!(told.head.contains("was deleted"), "{}", told.head);

    let traces = [&*id, EMAIL, NEW];
    let mut after = tables_with(&service, &traces).await;
    after.retain(|table| !FOR_A_WHILE.contains(&table.as_str()));
    assert_eq!(after, Vec::<String>::new());
    // Limits continue, because a new account would otherwise reset them.
    assert_eq!(tables_with(&service, &[&a, &b, &c]).await, ["quotas"]);
    let refused = service.login(EMAIL, PASSWORD).await;
    assert_eq!(refused.code(), "invalid_credentials");

    // The last removal also revokes the tokens once more, which is kept for as long as an access token is
    // valid.
    let service = a_while_later(a_while_later(service).await).await;
    assert_eq!(tables_with(&service, &traces).await, Vec::<String>::new());
    let again = service.user(EMAIL).await;
    assert_ne!(self::id(&again), id);
}

#[tokio::test]
async fn deleting_an_account_needs_its_address_and_password() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    for (email, password, status, code) in [
        (
            "",
            PASSWORD,
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_confirmed",
        ),
        (
            "eve@example.com",
            PASSWORD,
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_confirmed",
        ),
        (EMAIL, "wrong", StatusCode::FORBIDDEN, "wrong_password"),
        (EMAIL, "", StatusCode::FORBIDDEN, "wrong_password"),
    ] {
        let answer = delete(&service, &ada, email, password).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{email} {password}"
        );
    }
    let body = json!({ "current_password": PASSWORD });
    let answer = service.post_as(&ada, PATH, &body).await;
    assert_eq!(answer.code(), "invalid_body");
    service.assert_good(&ada).await;
}

// chapter: admin {
#[tokio::test]
async fn the_last_admin_cannot_delete_their_account() {
    let service = started!();
    let root = admin(&service, "root@example.com").await;
    let answer = delete(&service, &root, "root@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{:?}", answer.body);
    assert_eq!(answer.code(), "last_admin");
    // Nothing has changed, and nobody was logged out.
    service.assert_good(&root).await;

    let other = admin(&service, "other@example.com").await;
    let root = service.login("root@example.com", PASSWORD).await.tokens();
    let (a, b) = tokio::join!(
        delete(&service, &root, "root@example.com", PASSWORD),
        delete(&service, &other, "other@example.com", PASSWORD),
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "{a:?} {b:?}");
}
// chapter: admin }

#[tokio::test]
async fn concurrent_deletions_delete_an_account_once() {
    let service = started!();
    let ada = service.user(EMAIL).await;
    let (a, b, c) = tokio::join!(
        delete(&service, &ada, EMAIL, PASSWORD),
        delete(&service, &ada, EMAIL, PASSWORD),
        delete(&service, &ada, EMAIL, PASSWORD),
    );
    let answers = [a, b, c];
    let done = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::NO_CONTENT);
    assert_eq!(done.count(), 1, "{answers:?}");
    for answer in answers {
        let expected = [
            StatusCode::NO_CONTENT,
            StatusCode::UNAUTHORIZED,
            StatusCode::CONFLICT,
        ];
        assert!(expected.contains(&answer.status), "{answer:?}");
    }
}

/// Somebody else may own that address, and can still confirm it.
#[tokio::test]
async fn deleting_an_unproved_account_keeps_other_registrations() {
    let service = started!();
    let eve = service.user(EMAIL).await;
    service.register(EMAIL).await;
    let owner = service.letter(EMAIL, 2).await.token("confirm-email");
    let answer = delete(&service, &eve, EMAIL, PASSWORD).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
    let proved = service
        .post("/auth/email/verify", &json!({ "token": owner }))
        .await;
    assert_eq!(proved.status, StatusCode::NO_CONTENT, "{:?}", proved.body);
    service.login(EMAIL, PASSWORD).await.tokens();
    // The owner of the address gets no email about an account that was never theirs.
    let place = service.stop().await;
    let emails = Letter::all(&place.folder.path().join("mail"), EMAIL);
    assert_eq!(emails.len(), 2, "{emails:?}");
}
