//! Streams that end when their token expires or is revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{
    MemoryRevocations, Revocation, RevocationChanges, RevocationQuery, RevocationSignal,
    RevocationStore,
};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::verifier::{MAX_STREAM_OUTAGE, StreamEnd};
use tower_jwt_auth::{TokenIssuer, VerifiedToken};

use crate::support::builder;

/// A store whose answers are set by the test, and which counts the look-ups.
#[derive(Debug, Clone, Default)]
struct Told {
    answer: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
    signal: Option<RevocationSignal>,
}

const GOOD: u8 = 0;
const REVOKED: u8 = 1;
const DOWN: u8 = 2;

impl RevocationStore for Told {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        let answer = self.answer.load(Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        match answer {
            GOOD => Ok(false),
            REVOKED => Ok(true),
            _ => Err(StoreError::new("no route to host")),
        }
    }

    fn changes(&self) -> RevocationChanges {
        match &self.signal {
            Some(signal) => RevocationChanges::pushed_by(signal),
            None => RevocationChanges::every(Duration::from_secs(5)),
        }
    }
}

impl Told {
    /// Waits until the number of look-ups is larger than this.
    async fn asked_more_than(&self, times: usize) {
        while self.asked.load(Ordering::SeqCst) <= times {
            tokio::task::yield_now().await;
        }
    }
}

fn with_store(store: impl RevocationStore) -> (TokenIssuer, ManualClock) {
    let (builder, clock) = builder();
    (builder.revocation(store).build().unwrap(), clock)
}

async fn verified(tokens: &TokenIssuer) -> VerifiedToken {
    let token = tokens.access("alice").issue().unwrap();
    tokens.verifier().verify(&token).await.unwrap()
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_to_the_second() {
    let (builder, clock) = builder();
    let tokens = builder.build().unwrap();
    let ended = tokio::spawn(verified(&tokens).await.ended());
    clock.advance(Duration::from_secs(929));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!ended.is_finished()); // within the leeway
    clock.advance(Duration::from_secs(1));
    assert_eq!(ended.await.unwrap(), StreamEnd::Expired);
}

#[tokio::test]
async fn a_stream_ends_at_once_when_its_token_is_revoked_here() {
    let (builder, clock) = builder();
    let store = MemoryRevocations::with_clock(clock);
    let tokens = builder.revocation(store.clone()).build().unwrap();
    let (one, other) = (verified(&tokens).await, verified(&tokens).await);
    let (ended, lives) = (tokio::spawn(one.ended()), tokio::spawn(other.ended()));
    tokio::task::yield_now().await;
    tokens.revoke(&one).await.unwrap();
    assert_eq!(ended.await.unwrap(), StreamEnd::Revoked);
    assert!(!lives.is_finished());
    // Everything of the subject.
    tokens.revoke_subject("alice").await.unwrap();
    assert_eq!(lives.await.unwrap(), StreamEnd::Revoked);
}

#[tokio::test]
async fn a_store_signal_ends_a_stream_and_leaves_nothing_behind() {
    let signal = RevocationSignal::new();
    let store = Told {
        signal: Some(signal.clone()),
        ..Told::default()
    };
    let (tokens, _clock) = with_store(store.clone());
    let token = verified(&tokens).await;
    let ended = token.ended();
    assert_eq!(signal.waiting(), 0, "nothing runs before the first poll");
    let dropped = tokio::spawn(token.ended());
    let ended = tokio::spawn(ended);
    store.asked_more_than(2).await;
    assert_eq!(signal.waiting(), 2);
    dropped.abort();
    assert!(dropped.await.is_err());
    assert_eq!(signal.waiting(), 1);
    store.answer.store(REVOKED, Ordering::SeqCst);
    signal.send();
    assert_eq!(ended.await.unwrap(), StreamEnd::Revoked);
    assert_eq!(signal.waiting(), 0);
}

#[tokio::test]
async fn a_store_without_a_signal_is_asked_at_its_interval() {
    let store = Told::default();
    let (tokens, clock) = with_store(store.clone());
    let ended = tokio::spawn(verified(&tokens).await.ended());
    store.asked_more_than(1).await;
    clock.advance(Duration::from_secs(5));
    store.asked_more_than(2).await;
    store.answer.store(REVOKED, Ordering::SeqCst);
    assert!(!ended.is_finished());
    clock.advance(Duration::from_secs(5));
    assert_eq!(ended.await.unwrap(), StreamEnd::Revoked);
}

#[tokio::test]
async fn a_stream_survives_a_short_outage_but_not_a_long_one() {
    let store = Told::default();
    let (tokens, clock) = with_store(store.clone());
    let ended = tokio::spawn(verified(&tokens).await.ended());
    store.asked_more_than(1).await;
    let mut asked = 1;
    let mut pass = async |seconds: u64| {
        for _ in 0..seconds {
            asked = store.asked.load(Ordering::SeqCst);
            clock.advance(Duration::from_secs(1));
            if store.answer.load(Ordering::SeqCst) == DOWN && asked > 2 {
                tokio::task::yield_now().await;
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    };
    store.answer.store(DOWN, Ordering::SeqCst);
    pass(30).await;
    assert!(!ended.is_finished());
    store.answer.store(GOOD, Ordering::SeqCst);
    pass(10).await;
    store.answer.store(DOWN, Ordering::SeqCst);
    pass(MAX_STREAM_OUTAGE.as_secs() - 10).await;
    assert!(!ended.is_finished(), "each outage counts for itself");
    pass(20).await;
    assert_eq!(ended.await.unwrap(), StreamEnd::Unavailable);
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_pushed_revocation_ends_a_stream_behind_a_cache() {
    use tower_jwt_auth::revocation::CachedRevocations;
    let (builder, clock) = builder();
    let cached = CachedRevocations::new(Told::default()).clock(clock);
    let cached = Arc::new(cached);
    let tokens = builder.revocation(Arc::clone(&cached)).build().unwrap();
    let token = verified(&tokens).await;
    let ended = tokio::spawn(token.ended());
    tokio::task::yield_now().await;
    cached.apply(&token.revocation().unwrap()); // as if another node had done it
    assert_eq!(ended.await.unwrap(), StreamEnd::Revoked);
}

#[cfg(feature = "axum")]
mod over_http {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use axum::Router;
    use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
    use axum::response::sse::{Event, Sse};
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use futures_util::{Stream, StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tower_jwt_auth::JwtAuthLayer;
    use tower_jwt_auth::layer::TokenSource;

    use super::*;

    async fn events(token: VerifiedToken) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let news = stream::once(async { Ok(Event::default().data("hello")) });
        let news = news.chain(stream::pending()); // a stream that never ends by itself
        Sse::new(news.take_until(token.ended()))
    }

    async fn socket(upgrade: WebSocketUpgrade, token: VerifiedToken) -> Response {
        let upgrade = upgrade.protocols(["bearer"]); // never the token
        upgrade
            .on_upgrade(|socket| talk(socket, token))
            .into_response()
    }

    async fn talk(mut socket: WebSocket, token: VerifiedToken) {
        let mut ended = std::pin::pin!(token.ended());
        loop {
            tokio::select! {
                end = &mut ended => {
                    let close = CloseFrame {
                        code: close_code::POLICY,
                        reason: end.as_str().into(),
                    };
                    let _ = socket.send(Message::Close(Some(close))).await;
                    return;
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if socket.send(Message::Text(text)).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
            }
        }
    }

    async fn serve(tokens: &TokenIssuer) -> SocketAddr {
        let source = TokenSource::websocket_pair("bearer").unwrap();
        let layer = JwtAuthLayer::new(tokens.verifier()).token_source(source);
        let app = Router::new()
            .route("/events", get(events))
            .route("/socket", get(socket))
            .route_layer(layer);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    /// Reads until the text so far ends with this.
    async fn read_until(stream: &mut TcpStream, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = stream.read_u8().await.unwrap();
            text.push(byte);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn server_sent_events_end_with_the_token() {
        let (builder, clock) = builder();
        let tokens = builder.build().unwrap();
        let address = serve(&tokens).await;
        let token = tokens.access("alice").issue().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            format!("GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let told = read_until(&mut stream, "data: hello\n\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        clock.advance(Duration::from_secs(1000));
        assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_websocket_is_closed_when_its_token_is_revoked() {
        let (builder, clock) = builder();
        let store = MemoryRevocations::with_clock(clock);
        let tokens = builder.revocation(store).build().unwrap();
        let address = serve(&tokens).await;
        let token = tokens.access("alice").issue().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: bearer, {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let told = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
        assert!(told.starts_with("http/1.1 101"), "{told}");
        assert!(
            told.contains("sec-websocket-protocol: bearer\r\n"),
            "{told}"
        );

        // "hi" in a masked frame, and its echo.
        stream
            .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
            .await
            .unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, [0x81, 2, b'h', b'i']);

        tokens.revoke_subject("alice").await.unwrap();
        let mut close = [0; 4 + 7];
        stream.read_exact(&mut close).await.unwrap();
        assert_eq!(close[..2], [0x88, 9]); // a close frame
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1008);
        assert_eq!(&close[4..], b"revoked");
    }
}
