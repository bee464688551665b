//! The rules that every store must keep.

use std::time::Duration;

use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::revocation::RedisRevocations;
use tower_jwt_auth::sessions::{EndReason, RedisSessions, RotationOutcome, SessionErrorKind};
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

use crate::revocations::{FOREVER, Node, two_nodes};
use crate::server::{Server, patient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_keep_the_rules() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    check_session_store(&RedisSessions::new(server.patient().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_keep_the_rules_with_resp3() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let url = format!("{}?protocol=resp3", server.url());
    check_session_store(&RedisSessions::new(patient(&url).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_keep_the_rules() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    check_revocation_store(&RedisRevocations::new(server.patient().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_permissions_is_enough() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let mut redis = server.connection().await;
    let rules = "on >secret ~jwt-auth:* resetchannels &jwt-auth:revocations -@all \
                 +@read +@write +@scripting +@transaction +@pubsub +time";
    let _: () = redis::cmd("ACL")
        .arg("SETUSER")
        .arg("app")
        .arg(rules.split_whitespace().collect::<Vec<_>>())
        .query_async(&mut redis)
        .await
        .unwrap();
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port);
    let sessions = RedisSessions::new(patient(&url).await);
    check_session_store(&sessions).await;
    sessions.check_writable().await.unwrap();
    let (a, b, _pushes) = two_nodes(&url, FOREVER).await;
    let login = a.sessions.open("alice").issue().await.unwrap();
    assert!(b.verify(&login.access_token).await.is_ok());
    a.sessions.end_all("alice").await.unwrap();
    b.refuses(&login.access_token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_token_used_on_one_node_ends_the_session_on_all() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let a = Node::new(&server.url(), Duration::ZERO).await;
    let b = Node::new(&server.url(), Duration::ZERO).await;
    let login = a.sessions.open("alice").issue().await.unwrap();
    let mut tokens = vec![login.refresh_token];
    let mut access = login.access_token;
    for node in [&b, &a, &b] {
        let refresh = node.sessions.refresh(tokens.last().unwrap()).await.unwrap();
        let refreshed = refresh.issue().await.unwrap();
        let expected = RotationOutcome::Rotated { rewound: false };
        assert_eq!(refreshed.outcome, expected);
        tokens.push(refreshed.tokens.refresh_token);
        access = refreshed.tokens.access_token;
    }
    assert!(b.verify(&access).await.is_ok());
    let refresh = async |node: &Node, token: &str| {
        let refresh = node.sessions.refresh(token).await.unwrap();
        refresh.issue().await.unwrap_err()
    };
    let stolen = refresh(&a, &tokens[0]).await;
    assert_eq!(stolen.kind(), &SessionErrorKind::ReuseDetected);
    assert_eq!(b.verify(&access).await.unwrap_err(), AuthErrorKind::Revoked);
    let over = refresh(&b, tokens.last().unwrap()).await;
    assert_eq!(
        (over.status().as_u16(), over.code()),
        (400, "invalid_grant")
    );
}

/// Like a failover that loses the last write of an index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_missing_from_the_index_ends_with_the_others() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let a = Node::new(&server.url(), Duration::ZERO).await;
    let b = Node::new(&server.url(), Duration::ZERO).await;
    let login = a.sessions.open("alice").issue().await.unwrap();
    let mut redis = server.connection().await;
    let lost: u32 = redis::cmd("DEL")
        .arg("jwt-auth:{u:alice}:u")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(lost, 1);

    // Nothing shows that a session was missed.
    assert_eq!(b.sessions.end_all("alice").await.unwrap(), 0);
    for node in [&a, &b] {
        let refused = node.verify(&login.access_token).await.unwrap_err();
        assert_eq!(refused, AuthErrorKind::Revoked);
        let refresh = node.sessions.refresh(&login.refresh_token).await.unwrap();
        let over = refresh.issue().await.unwrap_err();
        assert_eq!(
            (over.status().as_u16(), over.code()),
            (400, "invalid_grant")
        );
        let expected = SessionErrorKind::Ended(EndReason::Revoked);
        assert_eq!(over.kind(), &expected);
    }
    // The refused refresh has ended the session itself.
    let ended: Option<String> = redis::cmd("HGET")
        .arg(session_key(&mut redis).await)
        .arg("reason")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(ended.as_deref(), Some("revoked"));

    let login = a.sessions.open("alice").issue().await.unwrap();
    assert!(b.verify(&login.access_token).await.is_ok());
    let refresh = b.sessions.refresh(&login.refresh_token).await.unwrap();
    assert!(refresh.issue().await.is_ok(), "a login afterwards is good");
}

/// The key of the only session.
async fn session_key(redis: &mut impl redis::aio::ConnectionLike) -> String {
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("jwt-auth:*:s")
        .query_async(redis)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.into_iter().next().unwrap()
}
