//! A team's own table: what its constraints refuse is not an outage.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";

const TABLES: [&str; 2] = [
    "CREATE TABLE secret_teams (id INTEGER PRIMARY KEY)",
    "CREATE TABLE secret_notes (
        note TEXT NOT NULL UNIQUE CHECK (note <> 'forbidden'),
        team INTEGER REFERENCES secret_teams (id)
     )",
];

/// Records each change of scopes, so that our handlers that change scopes run into the constraints.
const ON_SQLITE: &str = "CREATE TRIGGER note AFTER UPDATE OF scopes ON users BEGIN
    INSERT INTO secret_notes VALUES (
        nullif(NEW.scopes, 'nothing'), CASE WHEN NEW.scopes = 'orphan' THEN 7 END
    );
    SELECT RAISE(ABORT, 'secret: no bells') WHERE NEW.scopes = 'bells';
END";

const ON_POSTGRES: [&str; 2] = [
    "CREATE FUNCTION note() RETURNS trigger AS $$ BEGIN
        INSERT INTO secret_notes VALUES (
            nullif(NEW.scopes, 'nothing'), CASE WHEN NEW.scopes = 'orphan' THEN 7 END
        );
        IF NEW.scopes = 'bells' THEN RAISE EXCEPTION 'secret: no bells'; END IF;
        IF NEW.scopes = 'number' THEN PERFORM NEW.scopes::integer; END IF;
        IF NEW.scopes = 'range' THEN PERFORM 2147483647 + length(NEW.scopes); END IF;
        IF NEW.scopes = 'deadlock' THEN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END IF;
        IF NEW.scopes = 'serialize' THEN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END IF;
        IF NEW.scopes = 'replica' THEN RAISE EXCEPTION 'x' USING ERRCODE = '25006'; END IF;
        RETURN NULL;
     END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER note AFTER UPDATE OF scopes ON users FOR EACH ROW EXECUTE FUNCTION note()",
];

struct Admin {
    tokens: Tokens,
    id: String,
}

async fn admin(service: &Service) -> Admin {
    service.user(EMAIL).await;
    let email = service::Email::parse(EMAIL).unwrap();
    service.app.users().grant(&email, "admin").await.unwrap();
    let tokens = service.login(EMAIL, PASSWORD).await.tokens();
    service.register("bob@example.com").await;
    let bob = service::Email::parse("bob@example.com").unwrap();
    let bob = service.app.users().by_email(&bob).await.unwrap().unwrap();
    Admin { tokens, id: bob.id }
}

async fn own_tables(service: &Service) -> bool {
    let mut database = service.database().await;
    for statement in TABLES {
        sqlx::raw_sql(statement)
            .execute(&mut database)
            .await
            .unwrap();
    }
    let on_postgres = !service.place.database_url.starts_with("sqlite");
    let statements = if on_postgres {
        &ON_POSTGRES[..]
    } else {
        &[ON_SQLITE]
    };
    for statement in statements {
        sqlx::raw_sql(*statement)
            .execute(&mut database)
            .await
            .unwrap();
    }
    on_postgres
}

async fn note(service: &Service, admin: &Admin, note: &str) -> Answer {
    let path = format!("/admin/users/{}/scopes", admin.id);
    let body = json!({ "scopes": [note] });
    service
        .send_json(Method::PUT, &path, &admin.tokens.access, &body)
        .await
}

#[tokio::test]
async fn a_violated_constraint_of_your_own_table_is_not_an_outage() {
    let service = started!();
    let admin = admin(&service).await;
    let on_postgres = own_tables(&service).await;
    let first = note(&service, &admin, "first").await;
    assert_eq!(first.status, StatusCode::NO_CONTENT, "{:?}", first.body);
    let other = note(&service, &admin, "other").await;
    assert_eq!(other.status, StatusCode::NO_CONTENT);

    let mut refused = vec![
        ("first", StatusCode::CONFLICT, "conflict"), // UNIQUE
        (
            "forbidden",
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_storable",
        ), // CHECK
        ("nothing", StatusCode::UNPROCESSABLE_ENTITY, "not_storable"), // NOT NULL
        ("orphan", StatusCode::UNPROCESSABLE_ENTITY, "not_storable"), // FOREIGN KEY
        ("bells", StatusCode::UNPROCESSABLE_ENTITY, "not_storable"), // a trigger
    ];
    if on_postgres {
        refused.extend([
            ("number", StatusCode::UNPROCESSABLE_ENTITY, "not_storable"),
            ("range", StatusCode::UNPROCESSABLE_ENTITY, "not_storable"),
        ]);
    }
    for (scope, status, code) in refused {
        let answer = note(&service, &admin, scope).await;
        assert_eq!(answer.status, status, "{scope} {:?}", answer.body);
        assert_eq!(answer.code(), code, "{scope}");
        assert_eq!(answer.header("retry-after"), "", "{scope}");
        // The client learns nothing about our tables.
        for secret in ["secret", "notes", "users", "constraint", "sql"] {
            let text = answer.text().to_lowercase();
            assert!(!text.contains(secret), "{scope}: {text}");
        }
    }
    // What may work at another time says so.
    if on_postgres {
        for scope in ["deadlock", "serialize", "replica"] {
            note(&service, &admin, scope).await.assert_unavailable();
        }
    }
    // A wrong statement is an error in the service, and not an outage.
    sqlx::raw_sql("DROP TABLE secret_notes")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let fault = note(&service, &admin, "third").await;
    assert_eq!(fault.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fault.code(), "internal");
}
