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

/// How long a stream may go on while the revocation store is unavailable: 60 seconds.
pub const LONGEST_UNJUDGED_STREAM: Duration = Duration::from_secs(60);
/// How long to wait before an unavailable store is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// What is waited for if nothing else is known: the clock is looked at again then.
const A_DAY: Duration = Duration::from_secs(86_400);

/// Why a stream must end: the result of [`VerifiedToken::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenEnd {
    /// The token has expired. The client should get another one and connect again.
    Expired,
    /// The token, its session, or all tokens of its subject were revoked; or the authorization server
    /// says that an opaque token is not active any more.
    Revoked,
    /// The revocation store, or the authorization server of an opaque token, was unavailable for longer than a stream may go on without it.
    Unavailable,
}

/// What a verifier knows that a stream needs as well.
pub(crate) trait World: Send + Sync {
    fn clock(&self) -> &Arc<dyn Clock>;
    /// How long after its expiry a token is still accepted.
    fn leeway(&self) -> Duration;
    fn revocations(&self) -> Option<&Arc<dyn DynRevocationStore>>;
}

// === impl TokenEnd ===

impl TokenEnd {
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

impl fmt::Display for TokenEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the token has expired",
            Self::Revoked => "the token has been revoked",
            Self::Unavailable => "the revocation store is unavailable",
        })
    }
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// Waits until the token expires (leeway included) or is revoked. Server-sent events and WebSockets
    /// outlive both unless they end with this future; the [cookbook](crate::_guide::cookbook) has
    /// recipes.
    ///
    /// A revocation ends it at once if the store signals revocations: in
    /// [`MemoryRevocations`](crate::revocation::MemoryRevocations), through the same
    /// `CachedRevocations`, and with Redis if they are pushed. Otherwise the store is asked at the
    /// interval of [`RevocationStore::changes`](crate::revocation::RevocationStore::changes): with a
    /// cache, a revocation of another node ends the stream within twice its lag.
    ///
    /// For an opaque token, its authorization server is asked again each time that its answer has left
    /// the cache.
    ///
    /// While the store is unavailable, the stream goes on for
    /// [60 seconds](super::LONGEST_UNJUDGED_STREAM) at most, so that a short outage does not make all
    /// clients connect again, and then ends with [`TokenEnd::Unavailable`].
    ///
    /// The time is that of the verifier's clock. Nothing runs unless the future is polled, and dropping
    /// it leaves nothing behind. It needs a Tokio runtime with its timer enabled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};
    /// use tower_jwt_auth::clock::ManualClock;
    /// use tower_jwt_auth::verifier::TokenEnd;
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
    /// assert_eq!(ended.await?, TokenEnd::Expired);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ended(&self) -> impl Future<Output = TokenEnd> + Send + use<> {
        let token = self.clone();
        async move {
            let Some(world) = token.world() else {
                // Only a token that no verifier has made has none: it counts as expired.
                return TokenEnd::Expired;
            };
            wait_for_end(&token, &**world).await
        }
    }

    /// Returns the error of a stream that ends for this reason, for protocols that have a place for it at
    /// the end of a response, such as the status of a gRPC call. It is the error with which the
    /// [`JwtAuthLayer`](crate::JwtAuthLayer) in front would refuse the token now.
    #[must_use]
    pub fn end_error(&self, end: TokenEnd) -> AuthError {
        let kind = match end {
            TokenEnd::Expired => AuthErrorKind::Expired,
            TokenEnd::Revoked => AuthErrorKind::Revoked,
            TokenEnd::Unavailable => AuthErrorKind::Unavailable,
        };
        AuthError::new(kind).told_by(self.refusals())
    }
}

async fn wait_for_end(token: &VerifiedToken, world: &dyn World) -> TokenEnd {
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
            return TokenEnd::Expired;
        }
        let mut next = A_DAY;
        if let (Some((store, query)), Some(changes)) = (&store, &mut changes) {
            changes.mark_seen();
            let verdict = match store.peek(query) {
                Some(known) => Ok(known),
                None => store.is_revoked(*query).await,
            };
            match verdict {
                Ok(true) => return TokenEnd::Revoked,
                Ok(false) => {
                    unjudged_since = None;
                    next = changes.interval().unwrap_or(A_DAY);
                }
                Err(_) => {
                    let since = *unjudged_since.get_or_insert(now);
                    let unjudged = now.duration_since(since).unwrap_or_default();
                    if unjudged >= LONGEST_UNJUDGED_STREAM {
                        return TokenEnd::Unavailable;
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
