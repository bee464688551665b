//! [`SessionEvent`]: events of sessions, for logs, metrics and notices to the owner.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::jti::Digest;
use crate::session::{Converged, EndReason};

/// An event of a session that an operator or the owner of the account may want to know about.
/// [`SessionsBuilder::on_event`](crate::sessions::SessionsBuilder::on_event) receives it.
///
/// It contains the subject and the session id for code that acts on it, and never a token. `Debug`,
/// and the log with the feature `tracing`, show a digest of the session id and no subject.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent<'a> {
    /// A session was opened.
    SessionOpened {
        /// The subject that it belongs to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
    },
    /// A replaced refresh token was used again and accepted, for example from a second tab or after
    /// a lost response. A long run may be a thief who refreshes in step with the client.
    RefreshConverged {
        /// The subject that the session belongs to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
        /// The reason why it was accepted.
        kind: Converged,
        /// The number of refreshes in a row that converged, this one included.
        run: u32,
    },
    /// A replaced refresh token was used again, and its session was ended, because the token or its
    /// successor was probably stolen.
    RefreshReuseDetected {
        /// The subject that the session belonged to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
    },
    /// A refresh token of a session that is bound to a key came without a DPoP proof. It was refused, and the
    /// session stays open. Either the client has a bug, or somebody has the token but not the key.
    RefreshWithoutProof {
        /// The subject that the session belongs to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
    },
    /// A refresh token of a session that is bound to a key came with a DPoP proof by another key, so somebody
    /// else has the token. It was refused, and the session was ended.
    RefreshKeyMismatch {
        /// The subject that the session belonged to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
        /// Whether this refresh ended the session. `false` if the session had ended before.
        has_ended: bool,
    },
    /// A refresh token was newer than its session in the store: the store has lost writes, for
    /// example after a restored backup or the promotion of a lagging replica.
    RefreshStoreRewound {
        /// The subject that the session belongs to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
    },
    /// A session was ended.
    SessionEnded {
        /// The subject that it belonged to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
        /// The reason why it was ended.
        reason: EndReason,
    },
    /// A session has ended, but its access tokens could not be revoked. They stay valid until they
    /// expire, or until the call that ended the session is repeated.
    RevocationFailed {
        /// The subject that the session belonged to.
        subject: &'a str,
        /// The session id.
        session: &'a str,
    },
}

/// The function that receives events. It is called where they happen, so it must not block.
#[derive(Clone, Default)]
pub(crate) struct EventHook(Option<Arc<Hook>>);

type Hook = dyn Fn(&SessionEvent<'_>) + Send + Sync;

// === impl SessionEvent ===

impl SessionEvent<'_> {
    /// Returns the stable name of the event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SessionOpened { .. } => "session_opened",
            Self::RefreshConverged { .. } => "refresh_converged",
            Self::RefreshReuseDetected { .. } => "refresh_reuse_detected",
            Self::RefreshWithoutProof { .. } => "refresh_without_proof",
            Self::RefreshKeyMismatch { .. } => "refresh_key_mismatch",
            Self::RefreshStoreRewound { .. } => "refresh_store_rewound",
            Self::SessionEnded { .. } => "session_ended",
            Self::RevocationFailed { .. } => "revocation_failed",
        }
    }

    /// Returns the id of the session that the event is about.
    ///
    /// # Security
    ///
    /// Keep it out of logs: a reader of the logs could ask for the session to be ended. Log
    /// [`session_digest`](Self::session_digest) instead.
    #[must_use]
    pub const fn session(&self) -> &str {
        self.about().1
    }

    /// Returns the subject that the session belongs to.
    #[must_use]
    pub const fn subject(&self) -> &str {
        self.about().0
    }

    /// Returns the beginning of the SHA-256 of the session id, for logs. It identifies the lines
    /// about one session, and is useless to an attacker.
    #[must_use]
    pub fn session_digest(&self) -> String {
        Digest(self.session()).to_string()
    }

    const fn about(&self) -> (&str, &str) {
        match self {
            Self::SessionOpened { subject, session }
            | Self::RefreshConverged {
                subject, session, ..
            }
            | Self::RefreshReuseDetected { subject, session }
            | Self::RefreshWithoutProof { subject, session }
            | Self::RefreshKeyMismatch {
                subject, session, ..
            }
            | Self::RefreshStoreRewound { subject, session }
            | Self::SessionEnded {
                subject, session, ..
            }
            | Self::RevocationFailed { subject, session } => (subject, session),
        }
    }
}

impl fmt::Debug for SessionEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.name());
        out.field("session", &Digest(self.session()));
        match self {
            Self::RefreshConverged { kind, run, .. } => {
                out.field("kind", kind).field("run", run);
            }
            Self::RefreshKeyMismatch { has_ended, .. } => {
                out.field("has_ended", has_ended);
            }
            Self::SessionEnded { reason, .. } => {
                out.field("reason", reason);
            }
            _ => {}
        }
        out.finish_non_exhaustive()
    }
}

// === impl EventHook ===

impl EventHook {
    pub(crate) fn new(hook: impl Fn(&SessionEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Reports an event. A panic in the hook is caught.
    pub(crate) fn tell(&self, event: &SessionEvent<'_>) {
        #[cfg(feature = "tracing")]
        log(event);
        let Some(hook) = &self.0 else { return };
        call_hook(event.name(), || hook(event));
    }
}

/// Calls the hook of an application. A panic in it is caught.
pub(crate) fn call_hook(event: &'static str, hook: impl FnOnce()) {
    let told = catch_unwind(AssertUnwindSafe(hook));
    #[cfg(feature = "tracing")]
    if told.is_err() {
        tracing::error!(event, "the event hook panicked");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (event, told);
}

#[cfg(feature = "tracing")]
fn log(event: &SessionEvent<'_>) {
    let (name, session) = (event.name(), Digest(event.session()));
    match event {
        SessionEvent::SessionOpened { .. } => tracing::info!(event = name, %session),
        SessionEvent::SessionEnded { reason, .. } => {
            tracing::info!(event = name, %session, %reason);
        }
        // Two tabs cause this all the time.
        SessionEvent::RefreshConverged { kind, run, .. } => {
            tracing::debug!(event = name, %session, %kind, run);
        }
        SessionEvent::RefreshReuseDetected { .. }
        | SessionEvent::RefreshWithoutProof { .. }
        | SessionEvent::RefreshKeyMismatch { .. }
        | SessionEvent::RefreshStoreRewound { .. }
        | SessionEvent::RevocationFailed { .. } => tracing::warn!(event = name, %session),
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

#[cfg(test)]
mod tests {
    use super::SessionEvent;

    #[test]
    fn debug_shows_neither_subject_nor_session_id() {
        let event = SessionEvent::SessionOpened {
            subject: "alice",
            session: "AZr0secretsessionid",
        };
        let shown = format!("{event:?}");
        assert!(
            !shown.contains("alice") && !shown.contains("AZr0"),
            "{shown}"
        );
        assert!(shown.contains(&event.session_digest()), "{shown}");
    }
}
