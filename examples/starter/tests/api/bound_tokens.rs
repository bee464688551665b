//! Tokens that are bound to the key of a client: worthless for whoever steals them without it.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::key_holder::KeyHolder;
use crate::support::{Answer, PASSWORD, Place, Service, Tokens, started};

const EMAIL: &str = "ada@example.com";

/// A service, a client with a key, and the tokens of its session.
async fn logged_in(service: &Service) -> (KeyHolder, Tokens) {
    assert_eq!(service.register(EMAIL).await.status, StatusCode::ACCEPTED);
    let client = KeyHolder::new();
    let answer = client.log_in(service, EMAIL).await;
    let tokens = client.bound(service, &answer).await;
    (client, tokens)
}

#[track_caller]
pub(super) fn assert_refused(answer: &Answer, status: StatusCode, code: &str) {
    let found = (answer.status, answer.code());
    assert_eq!(found, (status, code.to_owned()), "{:?}", answer.body);
}

#[tokio::test]
async fn a_client_with_a_key_uses_and_ends_a_bound_session() {
    let service = started!();
    let (client, first) = logged_in(&service).await;
    let answer = client.refresh(&service, &first.refresh).await;
    let second = client.bound(&service, &answer).await;
    assert_ne!(second.refresh, first.refresh);
    let unbound = service.login(EMAIL, PASSWORD).await.tokens();
    let sessions = client.get(&service, "/auth/sessions", &second.access).await;
    let sessions = sessions.json()["sessions"].clone();
    let bound: Vec<_> = sessions.as_array().unwrap().iter().collect();
    let bound: Vec<_> = bound
        .iter()
        .map(|one| (&one["current"], &one["bound"]))
        .collect();
    assert_eq!(
        bound,
        [(&json!(false), &json!(false)), (&json!(true), &json!(true))]
    );

    let (method, path) = (Method::POST, "/auth/logout");
    let out = client.send(&service, method, path, Some(&second.access), "");
    let out = out.await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{:?}", out.body);
    let over = client.get(&service, "/me", &second.access).await;
    assert_refused(&over, StatusCode::UNAUTHORIZED, "invalid_token");
    client
        .refresh(&service, &second.refresh)
        .await
        .assert_invalid_grant();
    service.assert_good(&unbound).await;
}

#[tokio::test]
async fn whoever_steals_the_tokens_and_not_the_key_has_nothing() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let unbound = service.login(EMAIL, PASSWORD).await.tokens();
    let thief = KeyHolder::new();
    thief.log_in(&service, "nobody@example.com").await; // learns the nonce
    let access = Some(tokens.access.as_str());
    let get = async |proof: &str, token: &str, scheme: &str| {
        let authorization = format!("{scheme} {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend((!proof.is_empty()).then_some(("dpop", proof)));
        service.request(Method::GET, "/me", &headers, "").await
    };

    let proof = client.proof(&Method::GET, "/me", access);
    let me = client.send_with(&proof, &service, Method::GET, "/me", access, "");
    assert_eq!(me.await.status, StatusCode::OK);
    let of_thief = thief.proof(&Method::GET, "/me", access);
    let for_other = client.proof(&Method::GET, "/auth/sessions", access);
    let for_none = client.proof(&Method::GET, "/me", None);
    for (scheme, proof, code) in [
        ("Bearer", "", "invalid_token"),
        (
            "Bearer",
            &client.proof(&Method::GET, "/me", access),
            "invalid_token",
        ),
        ("DPoP", "", "invalid_dpop_proof"),
        ("DPoP", &of_thief, "invalid_token"),
        ("DPoP", &proof, "invalid_dpop_proof"),
        ("DPoP", &for_other, "invalid_dpop_proof"),
        ("DPoP", &for_none, "invalid_dpop_proof"),
    ] {
        let answer = get(proof, &tokens.access, scheme).await;
        assert_refused(&answer, StatusCode::UNAUTHORIZED, code);
        let challenges = answer.headers("www-authenticate").join(", ");
        assert!(challenges.contains("DPoP realm="), "{challenges}");
    }
    // No downgrade in the other direction either.
    let proof = client.proof(&Method::GET, "/me", Some(&unbound.access));
    let answer = get(&proof, &unbound.access, "DPoP").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    // The route that looks at the access token itself.
    let out = service.logout(&tokens.access).await;
    assert_refused(&out, StatusCode::UNAUTHORIZED, "invalid_token");
    let (method, path) = (Method::POST, "/auth/logout");
    let out = thief.send(&service, method, path, access, "").await;
    assert_refused(&out, StatusCode::UNAUTHORIZED, "invalid_token");

    // A refresh token without a proof, and with one that was used.
    for _ in 0..2 {
        let answer = service.refresh(&tokens.refresh).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    }
    let (method, path) = (Method::POST, "/auth/refresh");
    let proof = client.proof(&method, path, None);
    let body = json!({ "refresh_token": tokens.refresh }).to_string();
    let own = client.send_with(&proof, &service, method.clone(), path, None, &body);
    let next = own.await.tokens();
    for token in [&tokens.refresh, &next.refresh] {
        let body = json!({ "refresh_token": token }).to_string();
        let answer = thief.send_with(&proof, &service, method.clone(), path, None, &body);
        assert_refused(&answer.await, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    }
    // The client goes on all the while.
    let answer = client.refresh(&service, &next.refresh).await;
    client.bound(&service, &answer).await;
}

#[tokio::test]
async fn a_refresh_by_another_key_ends_the_session() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let other = client.log_in(&service, EMAIL).await;
    let other = client.bound(&service, &other).await;
    let thief = KeyHolder::new();
    let stolen = thief.refresh(&service, &tokens.refresh).await;
    stolen.assert_invalid_grant();
    let over = client.get(&service, "/me", &tokens.access).await;
    assert_refused(&over, StatusCode::UNAUTHORIZED, "invalid_token");
    client
        .refresh(&service, &tokens.refresh)
        .await
        .assert_invalid_grant();
    // A session of the same key elsewhere is another one.
    let answer = client.refresh(&service, &other.refresh).await;
    client.bound(&service, &answer).await;
}

#[tokio::test]
async fn a_refresh_token_alone_ends_its_bound_session() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let out = service.logout_by(&tokens.refresh).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let over = client.get(&service, "/me", &tokens.access).await;
    assert_refused(&over, StatusCode::UNAUTHORIZED, "invalid_token");
}

#[tokio::test]
async fn a_proof_is_good_once_and_a_nonce_everywhere_on_two_nodes() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let place = Place {
        redis_url: service.place.redis_url.clone(),
        ..Place::at(service.place.database_url.clone())
    };
    let other = Service::start_in(place).await;
    // The nonce of one node is the nonce of the other.
    let access = Some(tokens.access.as_str());
    let proof = client.proof(&Method::GET, "/me", access);
    let me = client.send_with(&proof, &other, Method::GET, "/me", access, "");
    assert_eq!(me.await.status, StatusCode::OK);
    for node in [&service, &other] {
        let again = client.send_with(&proof, node, Method::GET, "/me", access, "");
        let again = again.await;
        assert_refused(&again, StatusCode::UNAUTHORIZED, "invalid_dpop_proof");
    }
    let account = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let (method, path) = (Method::POST, "/auth/login");
    let proof = client.proof(&method, path, None);
    let mut found = Vec::new();
    for node in [&service, &other] {
        let answer = client.send_with(&proof, node, method.clone(), path, None, &account);
        found.push(answer.await.status);
    }
    assert_eq!(found, [StatusCode::OK, StatusCode::BAD_REQUEST]);
}

#[tokio::test]
async fn a_client_is_told_a_nonce_and_repeats_its_request() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let stranger = KeyHolder::of(client.key.clone());
    assert_eq!(stranger.nonce(), None);
    let access = Some(tokens.access.as_str());
    let proof = stranger.proof(&Method::GET, "/me", access);
    let answer = stranger.send_with(&proof, &service, Method::GET, "/me", access, "");
    let answer = answer.await;
    assert_refused(&answer, StatusCode::UNAUTHORIZED, "use_dpop_nonce");
    assert_eq!(stranger.nonce(), client.nonce());
    let challenges = answer.headers("www-authenticate").join(" ");
    assert!(
        challenges.contains(r#"error="use_dpop_nonce""#),
        "{challenges}"
    );
    for (path, body) in [
        (
            "/auth/login",
            json!({ "email": EMAIL, "password": PASSWORD }),
        ),
        (
            "/auth/login",
            json!({ "email": EMAIL, "password": "wrong" }),
        ),
        ("/auth/refresh", json!({ "refresh_token": tokens.refresh })),
    ] {
        let stranger = KeyHolder::new();
        let proof = stranger.proof(&Method::POST, path, None);
        let (method, body) = (Method::POST, body.to_string());
        let answer = stranger.send_with(&proof, &service, method, path, None, &body);
        assert_refused(&answer.await, StatusCode::BAD_REQUEST, "use_dpop_nonce");
        assert_eq!(stranger.nonce(), client.nonce());
    }
    // Nothing of this has changed the session.
    let answer = client.refresh(&service, &tokens.refresh).await;
    client.bound(&service, &answer).await;
}

#[tokio::test]
async fn a_client_whose_clock_is_an_hour_wrong_gets_in() {
    let service = started!();
    service.register(EMAIL).await;
    for client in [KeyHolder::behind(), KeyHolder::ahead()] {
        let answer = client.log_in(&service, EMAIL).await;
        let tokens = client.bound(&service, &answer).await;
        let answer = client.refresh(&service, &tokens.refresh).await;
        client.bound(&service, &answer).await;
    }
}

#[tokio::test]
async fn a_proof_at_a_refresh_binds_the_access_token_alone() {
    let service = started!();
    let first = service.user(EMAIL).await;
    let client = KeyHolder::new();
    let answer = client.refresh(&service, &first.refresh).await;
    let second = client.bound(&service, &answer).await;
    let listed = client.get(&service, "/auth/sessions", &second.access).await;
    assert_eq!(listed.json()["sessions"][0]["bound"], false);
    let third = service.refresh(&second.refresh).await.tokens();
    service.assert_good(&third).await;
}

#[tokio::test]
async fn where_it_is_turned_off_proofs_are_ignored() {
    let service = started!();
    let (client, tokens) = logged_in(&service).await;
    let mut place = service.stop().await;
    let redis_url = place.redis_url.take();
    let off = Service::start_with(place, |settings| {
        settings.redis_url = redis_url;
        settings.sessions.dpop = false;
    });
    let service = off.await;
    // A session that is bound is not good without its key, whatever is turned off.
    service
        .get("/me", &tokens.access)
        .await
        .assert_invalid_token();
    let refused = client.get(&service, "/me", &tokens.access).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers("www-authenticate").len(), 1);
    let refused = client.refresh(&service, &tokens.refresh).await;
    assert_refused(&refused, StatusCode::BAD_REQUEST, "invalid_dpop_proof");

    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    for proof in [&client.proof(&Method::POST, "/auth/login", None), "garbage"] {
        let (method, path) = (Method::POST, "/auth/login");
        let answer = client.send_with(proof, &service, method, path, None, &body);
        let answer = answer.await;
        assert_eq!(answer.json()["token_type"], "Bearer");
        let tokens = answer.tokens();
        let sessions = service.sessions(&tokens.access).await;
        assert_eq!(sessions[0]["bound"], false);
        let answer = client.refresh(&service, &tokens.refresh).await;
        assert_eq!(answer.json()["token_type"], "Bearer");
        service.assert_good(&answer.tokens()).await;
    }
}
