//! Connections: how many there may be, and when an inactive one ends.
//!
//! Each connection takes a file descriptor, and so do the database and files. A client that opens connections
//! and stays silent must not use up the file descriptors.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service as _;

/// How often the log repeats a message about connections.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many connections may be open at once. Others wait in the queue of the operating system.
    pub(crate) connections: usize,
    /// How long a client may take to send the head of its first request.
    pub(crate) first_request: Duration,
    /// How long a connection may wait for the head of another request. This is longer than load balancers
    /// keep idle connections for reuse (60 seconds).
    pub(crate) idle: Duration,
    /// How long a client may stop reading its response.
    pub(crate) silent_reader: Duration,
}

// === impl Limits ===

impl Limits {
    /// Derives the limits from the limit on open files of the process, and leaves some for everything else.
    pub(crate) fn of_this_process() -> Self {
        let files = open_files();
        let others = (files / 4).max(64);
        Self {
            connections: files.saturating_sub(others).clamp(8, 10_000),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            silent_reader: Duration::from_secs(30),
        }
    }
}

/// Returns how many files this process may have open (`ulimit -n`).
#[cfg(unix)]
fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let files = limit.current.map(usize::try_from);
    files.and_then(Result::ok).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn open_files() -> usize {
    usize::MAX
}

/// Serves until `stop`, and then until the open requests are answered.
pub(crate) async fn serve_connections(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    let (mut full, mut failing) = (Rarely::default(), Rarely::default());
    loop {
        if places.available_permits() == 0 && full.now() {
            tracing::warn!(
                open = limits.connections,
                "as many connections are open as the limit on open files (ulimit -n) allows: \
                 further ones wait"
            );
        }
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.as_mut() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if has_gone(&error) => continue,
            Err(error) => {
                if failing.now() {
                    tracing::error!(%error, "connections cannot be accepted");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = connection(stream, peer, router.clone(), limits, &open);
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

// chapter: metrics {
/// Serves like [`serve_connections`], but never stops.
pub(crate) async fn serve_for_ever(listener: TcpListener, router: Router) {
    serve_connections(
        listener,
        router,
        Limits::of_this_process(),
        std::future::pending(),
    )
    .await;
}
// chapter: metrics }

/// Serves the requests of one connection. Its errors are caused by the client.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    open: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let _ = stream.set_nodelay(true); // without it, responses are only slower
    let asked = Arc::new(Notify::new());
    let first = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        first.notify_one();
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.silent_reader));
    let mut http = http1::Builder::new();
    // For the head of a request, from the end of the previous request.
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.idle);
    let connection = open.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
    async move {
        let mut connection = pin!(connection);
        let first_request = timeout(limits.first_request, asked.notified());
        tokio::select! {
            _ = connection.as_mut() => return,
            asked = first_request => if asked.is_err() { return },
        }
        let _ = connection.await;
    }
}

/// Returns whether the client has gone before its connection was accepted.
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Returns `true` at most once in [`SAID_AGAIN`].
#[derive(Default)]
struct Rarely(Option<Instant>);

impl Rarely {
    fn now(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|last| now >= last + SAID_AGAIN);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn start(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = get(|| async { Body::from(vec![b'x'; 64 * 1024 * 1024]) });
        let router = Router::new()
            .route("/", get(|| async { "hi" }))
            .route("/large", large);
        tokio::spawn(serve_connections(
            listener,
            router,
            limits,
            std::future::pending(),
        ));
        address
    }

    fn limits() -> Limits {
        let soon = Duration::from_millis(300);
        Limits {
            connections: 4,
            first_request: soon,
            idle: soon,
            silent_reader: soon,
        }
    }

    /// Reads everything from a connection until it is closed.
    async fn all(connection: &mut TcpStream) -> String {
        let mut said = Vec::new();
        let read = timeout(Duration::from_secs(60), connection.read_to_end(&mut said));
        let _ = read.await.expect("it is closed");
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn silent_connections_are_closed() {
        let address = start(limits()).await;
        let later: &[u8] = &[GET, b"GET / HTTP/1.1\r\nhost"].concat();
        for (said, answers) in [(&b""[..], 0), (b"GET / HTT", 0), (GET, 1), (later, 1)] {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(said).await.unwrap();
            let answered = all(&mut connection).await.matches("200 OK").count();
            assert_eq!(answered, answers, "{}", String::from_utf8_lossy(said));
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_others_to_end() {
        let address = start(limits()).await;
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(GET).await.unwrap();
        assert!(all(&mut connection).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_response_is_disconnected() {
        let few = Limits {
            connections: 1,
            ..limits()
        };
        let address = start(few).await;
        let mut lazy = TcpStream::connect(address).await.unwrap();
        lazy.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        // The only place is free again.
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(GET).await.unwrap();
        assert!(all(&mut next).await.contains("200 OK"));
        drop(lazy);
    }
}
