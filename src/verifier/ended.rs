//! [`VerifiedToken::ended`]: waits until a token expires or is revoked, for streams.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use super::judge::VerifiedToken;
use crate::claims::NumericDate;
use crate::clock::Clock;
use crate::error::{AuthError, AuthErrorKind};
use crate::revocation::DynRevocationStore;

/// The time for which a stream may go on while the revocation store is unavailable: 60 seconds.
pub const MAX_STREAM_OUTAGE: Duration = Duration::from_secs(60);
/// The pause before an unavailable store is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two looks at the clock.
const A_DAY: Duration = Duration::from_secs(86_400);

/// Why a stream must end: the result of [`VerifiedToken::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The token has expired. The client should get another one and connect again.
    Expired,
    /// The token, its session, or all tokens of its subject were revoked, or the authorization server of an
    /// opaque token says that it is no longer active.
    Revoked,
    /// The revocation store, or the authorization server of an opaque token, was unavailable for
    /// [longer](MAX_STREAM_OUTAGE) than a stream may go on without it.
    Unavailable,
}

/// What a stream needs from the verifier of its token.
pub(crate) trait World: Send + Sync {
    fn clock(&self) -> &Arc<dyn Clock>;
    /// The time for which a token is still accepted after its expiry.
    fn leeway(&self) -> Duration;
    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>>;
}

// === impl StreamEnd ===

impl StreamEnd {
    /// Returns a stable, lower-case name for logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the token has expired",
            Self::Revoked => "the token has been revoked",
            Self::Unavailable => "the revocation store or the authorization server is unavailable",
        })
    }
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Waits until the token expires (leeway included) or is revoked. Without this future, server-sent events
    /// and WebSockets would outlive their token; the [guide](crate::guide::protecting_routes#server-sent-events) shows how.
    ///
    /// A revocation completes the future at once if the store signals revocations:
    /// [`MemoryRevocations`](crate::revocation::MemoryRevocations) does, `CachedRevocations` does for those
    /// made through the same object, and Redis does if revocations are pushed. Otherwise the store is asked
    /// at the interval of [`RevocationStore::changes`](crate::revocation::RevocationStore::changes). Behind
    /// `CachedRevocations`, a revocation on another node ends the stream within twice the cache period.
    ///
    /// For an opaque token, the authorization server is asked again whenever its answer has left the cache.
    ///
    /// While the store is unavailable, the future keeps waiting for at most
    /// [60 seconds](super::MAX_STREAM_OUTAGE), so that a short outage does not make all clients
    /// reconnect. Then it returns [`StreamEnd::Unavailable`].
    ///
    /// The time is that of the verifier's clock. Nothing runs unless the future is polled, and it can be
    /// dropped at any time. It needs a Tokio runtime with its timer enabled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
    /// use tower_jwt_auth::clock::ManualClock;
    /// use tower_jwt_auth::verifier::StreamEnd;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let clock = ManualClock::at_now();
    /// let key = SigningKey::generate(Algorithm::HS256)?;
    /// let tokens = TokenIssuer::builder(key)
    ///     .issuer("me")
    ///     .audience("api")
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let token = tokens.verifier().verify(&tokens.access("alice").issue()?).await?;
    ///
    /// let ended = tokio::spawn(token.ended());
    /// clock.advance(Duration::from_secs(901)); // within the leeway
    /// tokio::task::yield_now().await;
    /// assert!(!ended.is_finished());
    /// clock.advance(Duration::from_secs(30));
    /// assert_eq!(ended.await?, StreamEnd::Expired);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ended(&self) -> impl Future<Output = StreamEnd> + Send + use<> {
        let token = self.clone();
        async move {
            let Some(world) = token.world() else {
                // A token without a world does not come from a verifier: it counts as expired.
                return StreamEnd::Expired;
            };
            wait_for_end(&token, &**world).await
        }
    }

    /// Returns the error for a stream that ends for this reason, for protocols that can report an error at
    /// the end of a response, such as gRPC with its status. It is the error with which the
    /// [`JwtAuthLayer`](crate::JwtAuthLayer) in front would refuse the token now.
    #[must_use]
    pub fn end_error(&self, end: StreamEnd) -> AuthError {
        let kind = match end {
            StreamEnd::Expired => AuthErrorKind::Expired,
            StreamEnd::Revoked => AuthErrorKind::Revoked,
            StreamEnd::Unavailable => AuthErrorKind::Unavailable,
        };
        AuthError::new(kind).told_by(self.refusals())
    }
}

async fn wait_for_end(token: &VerifiedToken, world: &dyn World) -> StreamEnd {
    let clock = world.clock();
    let until = token
        .expires_at()
        .and_then(NumericDate::to_system_time)
        .and_then(|expiry| expiry.checked_add(world.leeway()));
    let store = world.revocations().zip(token.stream_query());
    let mut changes = store.as_ref().map(|(store, _)| store.changes());
    let mut unjudged_since: Option<SystemTime> = None;
    loop {
        let now = clock.now();
        if until.is_some_and(|until| now >= until) {
            return StreamEnd::Expired;
        }
        let mut next = A_DAY;
        if let (Some((store, query)), Some(changes)) = (&store, &mut changes) {
            changes.mark_seen();
            let verdict = match store.peek(query) {
                Some(known) => Ok(known),
                None => store.is_revoked(*query).await,
            };
            match verdict {
                Ok(true) => return StreamEnd::Revoked,
                Ok(false) => {
                    unjudged_since = None;
                    next = changes.interval().unwrap_or(A_DAY);
                }
                Err(_) => {
                    let since = *unjudged_since.get_or_insert(now);
                    let unjudged = now.duration_since(since).unwrap_or_default();
                    if unjudged >= MAX_STREAM_OUTAGE {
                        return StreamEnd::Unavailable;
                    }
                    next = RETRY;
                }
            }
        }
        let next = now.checked_add(next).or(until);
        let next = until.map_or(next, |until| next.map(|next| next.min(until)));
        let mut timer = pin!(async {
            match next {
                Some(next) => clock.wait_until(next).await,
                None => std::future::pending().await,
            }
        });
        let mut pushed = pin!(async {
            match &mut changes {
                Some(changes) => changes.pushed().await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if timer.as_mut().poll(cx).is_ready() || pushed.as_mut().poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}
