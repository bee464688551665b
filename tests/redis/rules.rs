//! The rules that any store keeps.

use tower_jwt_auth::revocation::RedisRevocations;
use tower_jwt_auth::session::RedisSessions;
use tower_jwt_auth::testing::{check_revocation_store, check_session_store};

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
