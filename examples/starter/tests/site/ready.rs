//! Whether a load balancer should send requests.

use axum::http::{Method, StatusCode};

use crate::start;

#[tokio::test]
async fn a_service_without_its_database_is_alive_and_not_ready() {
    let service = start(Default::default()).await;
    service.app.close().await;
    let answer = service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "not_ready");
    assert_eq!(answer.json()["detail"], "Not ready: database.");
    let answer = service.request(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}
