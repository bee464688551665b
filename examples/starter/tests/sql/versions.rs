//! Changes during a login: the session that it opens does not outlive them.

use axum::http::StatusCode;
use sqlx::AnyConnection;

use crate::support::factor::{App, answer};
use crate::support::{PASSWORD, Service, started};

const EMAIL: &str = "ada@example.com";

/// Makes the change at the moment when the next session is opened: after all checks of a login, and before
/// its response.
async fn change_when_a_session_opens(service: &Service, database: &mut AnyConnection, what: &str) {
    let statements = match service.place.database_url.starts_with("sqlite:") {
        true => vec![
            "DROP TRIGGER IF EXISTS change".to_owned(),
            format!("CREATE TRIGGER change AFTER INSERT ON jwt_sessions BEGIN {what}; END"),
        ],
        false => vec![
            "DROP TRIGGER IF EXISTS change ON jwt_sessions".to_owned(),
            format!(
                "CREATE OR REPLACE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN {what}; RETURN NULL; END $$"
            ),
            "CREATE TRIGGER change AFTER INSERT ON jwt_sessions FOR EACH ROW \
             EXECUTE FUNCTION change()"
                .to_owned(),
        ],
    };
    for statement in statements {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::raw_sql(statement)
            .execute(&mut *database)
            .await
            .unwrap();
    }
}

async fn run(database: &mut AnyConnection, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(&mut *database)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_login_is_void_if_what_it_depends_on_changes_meanwhile() {
    let service = started!();
    App::of(&service, EMAIL).await;
    let mut database = service.database().await;
    for (before, change) in [
        (
            "UPDATE second_factors SET confirmed = FALSE",
            "UPDATE second_factors SET confirmed = TRUE",
        ),
        (
            "DELETE FROM second_factors",
            "INSERT INTO second_factors (user_id, kind, secret, confirmed, created_at) \
             SELECT id, 'sms', '+491511234567', TRUE, 0 FROM users",
        ),
        (
            "UPDATE second_factors SET confirmed = FALSE",
            "UPDATE users SET scopes = 'other'",
        ),
        (
            "DELETE FROM second_factors",
            "UPDATE users SET disabled = TRUE",
        ),
        (
            "UPDATE users SET disabled = FALSE",
            "UPDATE users SET email = 'eve@example.com'",
        ),
        (
            "UPDATE users SET email = 'ada@example.com'",
            "UPDATE users SET email_verified = FALSE",
        ),
        (
            "SELECT 1",
            "UPDATE users SET password_hash = password_hash || 'x'",
        ),
    ] {
        run(&mut database, "DELETE FROM jwt_sessions").await;
        run(&mut database, before).await;
        change_when_a_session_opens(&service, &mut database, change).await;
        let answer = service.login(EMAIL, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{change}");
        assert_eq!(answer.code(), "invalid_credentials", "{change}");
    }
}

/// Another hash of the same password does not matter, and neither does anything that a login does not
/// depend on.
#[tokio::test]
async fn a_login_succeeds_if_only_something_else_changes_meanwhile() {
    let service = started!();
    App::of(&service, EMAIL).await;
    let mut database = service.database().await;
    run(&mut database, "DELETE FROM second_factors").await;
    for change in [
        "UPDATE users SET password_hash = password_hash || 'x', rehashes = rehashes + 1",
        "INSERT INTO second_factors (user_id, kind, secret, created_at) \
         SELECT id, 'sms', '+491511234567', 0 FROM users",
        "UPDATE users SET scopes = scopes",
    ] {
        change_when_a_session_opens(&service, &mut database, change).await;
        service.login(EMAIL, PASSWORD).await.tokens();
        let undo = "UPDATE users SET rehashes = rehashes + 1, \
                    password_hash = substr(password_hash, 1, length(password_hash) - 1)";
        if change.contains("rehashes") {
            run(&mut database, undo).await;
        }
    }
}

/// The same holds for the second step.
#[tokio::test]
async fn a_challenge_ends_if_what_the_login_depends_on_changes() {
    let service = started!();
    let app = App::of(&service, EMAIL).await;
    let mut database = service.database().await;
    for change in [
        "UPDATE users SET scopes = 'other'",
        "INSERT INTO second_factors (user_id, kind, secret, confirmed, created_at) \
         SELECT id, 'sms', '+491511234567', TRUE, 0 FROM users",
        "DELETE FROM second_factors WHERE kind = 'sms'",
    ] {
        let challenge = service.login(EMAIL, PASSWORD).await.challenge();
        run(&mut database, change).await;
        let over = answer(&service, &challenge, "totp", &app.code()).await;
        assert_eq!(over.code(), "invalid_challenge", "{change}");
    }
}
