//! What happens to sessions, told to whoever wants to know: stable names, and never a token.

use std::fmt;
use std::sync::Arc;

use crate::session::EndReason;

/// Something that an operator or the owner of an account may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthEvent<'a> {
    /// A session was opened.
    SessionOpened {
        /// Whose.
        subject: &'a str,
        /// Which.
        session: &'a str,
    },
    /// An older refresh token was used, and its session ended for it: it, or the current one,
    /// was stolen.
    RefreshReuseDetected {
        /// Whose.
        subject: &'a str,
        /// Which.
        session: &'a str,
    },
    /// A refresh token was ahead of its session: the store has lost writes, as after a restored
    /// backup or the promotion of a lagging replica.
    RefreshStoreRewound {
        /// Whose.
        subject: &'a str,
        /// Which.
        session: &'a str,
    },
    /// A session was ended.
    SessionEnded {
        /// Which.
        session: &'a str,
        /// Why.
        reason: EndReason,
    },
    /// A session has ended, but its access tokens could not be revoked: they are good until they
    /// expire.
    RevocationFailed {
        /// Which.
        session: &'a str,
    },
}

/// Receives events; called where they happen, so it must not block.
#[derive(Clone, Default)]
pub(crate) struct EventHook(Option<Arc<Hook>>);

type Hook = dyn Fn(&AuthEvent<'_>) + Send + Sync;

// === impl AuthEvent ===

impl AuthEvent<'_> {
    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SessionOpened { .. } => "session_opened",
            Self::RefreshReuseDetected { .. } => "refresh_reuse_detected",
            Self::RefreshStoreRewound { .. } => "refresh_store_rewound",
            Self::SessionEnded { .. } => "session_ended",
            Self::RevocationFailed { .. } => "revocation_failed",
        }
    }

    /// The session that it is about.
    #[must_use]
    pub const fn session(&self) -> &str {
        match self {
            Self::SessionOpened { session, .. }
            | Self::RefreshReuseDetected { session, .. }
            | Self::RefreshStoreRewound { session, .. }
            | Self::SessionEnded { session, .. }
            | Self::RevocationFailed { session } => session,
        }
    }
}

// === impl EventHook ===

impl EventHook {
    pub(crate) fn new(hook: impl Fn(&AuthEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn tell(&self, event: &AuthEvent<'_>) {
        #[cfg(feature = "tracing")]
        match event {
            AuthEvent::SessionOpened { .. } | AuthEvent::SessionEnded { .. } => {
                tracing::info!(event = event.name(), session = event.session());
            }
            AuthEvent::RefreshReuseDetected { .. }
            | AuthEvent::RefreshStoreRewound { .. }
            | AuthEvent::RevocationFailed { .. } => {
                tracing::warn!(event = event.name(), session = event.session());
            }
        }
        if let Some(hook) = &self.0 {
            hook(event);
        }
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "EventHook(set)"
        } else {
            "EventHook(none)"
        })
    }
}
