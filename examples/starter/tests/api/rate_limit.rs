//! Rate limits by client address.

use std::num::NonZeroU32;

use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};

use crate::support::{Answer, Service, random_ip, started};

/// Starts a service that allows this many requests per minute.
macro_rules! limited {
    ($per_minute:literal) => {
        started!(
            with | settings | {
                settings.rate_limit = NonZeroU32::new($per_minute);
                settings.trusted_proxies = service::TrustedProxies::parse("127.0.0.1").unwrap();
            }
        )
    };
}

async fn ask(service: &Service, ip: &str, method: Method, path: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", ip),
    ];
    let body = r#"{"email":"","password":"","token":"","refresh_token":"","new_password":""}"#;
    service.request(method, path, &headers, body).await
}

#[tokio::test]
async fn rate_limits_are_separate_per_route_and_address() {
    let service = limited!(3);
    let (one, other) = (random_ip(), random_ip());
    for (method, path) in [
        (Method::POST, "/auth/register"),
        (Method::POST, "/auth/login"),
        (Method::POST, "/auth/login/second-factor"), // chapter: second-factor
        (Method::POST, "/auth/login/sms"),           // chapter: sms
        (Method::GET, "/auth/second-factor"),        // chapter: second-factor
        (Method::POST, "/auth/second-factor/totp"),  // chapter: second-factor
        (Method::POST, "/auth/second-factor/totp/confirm"), // chapter: second-factor
        (Method::POST, "/auth/second-factor/sms"),   // chapter: sms
        (Method::POST, "/auth/second-factor/sms/confirm"), // chapter: sms
        (Method::POST, "/auth/second-factor/remove"), // chapter: second-factor
        (Method::POST, "/auth/refresh"),
        (Method::POST, "/auth/logout"),
        (Method::POST, "/auth/logout-all"),
        (Method::GET, "/auth/sessions"),
        (Method::DELETE, "/auth/sessions/x"),
        (Method::POST, "/auth/password/forgot"),
        (Method::POST, "/auth/password/reset"),
        (Method::POST, "/auth/password/change"),
        (Method::POST, "/auth/email/verify"),
        (Method::POST, "/auth/email/resend"),
    ] {
        for _ in 0..3 {
            let answer = ask(&service, &one, method.clone(), path).await;
            assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        }
        let answer = ask(&service, &one, method.clone(), path).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(answer.code(), "too_many_requests");
        let seconds = answer.headers[RETRY_AFTER].to_str().unwrap();
        assert!(
            (1..=20).contains(&seconds.parse::<u32>().unwrap()),
            "{seconds}"
        );
        let answer = ask(&service, &other, method, path).await;
        assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    // Invented paths count as one route.
    let mut refused = 0;
    for number in 0..5 {
        let path = format!("/auth/{number}");
        let answer = ask(&service, &one, Method::GET, &path).await;
        refused += u32::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 2);
    for _ in 0..10 {
        let answer = ask(&service, &one, Method::GET, "/healthz").await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_rate_limit_recovers_over_time() {
    let service = limited!(120);
    let ip = random_ip();
    for _ in 0..120 {
        ask(&service, &ip, Method::POST, "/auth/refresh").await;
    }
    let start = std::time::Instant::now();
    loop {
        let answer = ask(&service, &ip, Method::POST, "/auth/refresh").await;
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        assert!(start.elapsed().as_secs() < 60, "never");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn forged_forwarding_headers_do_not_bypass_the_rate_limit() {
    let service = started!(with | settings | settings.rate_limit = NonZeroU32::new(3));
    let mut refused = 0;
    for _ in 0..6 {
        let answer = ask(&service, &random_ip(), Method::POST, "/auth/login").await;
        refused += u32::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 3, "{refused}");
}
