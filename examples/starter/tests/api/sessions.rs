//! Sessions, and how they end: `/auth/logout`, `/auth/logout-all`, `/auth/sessions`.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Client, PASSWORD, Service, Tokens, issuer_in_the_past, started};

const JSON: (&str, &str) = ("content-type", "application/json");

impl Client {
    async fn login_as(&self, email: &str, agent: &str) -> Tokens {
        let account = json!({ "email": email, "password": PASSWORD });
        let headers = [JSON, ("user-agent", agent)];
        self.request(Method::POST, "/auth/login", &headers, account.to_string())
            .await
            .tokens()
    }

    async fn end(&self, id: &Value, token: &str) -> Answer {
        let path = format!("/auth/sessions/{}", id.as_str().unwrap());
        self.send(Method::DELETE, &path, token).await
    }
}

fn assert_no_content(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_logout_ends_only_its_session() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();

    assert_no_content(&service.logout(&first.access).await);
    service.assert_over(&first).await;
    service.logout(&first.access).await.assert_invalid_token();
    service.assert_good(&second).await;
}

#[tokio::test]
async fn a_logout_revokes_tokens_from_later_refreshes() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let second = service.refresh(&first.refresh).await.tokens();
    assert_no_content(&service.logout(&first.access).await);
    service.assert_over(&second).await;
}

#[tokio::test]
async fn an_expired_client_logs_out_with_its_refresh_token() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let other = service.login("ada@example.com", PASSWORD).await.tokens();
    let next = service.refresh(&first.refresh).await.tokens();
    // A replaced token identifies the session as well.
    assert_no_content(&service.logout_by(&first.refresh).await);
    service.assert_over(&next).await;

    // The access token is sent too, although it is not valid any more.
    let third = service.login("ada@example.com", PASSWORD).await.tokens();
    let expired = issuer_in_the_past(Duration::from_secs(3600));
    let expired = expired.access("ada").issue().unwrap();
    let body = json!({ "refresh_token": third.refresh });
    let (method, path) = (Method::POST, "/auth/logout");
    let answer = service.send_json(method, path, &expired, &body).await;
    assert_no_content(&answer);
    service.assert_over(&third).await;
    service.assert_good(&other).await;
}

#[tokio::test]
async fn a_logout_with_an_unknown_refresh_token_succeeds() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    let over = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&over.access).await;
    let (signed, _) = tokens.refresh.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(43));
    for token in ["", "garbage", &tokens.access, &forged, &over.refresh] {
        assert_no_content(&service.logout_by(token).await);
    }
    service.assert_good(&tokens).await;
}

#[tokio::test]
async fn a_logout_with_tokens_of_two_sessions_ends_both() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();
    let body = json!({ "refresh_token": second.refresh });
    let answer = service.post_as(&first, "/auth/logout", &body).await;
    assert_no_content(&answer);
    service.assert_over(&first).await;
    service.assert_over(&second).await;
}

#[tokio::test]
async fn a_logout_without_a_token_is_refused() {
    let service = started!();
    let tokens = service.user("ada@example.com").await;
    for body in ["", "{}", r#"{"refresh_token":null}"#] {
        let answer = service.request(Method::POST, "/auth/logout", &[JSON], body);
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{body}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#);
    }
    for (body, status, code) in [
        ("{", StatusCode::BAD_REQUEST, "invalid_request"),
        ("7", StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"),
    ] {
        let answer = service.request(Method::POST, "/auth/logout", &[JSON], body);
        let answer = answer.await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.code(), code);
    }
    service.assert_good(&tokens).await;
}

#[tokio::test]
async fn a_logout_everywhere_ends_all_sessions_of_only_that_user() {
    let service = started!();
    let first = service.user("ada@example.com").await;
    let second = service.login("ada@example.com", PASSWORD).await.tokens();
    let stranger = service.user("eve@example.com").await;

    let answer = service
        .send(Method::POST, "/auth/logout-all", &first.access)
        .await;
    assert_no_content(&answer);
    for tokens in [&first, &second] {
        service.assert_over(tokens).await;
    }
    service.assert_good(&stranger).await;

    let third = service.login("ada@example.com", PASSWORD).await.tokens();
    assert_eq!(service.sessions(&third.access).await.len(), 1);
    service.assert_good(&third).await;
}

#[tokio::test]
async fn users_see_their_sessions_and_which_is_current() {
    let service = started!();
    service.register("ada@example.com").await;
    let long = "x".repeat(300);
    let laptop = service.login_as("ada@example.com", "laptop").await;
    let other = service.login_as("ada@example.com", &long).await;
    service.login("ada@example.com", PASSWORD).await.tokens();
    service.user("eve@example.com").await;

    let sessions = service.sessions(&laptop.access).await;
    assert_eq!(sessions.len(), 3);
    // The session that was used last comes first.
    assert_eq!(sessions[0]["label"], Value::Null);
    assert_eq!(sessions[1]["label"], long[..100]);
    assert_eq!(sessions[2]["label"], "laptop");
    let current: Vec<_> = sessions.iter().map(|one| &one["current"]).collect();
    assert_eq!(current, [false, false, true]);
    for session in &sessions {
        let [created, used, expires] = ["created_at", "last_used_at", "expires_at"]
            .map(|name| session[name].as_u64().unwrap());
        assert!(created > 1_700_000_000 && used >= created, "{session}");
        assert_eq!(expires - created, 30 * 86_400, "{session}");
        assert_eq!(session["bound"], false, "{session}");
        assert_eq!(session.as_object().unwrap().len(), 7, "{session}");
    }

    let laptop = service.refresh(&laptop.refresh).await.tokens();
    let after = service.sessions(&laptop.access).await;
    assert_eq!(after[0]["id"], sessions[2]["id"]);
    assert_eq!(after[0]["current"], true);
    let seen_by_other = service.sessions(&other.access).await;
    assert_eq!(seen_by_other[2]["current"], true);
}

#[tokio::test]
async fn users_can_end_one_of_their_sessions() {
    let service = started!();
    let here = service.user("ada@example.com").await;
    let there = service.login("ada@example.com", PASSWORD).await.tokens();
    let sessions = service.sessions(&here.access).await;
    let other = sessions.iter().find(|one| one["current"] == false).unwrap();

    assert_no_content(&service.end(&other["id"], &here.access).await);
    service.assert_over(&there).await;
    let answer = service.end(&other["id"], &here.access).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);

    let left = service.sessions(&here.access).await;
    assert_eq!(left.len(), 1);
    assert_no_content(&service.end(&left[0]["id"], &here.access).await);
    service.assert_over(&here).await;
}

#[tokio::test]
async fn sessions_of_other_users_are_not_found() {
    let service = started!();
    let ada = service.user("ada@example.com").await;
    let eve = service.user("eve@example.com").await;
    let id = service.sessions(&ada.access).await[0]["id"].clone();

    let foreign = service.end(&id, &eve.access).await;
    let unknown = service.end(&json!("nowhere"), &eve.access).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!(foreign.code(), "not_found");
    assert_eq!(foreign.body, unknown.body);
    assert_eq!(foreign.status, unknown.status);
    let text = service
        .send(Method::DELETE, "/auth/sessions/%FF", &eve.access)
        .await;
    assert_eq!(text.status, StatusCode::NOT_FOUND);
    let nul = service.send(Method::DELETE, "/auth/sessions/%00", &eve.access);
    assert_eq!(nul.await.status, StatusCode::NOT_FOUND);
    service.assert_good(&ada).await;
}

#[tokio::test]
async fn a_restart_keeps_users_sessions_and_logouts() {
    let service = started!();
    let out = service.user("ada@example.com").await;
    let first = service.login("ada@example.com", PASSWORD).await.tokens();
    let stale = service.login("ada@example.com", PASSWORD).await.tokens();
    let next = service.refresh(&stale.refresh).await.tokens();
    let next = service.refresh(&next.refresh).await.tokens();
    service.logout(&out.access).await;

    let service = Service::start_in(service.stop().await).await;
    service.assert_over(&out).await;
    assert_eq!(service.sessions(&first.access).await.len(), 2);
    service.assert_good(&first).await;
    // The place of each session in the rotation is known as well.
    let answer = service.refresh(&stale.refresh).await;
    assert_eq!(answer.json()["error"], "invalid_grant");
    service.assert_over(&next).await;
    service.login("ada@example.com", PASSWORD).await.tokens();
}
