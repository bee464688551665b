//! [`Revocations`]: the last check, for which a store may have to be asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::VerifiedToken;
use crate::error::{AuthError, AuthErrorKind};
use crate::revocation::DynRevocationStore;
use crate::session::AcknowledgerSlot;

/// Refuses revoked credentials, and reports which sessions are in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revocations {
    pub(crate) store: Option<Arc<dyn DynRevocationStore>>,
    pub(crate) acknowledger: AcknowledgerSlot,
}

/// The state of a verification after everything that needs no waiting.
pub(crate) enum Progress {
    Done(Result<VerifiedToken, AuthError>),
    Wait(Pin<Box<dyn Future<Output = Result<VerifiedToken, AuthError>> + Send>>),
}

// === impl Revocations ===

impl Revocations {
    /// Checks a credential that has passed everything else. Boxes a future only if the store must be asked.
    pub(crate) fn judge(&self, verified: VerifiedToken) -> Progress {
        match (self.peek(&verified), &self.store) {
            (Some(verdict), _) => Progress::Done(verdict.map(|()| self.accept(verified))),
            (None, None) => Progress::Done(Ok(self.accept(verified))),
            (None, Some(store)) => {
                let (this, store) = (self.clone(), Arc::clone(store));
                Progress::Wait(Box::pin(async move {
                    if store.is_revoked(verified.revocation_query()?).await? {
                        return Err(AuthErrorKind::Revoked.into());
                    }
                    Ok(this.accept(verified))
                }))
            }
        }
    }

    /// Returns the verdict if it is known without waiting.
    pub(crate) fn peek(&self, verified: &VerifiedToken) -> Option<Result<(), AuthError>> {
        let Some(store) = &self.store else {
            return Some(Ok(()));
        };
        match verified.revocation_query().map(|query| store.peek(&query)) {
            Err(error) => Some(Err(error)),
            Ok(Some(true)) => Some(Err(AuthErrorKind::Revoked.into())),
            Ok(Some(false)) => Some(Ok(())),
            Ok(None) => None,
        }
    }

    /// Reports that the session of an accepted token is in use.
    fn accept(&self, verified: VerifiedToken) -> VerifiedToken {
        if let Some(acknowledger) = self.acknowledger.get()
            && let (Some(session), Some(generation)) =
                (verified.session_id(), verified.generation())
        {
            acknowledger.seen(session, generation);
        }
        verified
    }
}

// === impl Progress ===

impl Progress {
    /// Waits for the result if it is not there yet.
    pub(crate) async fn finish(self) -> Result<VerifiedToken, AuthError> {
        match self {
            Self::Done(result) => result,
            Self::Wait(future) => future.await,
        }
    }
}
