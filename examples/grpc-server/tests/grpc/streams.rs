//! Server streaming: calls that outlive their token end with a status.

use std::time::Duration;

use grpc_server::proto::{CancelRequest, Order, OrderStatus, WatchRequest};
use tonic::{Code, Status, Streaming};

use crate::support::{Service, metadata, with_token};

fn watch() -> WatchRequest {
    WatchRequest { id: "1".into() }
}

/// Returns the next item. A stream that hangs fails the test.
async fn next(stream: &mut Streaming<Order>) -> Result<Option<Order>, Status> {
    let patience = Duration::from_secs(30);
    let next = tokio::time::timeout(patience, stream.message()).await;
    next.expect("the stream is silent")
}

#[tokio::test]
async fn a_stream_needs_a_token_from_its_start() {
    let service = Service::start().await;
    let mut orders = service.orders().await;
    let refused = orders.watch(watch()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let forged = with_token(watch(), &service.forged());
    let refused = orders.watch(forged).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(metadata(&refused, "www-authenticate").contains("invalid_token"));

    service.lose_the_store();
    let refused = orders.watch(with_token(watch(), &service.token())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_stream_reports_each_change_to_a_good_token() {
    let service = Service::start().await;
    let mut orders = service.orders().await;
    let write = service.tokens.access("alice").scope("orders:write");
    let write = write.issue().unwrap();
    let stream = orders.watch(with_token(watch(), &write)).await.unwrap();
    let mut stream = stream.into_inner();
    let first = next(&mut stream).await.unwrap().unwrap();
    assert_eq!(first.status(), OrderStatus::Placed);

    let cancel = CancelRequest { id: "1".into() };
    orders.cancel(with_token(cancel, &write)).await.unwrap();
    let second = next(&mut stream).await.unwrap().unwrap();
    assert_eq!(second.status(), OrderStatus::Cancelled);
}

#[tokio::test]
async fn a_stream_ends_as_unauthenticated_with_its_token() {
    for revoked in [true, false] {
        let service = Service::start().await;
        let token = service.token();
        let mut orders = service.orders().await;
        let stream = orders.watch(with_token(watch(), &token)).await.unwrap();
        let mut stream = stream.into_inner();
        assert!(next(&mut stream).await.unwrap().is_some());

        if revoked {
            service.revoke(&token).await;
        } else {
            service.clock.advance(Duration::from_secs(1000));
        }
        let end = next(&mut stream).await.unwrap_err();
        assert_eq!(end.code(), Code::Unauthenticated);
        assert_eq!(end.message(), "The bearer token is not valid.");
        assert_eq!(
            metadata(&end, "www-authenticate"),
            r#"Bearer realm="api", error="invalid_token""#
        );
        assert!(next(&mut stream).await.unwrap().is_none());
    }
}
