//! The refresh token in a cookie, and that no other site can make use of it.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service};
use crate::{everything, start};

const JSON: (&str, &str) = ("content-type", "application/json");
const COOKIE: (&str, &str) = ("token-transport", "cookie");
const OWN: (&str, &str) = ("origin", "https://auth.example.com");

fn account() -> String {
    json!({ "email": "ada@example.com", "password": PASSWORD }).to_string()
}

async fn post(service: &Service, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    service
        .request(Method::POST, path, headers, body.to_owned())
        .await
}

/// The cookie as the browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    let (pair, attributes) = set.split_once(';').unwrap();
    assert!(
        attributes.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    pair.to_owned()
}

async fn logged_in() -> (Service, String, String) {
    let service = start(everything()).await;
    service.register("ada@example.com").await;
    let answer = post(&service, "/auth/login", &[JSON, COOKIE, OWN], &account()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookie = cookie(&answer);
    assert!(cookie.starts_with("__Host-refresh=ey"), "{cookie}");
    let pair = answer.json();
    assert_eq!(pair["refresh_token"], json!(null));
    assert_eq!(pair["expires_in"], 900);
    let access = pair["access_token"].as_str().unwrap().to_owned();
    (service, cookie, access)
}

#[tokio::test]
async fn a_page_refreshes_and_logs_out_by_its_cookie() {
    let (service, first, access) = logged_in().await;
    let bearer = format!("Bearer {access}");
    let answer = post(
        &service,
        "/auth/refresh",
        &[COOKIE, OWN, ("cookie", &first)],
        "",
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert_eq!(answer.json()["refresh_token"], json!(null));
    let second = cookie(&answer);
    assert_ne!(first, second);

    let out = [COOKIE, OWN, ("authorization", bearer.as_str())];
    let answer = post(&service, "/auth/logout", &out, "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(
        answer
            .header("set-cookie")
            .starts_with("__Host-refresh=; Max-Age=0;")
    );
    // The old one is good for nothing, and is removed.
    let answer = post(
        &service,
        "/auth/refresh",
        &[COOKIE, OWN, ("cookie", &second)],
        "",
    )
    .await;
    answer.assert_invalid_grant();
    assert!(
        answer
            .header("set-cookie")
            .starts_with("__Host-refresh=; Max-Age=0;")
    );
}

#[tokio::test]
async fn nobody_logged_in_is_no_fault() {
    let service = start(everything()).await;
    let answer = post(&service, "/auth/refresh", &[COOKIE, OWN], "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("set-cookie"), "");
}

/// CSRF: what another site can make a browser send, with and without our cookie.
#[tokio::test]
async fn another_site_can_do_nothing_with_the_cookie() {
    let (service, cookie, _) = logged_in().await;
    let cookie = ("cookie", cookie.as_str());
    for origin in [
        "https://evil.example.com",
        "https://auth.example.com.evil.com",
        "https://sub.auth.example.com",
        "http://auth.example.com",
        "https://auth.example.com:8443",
        "https://app.example.com", // that CORS lets in, with a bearer token
        "null",
        "",
    ] {
        for (path, body) in [("/auth/refresh", String::new()), ("/auth/login", account())] {
            let headers = [JSON, COOKIE, cookie, ("origin", origin)];
            let answer = post(&service, path, &headers, &body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
            assert_eq!(answer.code(), "cross_origin");
            assert_eq!(answer.header("set-cookie"), "");
        }
    }
    // Without any `Origin`, or if the browser says that another site asks.
    let silent = post(&service, "/auth/refresh", &[COOKIE, cookie], "").await;
    assert_eq!(silent.code(), "cross_origin");
    for site in ["cross-site", "same-site", "none"] {
        let headers = [COOKIE, cookie, OWN, ("sec-fetch-site", site)];
        let answer = post(&service, "/auth/refresh", &headers, "").await;
        assert_eq!(answer.code(), "cross_origin", "{site}");
    }
    // A form cannot send the header, and without it the cookie is not looked at.
    for headers in [
        &[cookie, OWN][..],
        &[
            cookie,
            OWN,
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        &[cookie, OWN, JSON],
    ] {
        let answer = post(&service, "/auth/refresh", headers, "").await;
        assert!(answer.status.is_client_error());
        assert_eq!(answer.header("set-cookie"), "");
    }
    // Nothing of this has used the token up.
    let answer = post(&service, "/auth/refresh", &[COOKIE, OWN, cookie], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_leave_to_send_the_header() {
    let service = start(everything()).await;
    let asked = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "token-transport"),
    ];
    let answer = service
        .fetch(Method::OPTIONS, "/auth/refresh", &asked)
        .await;
    let allowed = answer.header("access-control-allow-headers");
    assert!(!allowed.contains("token-transport"), "{allowed}");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn without_a_public_url_the_host_says_who_we_are() {
    let service = start(Default::default()).await;
    service.register("ada@example.com").await;
    let own = format!("http://{}", service.address());
    let login = |origin: String| {
        let service = &service;
        async move {
            let headers = [JSON, COOKIE, ("origin", origin.as_str())];
            post(service, "/auth/login", &headers, &account())
                .await
                .status
        }
    };
    assert_eq!(login(own).await, StatusCode::OK);
    assert_eq!(
        login("http://localhost:1".to_owned()).await,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_a_cookie_gets_none() {
    let service = start(everything()).await;
    service.register("ada@example.com").await;
    let answer = service.login("ada@example.com", PASSWORD).await;
    assert_eq!(answer.header("set-cookie"), "");
    answer.tokens();
    let odd = [JSON, OWN, ("token-transport", "carrier-pigeon")];
    let answer = post(&service, "/auth/login", &odd, &account()).await;
    assert_eq!(answer.code(), "invalid_request");
}

/// The session is over with the answer, also if the refresh is refused for an outage: then the cookie stays.
#[tokio::test]
async fn an_outage_costs_nobody_the_cookie() {
    let (service, cookie, _) = logged_in().await;
    service.app.close().await;
    let headers = [COOKIE, OWN, ("cookie", cookie.as_str())];
    let answer = post(&service, "/auth/refresh", &headers, "").await;
    answer.assert_unavailable();
    assert_eq!(answer.header("set-cookie"), "");
}
