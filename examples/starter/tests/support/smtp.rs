//! A small mail server, which can be told to defer or refuse messages.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::mail::Letter;

#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    letters: Arc<Mutex<Vec<Letter>>>,
    /// How many messages the server defers (451), and how many it refuses (550).
    pub(crate) later: Arc<AtomicU32>,
    pub(crate) never: Arc<AtomicU32>,
    /// How often it has deferred recipients whose address begins with `later`, and delayed those that begin
    /// with `silent`.
    pub(crate) put_off: Arc<AtomicU32>,
}

// === impl Sink ===

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            letters: Arc::default(),
            later: Arc::default(),
            never: Arc::default(),
            put_off: Arc::default(),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move { serving.talk(stream).await });
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }

    /// Waits until this many recipients were deferred.
    pub(crate) async fn wait_until_put_off(&self, count: u32) {
        while self.put_off.load(Ordering::SeqCst) < count {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn wait(&self, count: usize) -> Letter {
        for _ in 0..2000 {
            if let Some(letter) = self.letters().get(count - 1) {
                return letter.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{} emails", self.letters().len());
    }

    /// Speaks as little of RFC 5321 as possible.
    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink\r\n").await.ok()?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
            let word = line.split_whitespace().next().unwrap_or("");
            let answer: &[u8] = match word.to_ascii_uppercase().as_str() {
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    let mut message = String::new();
                    while !message.ends_with("\r\n.\r\n") {
                        stream.read_line(&mut message).await.ok()?;
                    }
                    let end = message.len() - 3;
                    let letter = Letter::read(&message[..end]);
                    self.letters.lock().unwrap().push(letter);
                    b"250 taken\r\n"
                }
                "RCPT" if line.contains("<later") => {
                    self.put_off.fetch_add(1, Ordering::SeqCst);
                    b"451 try again later\r\n"
                }
                "RCPT" if line.contains("<silent") => {
                    self.put_off.fetch_add(1, Ordering::SeqCst);
                    std::future::pending().await
                }
                "RCPT" if self.take_one(&self.later) => b"451 later\r\n",
                "RCPT" if self.take_one(&self.never) => b"550 nobody\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 fine\r\n",
            };
            stream.write_all(answer).await.ok()?;
        }
    }

    fn take_one(&self, count: &AtomicU32) -> bool {
        let less = |n: u32| n.checked_sub(1);
        count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
    }
}
