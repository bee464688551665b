//! A network on which each new connection takes its time.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::Directory;

/// A relay in front of a server, which ends when it is dropped.
#[derive(Debug)]
pub struct SlowNetwork {
    directory: Directory,
    relay: JoinHandle<()>,
}

impl SlowNetwork {
    /// Relays to the server with this socket. Nothing of a connection is relayed before `delay` has passed.
    pub fn start(server: PathBuf, delay: Duration) -> Self {
        let directory = Directory::new("network");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let relay = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let server = server.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let mut server = UnixStream::connect(server).await.unwrap();
                    // Until one side is gone.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { directory, relay }
    }

    /// Leads the connections of a pool through this network.
    pub fn through(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.socket(self.directory.path())
    }
}

impl Drop for SlowNetwork {
    fn drop(&mut self) {
        self.relay.abort();
    }
}
