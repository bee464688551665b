//! [`Actor`]: carries out what a logout token orders, once and completely.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::logout::{Ends, Logout};
use crate::error::{AuthError, AuthErrorKind};
use crate::issuer::REVOCATION_TIMEOUT;
use crate::revocation::DynRevocationStore;
use crate::store::{in_time, to_the_end};
use crate::sync::timeout;
use crate::turns::Turns;

/// The number of logouts that are carried out at once. Others wait for as long as their requests do.
const AT_ONCE: usize = 64;
/// The time limit of the application's hook. Most providers do not wait that long.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Hook = dyn Fn(Logout) -> HookFuture + Send + Sync;
pub(super) type HookFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Carries out logout tokens that were verified.
pub(super) struct Actor {
    pub(super) store: Arc<dyn DynRevocationStore>,
    pub(super) ends: Ends,
    pub(super) hook: Option<Arc<Hook>>,
    /// Makes sure that a logout token that arrives twice at once is carried out once.
    turns: Turns,
    places: Arc<Semaphore>,
}

// === impl Actor ===

impl Actor {
    pub(super) fn new(
        store: Arc<dyn DynRevocationStore>,
        ends: Ends,
        hook: Option<Arc<Hook>>,
    ) -> Self {
        Self {
            store,
            ends,
            hook,
            turns: Turns::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Carries out what the token orders. Once that has begun, it runs to its end even if the caller stops
    /// waiting.
    pub(super) async fn act(self: &Arc<Self>, logout: Logout) -> Result<(), AuthError> {
        let key = format!("{}\n{}", logout.issuer(), logout.id());
        let turn = self.turns.wait(&key).await;
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await;
        let place = place.map_err(|error| unavailable(Box::new(error)))?;
        let this = Arc::clone(self);
        to_the_end(async move {
            let done = this.act_in_turn(&logout).await;
            drop((turn, place));
            done
        })
        .await?
    }

    /// Carries out a logout whose turn it is. After a failure, the token stays unused, so that the provider can
    /// send it again.
    async fn act_in_turn(&self, logout: &Logout) -> Result<(), AuthError> {
        let used = logout.used();
        if in_time(REVOCATION_TIMEOUT, self.store.is_revoked(used.query())).await? {
            tell(
                logout,
                "a logout token was used before, so it was not acted on again",
            );
            return Ok(());
        }
        let ends = self.ends.of(logout);
        in_time(REVOCATION_TIMEOUT, self.store.revoke(&ends)).await?;
        if let Some(hook) = &self.hook {
            in_hook_time(hook(logout.clone())).await?;
        }
        tell(logout, "a user has logged out at the provider");
        // The logout is in effect. If this fails, the only loss is that a copy of the token would repeat it.
        let used = [used.revocation()];
        let remembered = in_time(REVOCATION_TIMEOUT, self.store.revoke(&used)).await;
        #[cfg(feature = "tracing")]
        if let Err(error) = remembered {
            tracing::warn!(%error, "a logout token could not be remembered as used");
        }
        #[cfg(not(feature = "tracing"))]
        drop(remembered);
        Ok(())
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor")
            .field("store", &self.store)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

async fn in_hook_time(hook: HookFuture) -> Result<(), AuthError> {
    let done = match tokio::runtime::Handle::try_current() {
        Ok(_) => timeout(HOOK_TIMEOUT, hook).await,
        Err(_) => Ok(hook.await),
    };
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(unavailable(error)),
        Err(_) => Err(unavailable(
            format!(
                "the `on_logout` hook took longer than {} s",
                HOOK_TIMEOUT.as_secs()
            )
            .into(),
        )),
    }
}

fn unavailable(error: BoxError) -> AuthError {
    AuthError::new(AuthErrorKind::Unavailable).with_source(error)
}

fn tell(logout: &Logout, text: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!(event = "backchannel_logout", ?logout, "{text}");
    #[cfg(not(feature = "tracing"))]
    let _ = (logout, text);
}
