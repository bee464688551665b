//! A pooler in transaction mode that separates prepared statements, as PgBouncer 1.21 and later do: each
//! client has its own names, and a server connection prepares a statement when it first needs it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::Directory;
use super::postgres::{self, Server};

const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
/// The reply to a login: a server of some version is ready for queries.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x16server_version\x0015\0\
    K\0\0\0\x0c\0\0\0\x01\0\0\0\x01Z\0\0\0\x05I";

/// The pooler, which ends when it is dropped.
#[derive(Debug)]
pub struct TransactionPooler {
    directory: Directory,
    clients: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Servers {
    socket: PathBuf,
    idle: Mutex<Vec<ServerConnection>>,
    left: Arc<Semaphore>,
}

#[derive(Debug)]
struct ServerConnection {
    stream: UnixStream,
    prepared: HashSet<Vec<u8>>,
}

struct Client {
    stream: UnixStream,
    number: usize,
    startup: Vec<u8>,
    /// The prepared statements by name: the rest of the message.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    /// Held during a transaction.
    held: Option<(ServerConnection, OwnedSemaphorePermit)>,
}

impl TransactionPooler {
    /// A pooler with this number of server connections.
    pub fn start(server: &Server, connections: usize) -> Self {
        let directory = Directory::new("pooler");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let servers = Arc::new(Servers {
            socket: server.socket().join(".s.PGSQL.5432"),
            idle: Mutex::default(),
            left: Arc::new(Semaphore::new(connections)),
        });
        let clients = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&clients);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                let servers = Arc::clone(&servers);
                tokio::spawn(async move {
                    if let Ok(mut client) = Client::accept(stream, number).await {
                        let _ = client.serve(&servers).await; // until it is gone
                    }
                });
            }
        });
        Self {
            directory,
            clients,
            serving,
        }
    }

    /// Returns the number of connections that clients have opened so far.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    pub fn options(&self) -> PgConnectOptions {
        postgres::options(self.directory.path())
    }

    pub async fn pool(&self, connections: u32) -> PgPool {
        postgres::pool(self.options(), connections).await
    }
}

impl Drop for TransactionPooler {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Servers {
    async fn connect(
        &self,
        startup: &[u8],
    ) -> io::Result<(ServerConnection, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.left).acquire_owned().await.unwrap();
        let idle = self.idle.lock().unwrap().pop();
        if let Some(server) = idle {
            return Ok((server, permit));
        }
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(startup).await?;
        while read(&mut stream).await?.0 != b'Z' {}
        let prepared = HashSet::new();
        Ok((ServerConnection { stream, prepared }, permit))
    }
}

impl Client {
    async fn accept(mut stream: UnixStream, number: usize) -> io::Result<Self> {
        let startup = loop {
            let length = stream.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            stream.read_exact(&mut body).await?;
            if body != SSL_REQUEST {
                break [&length.to_be_bytes()[..], &body].concat();
            }
            stream.write_all(b"N").await?;
        };
        stream.write_all(WELCOME).await?;
        Ok(Self {
            stream,
            number,
            startup,
            statements: HashMap::new(),
            held: None,
        })
    }

    async fn serve(&mut self, servers: &Servers) -> io::Result<()> {
        loop {
            let mut messages = Vec::new();
            while !messages
                .last()
                .is_some_and(|(kind, _)| b"SQ".contains(kind))
            {
                messages.push(read(&mut self.stream).await?);
            }
            let (mut server, permit) = match self.held.take() {
                Some(held) => held,
                None => servers.connect(&self.startup).await?,
            };
            let mut request = Vec::new();
            let mut told = 0;
            for (kind, body) in messages {
                told += self.translate(kind, &body, &mut server, &mut request);
            }
            server.stream.write_all(&request).await?;
            let state = loop {
                let (kind, body) = read(&mut server.stream).await?;
                if kind == b'1' && told > 0 {
                    told -= 1; // the client did not ask
                    continue;
                }
                self.stream.write_all(&message(kind, &body)).await?;
                if kind == b'Z' {
                    break body[0];
                }
            };
            if state == b'I' {
                servers.idle.lock().unwrap().push(server);
                drop(permit);
            } else {
                self.held = Some((server, permit));
            }
        }
    }

    /// Adds a message with the name that a statement has on the server. Returns how many statements the
    /// server has to prepare first.
    fn translate(
        &mut self,
        kind: u8,
        body: &[u8],
        server: &mut ServerConnection,
        request: &mut Vec<u8>,
    ) -> usize {
        let (before, name, after) = match kind {
            b'P' => (
                Vec::new(),
                text(body, 0),
                body[text(body, 0).len() + 1..].to_vec(),
            ),
            b'B' => {
                let start = text(body, 0).len() + 1;
                let name = text(body, start);
                let after = body[start + name.len() + 1..].to_vec();
                (body[..start].to_vec(), name, after)
            }
            b'D' | b'C' if body[0] == b'S' => (vec![b'S'], text(body, 1), Vec::new()),
            _ => {
                request.extend(message(kind, body));
                return 0;
            }
        };
        let on_server = [format!("client{}_", self.number).as_bytes(), &name].concat();
        let mut told = 0;
        if kind == b'P' {
            self.statements.insert(name, after.clone());
            server.prepared.insert(on_server.clone());
        } else if kind != b'C' && server.prepared.insert(on_server.clone()) {
            let rest = &self.statements[&name];
            request.extend(message(b'P', &[&on_server[..], b"\0", rest].concat()));
            told = 1;
        }
        let body = [&before[..], &on_server, b"\0", &after].concat();
        request.extend(message(kind, &body));
        told
    }
}

/// Returns the text from here to the next zero.
fn text(body: &[u8], start: usize) -> Vec<u8> {
    body[start..]
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

async fn read(stream: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}
