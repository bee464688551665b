//! The refresh token in a cookie, which no other site can use.

use std::num::NonZeroU32;

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, Place, Service};
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

/// Returns the cookies that the response sets, as the browser sends them back.
fn cookies(answer: &Answer) -> String {
    let set = answer.headers("set-cookie");
    let pairs: Vec<_> = set
        .iter()
        .map(|cookie| {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            assert!(
                attributes.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
                "{cookie}"
            );
            pair
        })
        .collect();
    pairs.join("; ")
}

fn assert_removed(answer: &Answer) {
    let set = answer.headers("set-cookie");
    assert_eq!(set.len(), 2, "{set:?}");
    for (cookie, name) in set.iter().zip(["__Host-refresh", "__Host-device"]) {
        assert!(
            cookie.starts_with(&format!("{name}=; Max-Age=0;")),
            "{set:?}"
        );
    }
}

async fn refresh(service: &Service, cookies: &str) -> Answer {
    let headers = [COOKIE, OWN, ("cookie", cookies)];
    post(service, "/auth/refresh", &headers, "").await
}

/// Returns a service, the cookies of its browser, and an access token.
async fn logged_in() -> (Service, String, String) {
    logged_in_to(start(everything()).await).await
}

async fn logged_in_to(service: Service) -> (Service, String, String) {
    service.register("ada@example.com").await;
    let answer = post(&service, "/auth/login", &[JSON, COOKIE, OWN], &account()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookies = cookies(&answer);
    assert!(cookies.starts_with("__Host-refresh=ey"), "{cookies}");
    assert!(cookies.contains("; __Host-device="), "{cookies}");
    let pair = answer.json();
    assert_eq!(pair["refresh_token"], json!(null));
    assert_eq!(pair["expires_in"], 900);
    let access = pair["access_token"].as_str().unwrap().to_owned();
    (service, cookies, access)
}

#[tokio::test]
async fn a_page_refreshes_and_logs_out_with_its_cookie() {
    let (service, first, access) = logged_in().await;
    let bearer = format!("Bearer {access}");
    let answer = refresh(&service, &first).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert_eq!(answer.json()["refresh_token"], json!(null));
    let second = cookies(&answer);
    assert_ne!(first, second);

    let out = [COOKIE, OWN, ("authorization", bearer.as_str())];
    let answer = post(&service, "/auth/logout", &out, "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_removed(&answer);
    // The old cookie is not valid any more, and is removed.
    let answer = refresh(&service, &second).await;
    answer.assert_invalid_grant();
    assert_removed(&answer);
}

#[tokio::test]
async fn a_page_with_an_expired_token_logs_out_with_its_cookie() {
    for authorization in [None, Some(("authorization", "Bearer expired"))] {
        let (service, cookies, access) = logged_in().await;
        let mut out = vec![COOKIE, OWN, ("cookie", cookies.as_str())];
        out.extend(authorization);
        let answer = post(&service, "/auth/logout", &out, "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
        assert_removed(&answer);
        service.get("/me", &access).await.assert_invalid_token();
        refresh(&service, &cookies).await.assert_invalid_grant();
    }
}

#[tokio::test]
async fn a_stolen_refresh_cookie_needs_the_device_cookie() {
    let (service, first, _) = logged_in().await;
    let second = cookies(&refresh(&service, &first).await);
    let (stolen, device) = first.split_once("; ").unwrap();
    assert!(second.ends_with(device), "it stays the same: {second}");
    // Another tab of the same browser.
    let again = cookies(&refresh(&service, &first).await);
    assert_eq!(again, second);

    refresh(&service, stolen).await.assert_invalid_grant();
    refresh(&service, &second).await.assert_invalid_grant();
}

/// A malformed request, or too many requests, do not end the session.
#[tokio::test]
async fn only_invalid_grant_removes_the_cookie() {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.operations = everything();
        settings.rate_limit = NonZeroU32::new(1);
    });
    let (service, cookies, _) = logged_in_to(service.await).await;
    let headers = [COOKIE, OWN, ("cookie", cookies.as_str())];
    let wrong = service.request(Method::GET, "/auth/refresh", &headers, "");
    let wrong = wrong.await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.headers("set-cookie"), [""; 0]);

    refresh(&service, &cookies).await;
    let refused = refresh(&service, &cookies).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers("set-cookie"), [""; 0]);
}

#[tokio::test]
async fn a_refresh_without_a_session_is_not_an_error() {
    let service = start(everything()).await;
    for path in ["/auth/refresh", "/auth/logout"] {
        let answer = post(&service, path, &[COOKIE, OWN], "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("set-cookie"), "");
    }
}

/// CSRF: what another site can make a browser send, with and without our cookie.
#[tokio::test]
async fn other_sites_cannot_use_the_cookie() {
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
        for (path, body) in [
            ("/auth/refresh", String::new()),
            ("/auth/logout", String::new()),
            ("/auth/login", account()),
        ] {
            let headers = [JSON, COOKIE, cookie, ("origin", origin)];
            let answer = post(&service, path, &headers, &body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
            assert_eq!(answer.code(), "cross_origin");
            assert_eq!(answer.header("set-cookie"), "");
        }
    }
    for path in ["/auth/refresh", "/auth/logout"] {
        // Without `Origin`, or if the browser says that another site asks.
        let silent = post(&service, path, &[COOKIE, cookie], "").await;
        assert_eq!(silent.code(), "cross_origin");
        for site in ["cross-site", "same-site", "none"] {
            let headers = [COOKIE, cookie, OWN, ("sec-fetch-site", site)];
            let answer = post(&service, path, &headers, "").await;
            assert_eq!(answer.code(), "cross_origin", "{site}");
        }
    }
    // A form cannot send the header, and without it the cookie is ignored.
    for headers in [
        &[cookie, OWN][..],
        &[
            cookie,
            OWN,
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        &[cookie, OWN, JSON],
    ] {
        for path in ["/auth/refresh", "/auth/logout"] {
            let answer = post(&service, path, headers, "").await;
            assert!(answer.status.is_client_error());
            assert_eq!(answer.header("set-cookie"), "");
        }
    }
    // None of this has used up the token.
    let answer = post(&service, "/auth/refresh", &[COOKIE, OWN, cookie], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn other_sites_may_not_send_the_header() {
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
async fn without_a_public_url_the_host_header_decides() {
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

#[tokio::test]
async fn an_outage_does_not_remove_the_cookie() {
    let (service, cookies, _) = logged_in().await;
    service.app.close().await;
    for path in ["/auth/refresh", "/auth/logout"] {
        let headers = [COOKIE, OWN, ("cookie", cookies.as_str())];
        let answer = post(&service, path, &headers, "").await;
        answer.assert_unavailable();
        assert_eq!(answer.header("set-cookie"), "");
    }
}
