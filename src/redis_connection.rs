//! How the stores in Redis connect, and what becomes of the driver's errors.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError};

use crate::store::StoreError;

/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one answer may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection that is made anew when it breaks. A request never waits for more than one
/// attempt at that: it fails, and the next one tries again.
pub(crate) async fn connect(
    server: impl IntoConnectionInfo,
) -> Result<ConnectionManager, StoreError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        .set_number_of_retries(0);
    let client = Client::open(server).map_err(failed)?;
    client
        .get_connection_manager_with_config(config)
        .await
        .map_err(failed)
}

/// Connections to all nodes of a cluster.
#[cfg(feature = "redis-cluster")]
pub(crate) async fn connect_cluster<T: IntoConnectionInfo>(
    nodes: impl IntoIterator<Item = T>,
) -> Result<redis::cluster_async::ClusterConnection, StoreError> {
    redis::cluster::ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(ANSWER_TIMEOUT)
        .retries(2)
        .build()
        .map_err(failed)?
        .get_async_connection()
        .await
        .map_err(failed)
}

pub(crate) fn failed(error: RedisError) -> StoreError {
    StoreError::new(error)
}
