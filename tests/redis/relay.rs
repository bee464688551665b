//! Two servers behind one address, like a host name that follows the primary in production.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::Server;

/// Forwards each new connection to the current server. Existing connections stay where they are.
pub(crate) struct Relay {
    pub(crate) port: u16,
    to: Arc<AtomicU16>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// A primary and its replica behind a relay.
pub(crate) struct Pair {
    pub(crate) relay: Relay,
    pub(crate) old: Server,
    pub(crate) new: Server,
}

// === impl Relay ===

impl Relay {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (to, accepted) = (Arc::new(AtomicU16::new(to)), Arc::<AtomicUsize>::default());
        let task = tokio::spawn(pass_on(listener, Arc::clone(&to), Arc::clone(&accepted)));
        Self {
            port,
            to,
            accepted,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.to.store(port, Ordering::SeqCst);
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(listener: TcpListener, to: Arc<AtomicU16>, accepted: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        let port = to.load(Ordering::SeqCst);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

// === impl Pair ===

impl Pair {
    pub(crate) async fn start() -> Option<Self> {
        let at_once = ["--repl-diskless-sync-delay", "0"];
        let old = Server::start(&at_once).await?;
        let new = Server::start(&at_once).await?;
        replicate(&new, Some(&old)).await;
        let relay = Relay::start(old.port).await;
        Some(Self { relay, old, new })
    }

    pub(crate) fn url(&self) -> String {
        self.relay.url()
    }

    /// Promotes the replica, with all that was written. The relay still leads to the old primary.
    pub(crate) async fn promote(&self) {
        let mut old = self.old.connection().await;
        // `WAIT` covers the writes of its own connection, and so all writes before them.
        let ((), copies): ((), u32) = redis::pipe()
            .cmd("SET")
            .arg("written")
            .arg(1)
            .cmd("WAIT")
            .arg(1)
            .arg(0)
            .query_async(&mut old)
            .await
            .unwrap();
        assert_eq!(copies, 1);
        replicate(&self.new, None).await;
    }

    /// Makes the old primary a replica of the new one, while its connections stay open.
    pub(crate) async fn demote(&self) {
        replicate(&self.old, Some(&self.new)).await;
    }

    /// From now on, the name points to the new primary.
    pub(crate) fn follow(&self) {
        self.relay.lead_to(self.new.port);
    }
}

/// Waits until the replica has caught up with its primary.
async fn replicate(server: &Server, primary: Option<&Server>) {
    let mut redis = server.connection().await;
    let (host, port) = match primary {
        Some(primary) => ("127.0.0.1".to_owned(), primary.port.to_string()),
        None => ("NO".to_owned(), "ONE".to_owned()),
    };
    let _: () = redis::cmd("REPLICAOF")
        .arg(host)
        .arg(port)
        .query_async(&mut redis)
        .await
        .unwrap();
    let is_settled = match primary {
        Some(_) => "master_link_status:up",
        None => "role:master",
    };
    let started = Instant::now();
    loop {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut redis)
            .await
            .unwrap();
        if info.contains(is_settled) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
