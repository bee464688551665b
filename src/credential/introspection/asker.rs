//! [`Asker`]: asks the server about tokens, once per token, with a bounded number of requests at a time, and
//! not while the server is down.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::answer::{self, Missing, Problem, Said};
use super::client_auth::ClientAuth;
use super::endpoint::Endpoint;
use super::memory::{Answer, Memory, Slot};
use super::outage::Outage;
use crate::clock::{as_micros, unix_micros};
use crate::codec::MAX_TOKEN_BYTES;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::jwks::{DynHttpClient, exchange, unavailable};
use crate::keys::digest;
use crate::sync::timeout;
use crate::verifier::{Judge, VerifiedToken};

/// The most requests to the server that are in progress at once.
const IN_FLIGHT: usize = 64;
/// The most further requests to the server that wait for their turn. More are answered with 503.
const QUEUED: usize = 256;
/// The most client requests that wait at once. More are answered with 503.
const WAITING: usize = 1024;
/// The longest time for which a client request waits. An exchange with the server takes at most 5 seconds.
const MAX_WAIT: Duration = Duration::from_secs(6);
/// The time for which a refusal is cached.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// Everything that is needed to ask the server.
pub(super) struct Asker {
    pub(super) endpoint: Endpoint,
    pub(super) client: Arc<dyn DynHttpClient>,
    pub(super) auth: ClientAuth,
    pub(super) judge: Judge,
    pub(super) cache_for: Duration,
    pub(super) accept_all: bool,
    pub(super) memory: Memory,
    pub(super) outage: Outage,
    pub(super) bounds: Bounds,
}

/// The limits on concurrent requests.
pub(super) struct Bounds {
    waiting: Semaphore,
    queue: Arc<Semaphore>,
    in_flight: Semaphore,
}

/// A look-up in progress. However it ends, even if the runtime shuts down or the HTTP client panics, the
/// requests that wait for it get an answer.
struct LookUp {
    asker: Arc<Asker>,
    key: String,
    token: Zeroizing<String>,
    slot: Arc<Slot>,
    _place: OwnedSemaphorePermit,
}

// === impl Asker ===

impl Asker {
    /// Returns the verdict on a token if the server need not be asked.
    pub(super) fn peek(&self, token: &str) -> Option<Result<VerifiedToken, AuthError>> {
        match key_of(token) {
            Ok(key) => self.memory.known(&key, self.now()),
            Err(error) => Some(Err(error)),
        }
    }

    /// Returns the verdict on a token, and asks the server if necessary. If the future is dropped, the
    /// look-up goes on, so that the next request can use its result.
    pub(super) async fn look_up(self: &Arc<Self>, token: &str) -> Result<VerifiedToken, AuthError> {
        let (key, now) = (key_of(token)?, self.now());
        if let Some(known) = self.memory.known(&key, now) {
            return known;
        }
        let Ok(_place) = self.bounds.waiting.try_acquire() else {
            return Err(busy());
        };
        let slot = self.memory.slot(&key, now);
        if slot.begins() {
            // The answer may have arrived since the cache was checked.
            match self.memory.good(&key, now) {
                Some(answer) => slot.fill(answer),
                None => self.begin(key, token, &slot),
            }
        }
        match timeout(MAX_WAIT, slot.answer.wait()).await {
            Ok(answer) => answer.verdict.clone(),
            Err(_) => Err(unavailable(
                Duration::from_secs(1),
                "the authorization server did not respond in time",
            )),
        }
    }

    /// Begins a look-up, which goes on even if the request that needs it is dropped.
    fn begin(self: &Arc<Self>, key: String, token: &str, slot: &Arc<Slot>) {
        let Ok(runtime) = Handle::try_current() else {
            let why = "introspection needs a Tokio runtime, but none is running";
            return slot.fill(self.failure(unavailable(Duration::from_secs(1), why)));
        };
        let Ok(place) = Arc::clone(&self.bounds.queue).try_acquire_owned() else {
            return slot.fill(self.failure(busy()));
        };
        let look_up = LookUp {
            asker: Arc::clone(self),
            key,
            token: Zeroizing::new(token.to_owned()),
            slot: Arc::clone(slot),
            _place: place,
        };
        runtime.spawn(look_up.run());
    }

    async fn ask(&self, token: &str, key: &str) -> Answer {
        let Ok(Ok(_turn)) = timeout(MAX_WAIT, self.bounds.in_flight.acquire()).await else {
            return self.failure(busy());
        };
        let attempt = match self.outage.begin() {
            Ok(attempt) => attempt,
            Err(left) => {
                let left = left.max(Duration::from_secs(1));
                return self.failure(unavailable(left, &Problem::left_alone().what));
            }
        };
        let asked_at = self.now();
        match self.exchange(token, key).await {
            Ok(said) => {
                attempt.succeeded();
                self.judged(said, asked_at)
            }
            Err(problem) => {
                if problem.is_moved {
                    self.endpoint.forget();
                }
                let retry_after = attempt.failed(problem.severity, problem.retry_after);
                #[cfg(feature = "tracing")]
                tracing::warn!(
                    endpoint = %self.endpoint.name(),
                    error = problem.what,
                    "the authorization server gave no verdict on a token"
                );
                self.failure(unavailable(retry_after, &problem.what))
            }
        }
    }

    async fn exchange(&self, token: &str, key: &str) -> Result<Said, Problem> {
        let address = self.endpoint.address(&*self.client, &self.outage).await?;
        let uri = address.uri();
        let request = self.auth.request(uri, token);
        let response = exchange(&*self.client, request, answer::MAX_BYTES).await?;
        let missing = Missing {
            issuer: self.judge.policy.issuers.first().map(|issuer| &**issuer),
            token_id: key,
        };
        answer::read(response, uri, &missing, &self.judge.policy.required)
    }

    /// Returns the verdict on what the server says, and for how long it may be used.
    fn judged(&self, said: Said, asked_at: u64) -> Answer {
        let (verdict, expiry) = match said {
            Said::Inactive => (Err(inactive()), None),
            Said::OtherType(reason) => (
                Err(AuthError::new(AuthErrorKind::InvalidClaim).because(reason)),
                None,
            ),
            Said::Active(payload) => {
                let verdict = self.judge.judge_answer(*payload);
                let expiry = verdict.as_ref().ok().and_then(VerifiedToken::expires_at);
                (verdict, expiry.and_then(|expiry| expiry.to_system_time()))
            }
        };
        let holds_for = match &verdict {
            Ok(_) => self.cache_for,
            Err(_) => self.cache_for.min(REFUSED_FOR),
        };
        let until = asked_at.saturating_add(as_micros(holds_for));
        Answer {
            verdict,
            asked_at,
            until: expiry.map_or(until, |expiry| until.min(unix_micros(expiry))),
        }
    }

    /// Makes an answer for the requests that wait now. It is not cached.
    fn failure(&self, error: AuthError) -> Answer {
        Answer {
            verdict: Err(error),
            asked_at: self.now(),
            until: 0,
        }
    }

    fn now(&self) -> u64 {
        unix_micros(self.judge.clock.now())
    }
}

// === impl Bounds ===

impl Default for Bounds {
    fn default() -> Self {
        Self {
            waiting: Semaphore::new(WAITING),
            queue: Arc::new(Semaphore::new(IN_FLIGHT + QUEUED)),
            in_flight: Semaphore::new(IN_FLIGHT),
        }
    }
}

// === impl LookUp ===

impl LookUp {
    async fn run(self) {
        let answer = self.asker.ask(&self.token, &self.key).await;
        self.asker.memory.keep(&self.key, &self.slot, answer);
    }
}

impl Drop for LookUp {
    fn drop(&mut self) {
        // After an answer, this changes nothing.
        let error = unavailable(Duration::from_secs(1), "the look-up was aborted");
        self.slot.fill(self.asker.failure(error));
    }
}

/// Returns the key of a token in the cache: its SHA-256. Refuses a text that cannot be an access token (RFC
/// 6749 appendix A.12) before anything else is done.
fn key_of(token: &str) -> Result<String, AuthError> {
    let refused = |reason| Err(AuthError::new(AuthErrorKind::MalformedToken).because(reason));
    if token.len() > MAX_TOKEN_BYTES {
        return refused(&Reason {
            code: "token_too_long",
            message: "the token is too long",
        });
    }
    if token.is_empty() || !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return refused(&Reason {
            code: "not_an_access_token",
            message: "the credential is empty, or contains a character that is not allowed in an access token",
        });
    }
    digest(token.as_bytes()).ok_or_else(|| AuthErrorKind::Internal.into())
}

fn inactive() -> AuthError {
    AuthError::new(AuthErrorKind::InvalidCredential).because(&Reason {
        code: "token_not_active",
        message: "the authorization server says that the token is not active",
    })
}

fn busy() -> AuthError {
    let why = "too many requests wait for the authorization server";
    unavailable(Duration::from_secs(1), why)
}
