//! The rules that any store keeps.

use std::time::Duration;

use tower_jwt_auth::error::AuthErrorKind;
use tower_jwt_auth::issuer::SessionErrorKind;
use tower_jwt_auth::revocation::RedisRevocations;
use tower_jwt_auth::sessions::{RedisSessions, RotationOutcome};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

use crate::revocations::Node;
use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_keep_the_rules() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    check_session_store(&RedisSessions::connect(server.url()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_keep_the_rules() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    check_revocation_store(&RedisRevocations::connect(server.url()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_token_that_is_used_on_one_node_ends_the_session_on_all() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let a = Node::new(&server.url(), Duration::ZERO).await;
    let b = Node::new(&server.url(), Duration::ZERO).await;
    let login = a.tokens.open_session("alice").issue().await.unwrap();
    let mut tokens = vec![login.refresh_token];
    let mut access = login.access_token;
    for node in [&b, &a, &b] {
        let rotated = node.tokens.rotate(tokens.last().unwrap()).await.unwrap();
        assert_eq!(
            rotated.outcome(),
            RotationOutcome::Rotated { rewound: false }
        );
        let pair = rotated.issue().unwrap();
        tokens.push(pair.refresh_token);
        access = pair.access_token;
    }
    assert!(b.verify(&access).await.is_ok());
    let stolen = a.tokens.rotate(&tokens[0]).await.unwrap_err();
    assert_eq!(stolen.kind(), &SessionErrorKind::ReuseDetected);
    assert_eq!(b.verify(&access).await.unwrap_err(), AuthErrorKind::Revoked);
    assert!(b.tokens.rotate(tokens.last().unwrap()).await.is_err());
}
