//! A Redis server that is killed or falls silent, and comes back.

use axum::http::{Method, StatusCode};

use crate::support::redis::Redis;
use crate::support::{PASSWORD, Place, Service, Tokens};

/// Nothing that needs a session is refused, and nothing passes.
async fn assert_outage(service: &Service, tokens: &Tokens) {
    for path in ["/me", "/admin", "/auth/sessions"] {
        service.get(path, &tokens.access).await.assert_unavailable();
    }
    service
        .login("ada@example.com", PASSWORD)
        .await
        .assert_unavailable();
    service.refresh(&tokens.refresh).await.assert_unavailable();
    service.logout(&tokens.access).await.assert_unavailable();
    let all = service.send(Method::POST, "/auth/logout-all", &tokens.access);
    all.await.assert_unavailable();
    // What needs no session still works.
    let wrong = service.login("ada@example.com", "wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    service.get("/me", "garbage").await.assert_invalid_token();
    service.refresh("garbage").await.assert_invalid_grant();
}

/// The next request that needs a connection makes a new one. Until then it is an outage.
async fn assert_recovered(service: &Service, tokens: &Tokens) {
    for _ in 0..100 {
        let me = service.get("/me", &tokens.access).await;
        let list = service.get("/auth/sessions", &tokens.access).await;
        if me.status == StatusCode::OK && list.status == StatusCode::OK {
            return service.assert_good(tokens).await;
        }
        for answer in [me, list] {
            if answer.status != StatusCode::OK {
                answer.assert_unavailable();
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the service does not recover");
}

/// Uses two services, so that one of them has not seen what the other one revoked.
async fn outage(begin: impl FnOnce(&mut Redis), end: impl FnOnce(&mut Redis)) {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let place = Place::sqlite().with_redis(redis.url());
    let beside = Place::at(place.database_url.clone()).with_redis(redis.url());
    let service = Service::start_in(place).await;
    let other = Service::start_in(beside).await;
    let tokens = service.user("ada@example.com").await;
    let revoked = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&revoked.access).await;

    begin(&mut redis);
    // This service has just learned of the revocation, or cannot ask. It never lets the token pass.
    let answer = other.get("/me", &revoked.access).await;
    assert_ne!(answer.status, StatusCode::OK);
    service
        .get("/me", &revoked.access)
        .await
        .assert_invalid_token();
    let ready = service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["detail"], "Not ready: redis.");
    assert_outage(&service, &tokens).await;
    assert_outage(&other, &tokens).await;
    let registered = service.register("eve@example.com").await;
    assert_eq!(registered.status, StatusCode::ACCEPTED);

    end(&mut redis);
    assert_recovered(&service, &tokens).await;
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    assert_recovered(&other, &tokens).await;
    service.assert_over(&revoked).await;
    other.assert_over(&revoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_after_a_killed_server() {
    outage(Redis::kill, Redis::launch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_after_a_silent_server() {
    outage(|redis| redis.signal("STOP"), |redis| redis.signal("CONT")).await;
}

#[tokio::test]
async fn a_logout_still_works_without_the_database() {
    let service = crate::support::started!();
    let tokens = service.user("ada@example.com").await;
    service.app.close().await;
    service
        .get("/me", &tokens.access)
        .await
        .assert_unavailable();
    service
        .login("ada@example.com", PASSWORD)
        .await
        .assert_unavailable();
    service.refresh(&tokens.refresh).await.assert_unavailable();
    let ready = service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(ready.json()["detail"], "Not ready: database.");
    let answer = service.logout(&tokens.access).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service
        .get("/me", &tokens.access)
        .await
        .assert_invalid_token();
    let answer = service.logout_by(&tokens.refresh).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
