//! A proxy between the service and a server that it needs, which fails on demand.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// New connections are refused, and open ones are closed.
    Refused,
    /// Connections are accepted and stay open, and nothing passes.
    Silent,
    /// Each part of an answer is late by this much.
    Late(Duration),
    /// Other bytes come in the place of an answer.
    Garbled,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    passage: watch::Sender<Passage>,
    task: JoinHandle<()>,
}

// === impl Proxy ===

impl Proxy {
    /// A proxy to this port, through which everything passes.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let (passage, state) = watch::channel(Passage::Open);
        Self {
            port: own_port,
            passage,
            task: tokio::spawn(serve(listener, port, state)),
        }
    }

    /// Changes what becomes of what passes, also on open connections. Who was refused once is refused for ever,
    /// because the port is given up.
    pub(crate) async fn set(&mut self, passage: Passage) {
        self.passage.send_replace(passage);
        if passage == Passage::Refused {
            // Until the port is given up.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, port: u16, mut passage: watch::Receiver<Passage>) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = passage.wait_for(|&passage| passage == Passage::Refused) => return,
        };
        let passage = passage.clone();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pass(from_client, to_server, passage.clone(), false) => {}
                () = pass(from_server, to_client, passage, true) => {}
            }
        });
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
        if passage
            .wait_for(|&passage| passage != Passage::Silent)
            .await
            .is_err()
        {
            return;
        }
        let now = *passage.borrow();
        match now {
            Passage::Late(by) if is_answer => tokio::time::sleep(by).await,
            Passage::Garbled if is_answer => bytes[..count].fill(b'?'),
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
