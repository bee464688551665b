//! [`Server`]: the threads of a test provider.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::answer::TestAnswer;
use crate::keys::KeyRing;

/// The longest request head that is read.
const MAX_HEAD: usize = 16 * 1024;
/// A client that sends nothing is disconnected after this time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Listens until it is dropped.
pub(super) struct Server {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    issuer: String,
    ring: KeyRing,
    state: Mutex<State>,
    changed: Condvar,
    metadata_requests: AtomicUsize,
    key_requests: AtomicUsize,
}

#[derive(Default)]
struct State {
    answer: TestAnswer,
    cache_control: Option<String>,
    /// Counts the changes, so that connections that stay silent notice one.
    version: u64,
    is_over: bool,
}

// === impl Server ===

impl Server {
    pub(super) fn start(ring: KeyRing) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let shared = Arc::new(Shared {
            issuer: url.clone(),
            ring,
            state: Mutex::default(),
            changed: Condvar::new(),
            metadata_requests: AtomicUsize::new(0),
            key_requests: AtomicUsize::new(0),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.state().is_over {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self {
            url,
            address,
            shared,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn set(&self, answer: TestAnswer) {
        self.shared.change(|state| state.answer = answer);
    }

    pub(super) fn set_cache_control(&self, value: Option<&str>) {
        let value = value.map(str::to_owned);
        self.shared.change(|state| state.cache_control = value);
    }

    pub(super) fn metadata_requests(&self) -> usize {
        self.shared.metadata_requests.load(Ordering::SeqCst)
    }

    pub(super) fn key_requests(&self) -> usize {
        self.shared.key_requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_over = true);
        // This wakes the thread that listens.
        drop(TcpStream::connect_timeout(
            &self.address,
            Duration::from_secs(1),
        ));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.version += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Responds to one request, and closes the connection.
    fn serve(&self, mut stream: TcpStream) {
        let Some(path) = read_path(&mut stream) else {
            return;
        };
        let document = match &*path {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                self.metadata_requests.fetch_add(1, Ordering::SeqCst);
                json!({"issuer": self.issuer, "jwks_uri": format!("{}/jwks", self.issuer)})
            }
            "/jwks" => {
                self.key_requests.fetch_add(1, Ordering::SeqCst);
                self.ring.key_set().to_jwks()
            }
            _ => {
                let nothing = TestAnswer::Status(404).response("", None);
                let _ = stream.write_all(nothing.unwrap_or_default().as_bytes());
                return;
            }
        };
        let (answer, cache_control, version) = {
            let state = self.state();
            (
                state.answer.clone(),
                state.cache_control.clone(),
                state.version,
            )
        };
        match &answer {
            TestAnswer::Slow(delay) => {
                let unless_over = |state: &mut State| !state.is_over;
                drop(
                    self.changed
                        .wait_timeout_while(self.state(), *delay, unless_over),
                );
            }
            TestAnswer::Silence => {
                let mut state = self.state();
                while state.version == version && !state.is_over {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
            _ => {}
        }
        if let Some(response) = answer.response(&document.to_string(), cache_control.as_deref()) {
            let _ = stream.write_all(response.as_bytes());
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Reads the head of a request to its end, and returns the path.
fn read_path(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(READ_TIMEOUT)).ok()?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(buffer.get(..read)?);
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    Some(head.split(' ').nth(1)?.to_owned())
}
