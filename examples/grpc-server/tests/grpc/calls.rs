//! Unary calls, and the health service.

use std::time::Duration;

use grpc_server::proto::{CancelRequest, GetRequest, OrderStatus};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Service, metadata, with_token};

const INVALID: &str = r#"Bearer realm="api", error="invalid_token""#;

fn order(id: &str) -> GetRequest {
    GetRequest { id: id.into() }
}

#[tokio::test]
async fn a_call_with_a_good_token_gets_the_data_of_its_subject() {
    let service = Service::start().await;
    let mut orders = service.orders().await;
    let got = orders.get(with_token(order("1"), &service.token())).await;
    assert_eq!(got.unwrap().into_inner().owner, "alice");

    // The status of the method itself is not changed.
    let other = orders.get(with_token(order("2"), &service.token())).await;
    let other = other.unwrap_err();
    assert_eq!(other.code(), Code::NotFound);
    assert_eq!(other.message(), "You have no order with this id.");
}

#[tokio::test]
async fn a_call_without_a_token_is_unauthenticated() {
    let service = Service::start().await;
    let refused = service.orders().await.get(order("1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "The request needs a bearer token.");
    assert_eq!(
        metadata(&refused, "www-authenticate"),
        r#"Bearer realm="api""#
    );
}

#[tokio::test]
async fn a_call_with_a_bad_token_is_unauthenticated() {
    let service = Service::start().await;
    let mut orders = service.orders().await;
    let (expired, revoked) = (service.token(), service.token());
    service.revoke(&revoked).await;
    let refresh = service.tokens.refresh("alice").issue().unwrap();
    let now = ["garbage".to_owned(), service.forged(), refresh, revoked];
    for bad in now {
        let refused = orders.get(with_token(order("1"), &bad)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.message(), "The bearer token is not valid.");
        assert_eq!(metadata(&refused, "www-authenticate"), INVALID);
    }
    service.clock.advance(Duration::from_secs(1000));
    let refused = orders.get(with_token(order("1"), &expired)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(metadata(&refused, "www-authenticate"), INVALID);

    let mut twice = with_token(order("1"), &service.token());
    let second = "Bearer a.b.c".parse().unwrap();
    twice.metadata_mut().append("authorization", second);
    let refused = orders.get(twice).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(metadata(&refused, "www-authenticate").contains("invalid_request"));
}

#[tokio::test]
async fn a_call_without_the_scope_is_denied_and_names_it() {
    let service = Service::start().await;
    let mut orders = service.orders().await;
    let cancel = || CancelRequest { id: "1".into() };
    let denied = orders.cancel(with_token(cancel(), &service.token())).await;
    let denied = denied.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(denied.message(), "The bearer token does not allow this.");
    assert_eq!(
        metadata(&denied, "www-authenticate"),
        r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#
    );

    let write = service.tokens.access("alice").scope("orders:write");
    let write = write.issue().unwrap();
    let cancelled = orders.cancel(with_token(cancel(), &write)).await.unwrap();
    let status = cancelled.into_inner().status();
    assert_eq!(status, OrderStatus::Cancelled);
}

#[tokio::test]
async fn an_outage_is_unavailable_and_not_a_refusal() {
    let service = Service::start().await;
    service.lose_the_store();
    let mut orders = service.orders().await;
    let refused = orders.get(with_token(order("1"), &service.token())).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let message = "The bearer token cannot be checked right now.";
    assert_eq!(refused.message(), message);
    assert_eq!(metadata(&refused, "retry-after"), "1");
    assert_eq!(metadata(&refused, "grpc-retry-pushback-ms"), "1000");
    assert_eq!(metadata(&refused, "www-authenticate"), "");
}

#[tokio::test]
async fn health_checks_need_no_token() {
    let service = Service::start().await;
    let channel = service.endpoint().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    for name in ["", "orders.v1.Orders"] {
        let check = HealthCheckRequest {
            service: name.into(),
        };
        let answer = health.check(Request::new(check)).await.unwrap();
        let status = answer.into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{name}");
    }
}
