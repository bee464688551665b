//! What is the same in SQLite and PostgreSQL if sessions and revocations are stored there.

mod versions; // chapter: second-factor

use axum::http::{Method, StatusCode};
use serde_json::json;
use sqlx::AnyConnection;

use crate::support::{PASSWORD, Service, claims, started};

/// Waits for background work, until the query returns this number.
async fn becomes(query: &'static str, number: i64, database: &mut AnyConnection) {
    for _ in 0..1000 {
        let query = sqlx::query_scalar::<_, i64>(query);
        if query.fetch_one(&mut *database).await.unwrap() == number {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never {number}: {query}");
}

#[tokio::test]
async fn one_session_too_many_ends_the_oldest() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let mut newest = service.login("ada@example.com", PASSWORD).await.tokens();
    // Copies of a session replace logins, each of which would hash a password.
    let copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 98) \
         INSERT INTO jwt_sessions (id, subject, generation, previous_generation, token_id, \
             created_at, rotated_at, last_used_at, idle_ttl, expires_at, converged, \
             convergences, lost_responses, payload) \
         SELECT 'copy ' || i, subject, generation, previous_generation, token_id, \
             created_at, rotated_at, last_used_at + i, idle_ttl, expires_at, converged, \
             convergences, lost_responses, payload \
         FROM n, (SELECT * FROM jwt_sessions ORDER BY created_at DESC LIMIT 1) AS newest";
    let copied = sqlx::query(copies)
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(copied.rows_affected(), 98);
    assert_eq!(service.sessions(&newest.access).await.len(), 100);

    newest = service.login("ada@example.com", PASSWORD).await.tokens();
    assert_eq!(service.sessions(&newest.access).await.len(), 100);
    service.assert_over(&first).await;
    service.assert_good(&newest).await;
}

/// Lets this much time pass for the only session.
async fn later(service: &Service, seconds: i64) {
    let back = "UPDATE jwt_sessions SET created_at = created_at - $1, rotated_at = rotated_at - $1, \
         last_used_at = last_used_at - $1";
    let done = sqlx::query(back)
        .bind(seconds * 1_000_000)
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test]
async fn a_used_session_can_repeat_a_lost_refresh_for_days() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let me = service.get("/me", &first.access).await;
    assert_eq!(me.status, StatusCode::OK);
    let seen = "SELECT count(*) FROM jwt_sessions WHERE acknowledged = 0";
    becomes(seen, 1, &mut service.database().await).await;

    let lost = service.refresh(&first.refresh).await.tokens();
    later(&service, 5 * 86_400).await;
    let again = service.refresh(&first.refresh).await.tokens();
    assert_eq!(claims(&again.refresh)["jti"], claims(&lost.refresh)["jti"]);
    service.assert_good(&again).await;
}

#[tokio::test]
async fn an_unused_session_can_repeat_a_lost_refresh_for_a_minute() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let lost = service.refresh(&first.refresh).await.tokens();
    later(&service, 20).await;
    let again = service.refresh(&first.refresh).await.tokens();
    assert_eq!(claims(&again.refresh)["jti"], claims(&lost.refresh)["jti"]);
    later(&service, 61).await;
    service.refresh(&first.refresh).await.assert_invalid_grant();
    service.assert_over(&again).await;
}

#[tokio::test]
async fn only_expired_rows_are_removed_in_batches() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let out = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&out.access).await;
    let mut database = service.database().await;
    for statement in [
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
         INSERT INTO jwt_sessions (id, subject, generation, previous_generation, token_id, \
             created_at, rotated_at, last_used_at, idle_ttl, expires_at, converged, \
             convergences, lost_responses, payload) \
         SELECT 'old ' || i, 'gone', 0, 0, 't', 1, 1, 1, 9, 9, 0, 0, 0, '{}' FROM n",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
         INSERT INTO jwt_revocations SELECT 'old ' || i, 'token', 'i', 9, 9 FROM n",
        crate::OLD_PROOFS,
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    drop(database);

    // Cleaning begins at the start, and continues until everything is done.
    let service = Service::start_in(service.stop().await).await;
    let mut database = service.database().await;
    let left = "SELECT (SELECT count(*) FROM jwt_sessions WHERE id LIKE 'old %') + \
         (SELECT count(*) FROM jwt_revocations WHERE id LIKE 'old %') + \
         (SELECT count(*) FROM jwt_proofs)";
    becomes(left, 0, &mut database).await;
    // The session that has just ended stays for as long as its access tokens.
    let kept = "SELECT (SELECT count(*) FROM jwt_sessions), (SELECT count(*) FROM jwt_revocations)";
    let kept: (i64, i64) = sqlx::query_as(kept).fetch_one(&mut database).await.unwrap();
    assert_eq!(kept, (2, 1));
    service.assert_good(&tokens).await;
    service.assert_over(&out).await;
}

#[tokio::test]
async fn without_a_database_requests_are_neither_refused_nor_passed() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    service.app.close().await;

    service
        .register("eve@example.com")
        .await
        .assert_unavailable();
    service
        .login("ada@example.com", PASSWORD)
        .await
        .assert_unavailable();
    service
        .login("ada@example.com", "wrong")
        .await
        .assert_unavailable();
    service.refresh(&tokens.refresh).await.assert_unavailable();
    service
        .get("/me", &tokens.access)
        .await
        .assert_unavailable();
    // chapter: admin {
    service
        .get("/admin", &tokens.access)
        .await
        .assert_unavailable();
    // chapter: admin }
    service.logout(&tokens.access).await.assert_unavailable();

    let method = Method::POST;
    let all = service.send(method, "/auth/logout-all", &tokens.access);
    all.await.assert_unavailable();
    service
        .get("/auth/sessions", &tokens.access)
        .await
        .assert_unavailable();
    let method = Method::DELETE;
    let one = service.send(method, "/auth/sessions/x", &tokens.access);
    one.await.assert_unavailable();

    let secret = "A".repeat(43);
    let body = json!({
        "token": secret, "new_password": PASSWORD, "current_password": PASSWORD,
        "challenge": secret, "method": "totp", "code": "123456", "phone": "+491511234567",
    });
    for path in [
        "/auth/password/reset",
        "/auth/email/verify",
        "/auth/login/second-factor", // chapter: second-factor
        "/auth/login/sms",           // chapter: sms
        "/auth/login/passkey",       // chapter: passkeys
    ] {
        service.post(path, &body).await.assert_unavailable();
    }
    for path in [
        "/auth/password/change",
        "/auth/second-factor/totp",         // chapter: second-factor
        "/auth/second-factor/totp/confirm", // chapter: second-factor
        "/auth/second-factor/sms",          // chapter: sms
        "/auth/second-factor/sms/confirm",  // chapter: sms
        "/auth/second-factor/remove",       // chapter: second-factor
        "/auth/passkeys/register",          // chapter: passkeys
        "/auth/passkeys/prove",             // chapter: passkeys
        "/auth/passkeys/x/remove",          // chapter: passkeys
    ] {
        let answer = service.post_as(&tokens, path, &body).await;
        answer.assert_unavailable();
    }
    // Whether there is an account is decided outside the request.
    let body = json!({ "email": "ada@example.com", "registration": "A".repeat(22) });
    for path in ["/auth/password/forgot", "/auth/email/resend"] {
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }

    // What needs no database still works.
    let forged = service.get("/me", "garbage").await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    let answer = service.refresh("garbage").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

/// Several processes write at once, and each counts what the others have written.
#[tokio::test(flavor = "multi_thread")]
async fn several_processes_share_the_limit_of_links() {
    let one = started!();
    one.register("ada@example.com").await;
    one.letter("ada@example.com", 1).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut place = crate::support::Place::sqlite();
        place.database_url = one.place.database_url.clone();
        others.push(Service::start_in(place).await);
    }
    let body = json!({ "email": "ada@example.com" });
    let mut asked = tokio::task::JoinSet::new();
    for service in others.iter().cycle().take(30) {
        let (client, body) = ((**service).clone(), body.clone());
        asked.spawn(async move {
            let answer = client.post("/auth/password/forgot", &body).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED);
        });
    }
    asked.join_all().await;
    let mut letters = 0;
    for service in others {
        let place = service.stop().await;
        let mail = place.folder.path().join("mail");
        letters += crate::support::mail::Letter::all(&mail, "ada@example.com").len();
    }
    assert_eq!(letters, 5);
}

/// Reading still works, so the problem is not obvious.
#[tokio::test]
async fn a_service_whose_database_cannot_be_written_is_not_ready() {
    let service = started!();
    let ready = async || service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(ready().await.status, StatusCode::OK);
    let mut other = service.database().await;
    for statement in crate::FORBID_WRITING {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let answer = ready().await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.code(), "not_ready");
            assert_eq!(answer.json()["detail"], "Not ready: database.");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "always ready");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for statement in crate::ALLOW_WRITING {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    while ready().await.status != StatusCode::OK {
        assert!(std::time::Instant::now() < deadline, "never ready again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
