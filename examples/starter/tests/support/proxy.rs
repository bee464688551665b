//! A proxy between the service and a server that it needs, which fails on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to the bytes in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// New connections are refused, and open ones are closed.
    Refused,
    /// Connections are accepted and stay open, but nothing passes. What was sent arrives later.
    Silent,
    /// Works like `Silent`, but what was sent is lost, and nothing ever passes on these connections again.
    Dead,
    /// Each part of an answer is late by this much.
    Late(Duration),
    /// Answers are replaced by bytes that mean nothing.
    Garbled,
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    passage: watch::Sender<Passage>,
    /// The connections, and the task that accepts them. `None` while connections are refused.
    task: Option<JoinHandle<()>>,
    server: u16,
    /// Keeps the port while nobody listens on it.
    _reserved: TcpSocket,
}

// === impl Proxy ===

impl Proxy {
    /// Starts a proxy to this port, through which everything passes.
    pub(crate) fn to(server: u16) -> Self {
        let reserved = bind(0);
        let port = reserved.local_addr().unwrap().port();
        let mut proxy = Self {
            port,
            passage: watch::channel(Passage::Open).0,
            task: None,
            server,
            _reserved: reserved,
        };
        proxy.listen();
        proxy
    }

    /// Changes what happens from now on, also on open connections.
    pub(crate) async fn set(&mut self, passage: Passage) {
        self.passage.send_replace(passage);
        if passage == Passage::Refused {
            if let Some(task) = self.task.take() {
                task.abort();
                // Until the port is closed.
                let _ = task.await;
            }
        } else if self.task.is_none() {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let listener = bind(self.port).listen(1024).unwrap();
        let passage = self.passage.subscribe();
        self.task = Some(tokio::spawn(serve(listener, self.server, passage)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Binds a socket that does not listen. Another one may be bound to its port, because both reuse the address.
fn bind(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(address).unwrap();
    socket
}

async fn serve(listener: TcpListener, server: u16, passage: watch::Receiver<Passage>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let passage = passage.clone();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pass(from_client, to_server, passage.clone(), false) => {}
                () = pass(from_server, to_client, passage, true) => {}
            }
        });
        // Removes the connections that have ended.
        while connections.try_join_next().is_some() {}
    }
}

/// Passes on what comes, until the connection is closed.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
    is_answer: bool,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let opened = passage.wait_for(|&passage| passage != Passage::Silent);
        let Ok(now) = opened.await.map(|now| *now) else {
            return;
        };
        match now {
            Passage::Late(by) if is_answer => tokio::time::sleep(by).await,
            Passage::Garbled if is_answer => bytes[..count].fill(b'?'),
            Passage::Dead => return std::future::pending().await,
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
