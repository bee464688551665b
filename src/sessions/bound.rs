//! The refresh of a session that is bound to a key (RFC 9449).

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use super::refresh::RefreshSession;
use crate::dpop::DpopProof;
use crate::event::SessionEvent;
use crate::session::{EndReason, EndSessions, SessionTarget};

// === impl RefreshSession ===

impl RefreshSession<'_> {
    /// Sets the DPoP proof of the request (RFC 9449). [`issue`](Self::issue) marks it as used before the
    /// session moves on.
    ///
    /// | Session | Proof | Result |
    /// |---|---|---|
    /// | bound | by the key of the session | the next tokens are bound to the same key |
    /// | bound | missing | [`ProofRequired`](SessionErrorKind::ProofRequired). The session stays open, and an [event](crate::sessions::SessionEvent::RefreshWithoutProof) is reported |
    /// | bound | by another key | [`KeyMismatch`](SessionErrorKind::KeyMismatch). The session ends |
    /// | not bound | by any key | the access token is bound to that key, and the session stays unbound |
    /// | not bound | missing | the same as without DPoP |
    ///
    /// A refresh with another key ends the session, because no honest client does that: a client has one key
    /// for a session, and if it loses the key, it has to log in again anyway. So somebody else has the refresh
    /// token. A request without a proof is refused and changes nothing, so that a client which has once
    /// forgotten the header, or a thief who just tries the token, does not log the user out.
    ///
    /// An unbound session never becomes bound by a refresh, because a thief could then be the first to bind
    /// it.
    pub fn dpop<'p>(mut self, proof: impl Into<Option<&'p DpopProof>>) -> Self {
        self.proof = proof.into().cloned();
        self
    }

    /// Compares the key of the proof with that of the session, and marks the proof as used, before the
    /// session moves on.
    pub(super) async fn check_key(&self) -> Result<(), SessionError> {
        let (subject, session) = (self.subject(), self.session_id());
        match (self.token.key.as_deref(), &self.proof) {
            (Some(_), None) => {
                let event = SessionEvent::RefreshWithoutProof { subject, session };
                self.sessions.inner.events.tell(&event);
                Err(SessionErrorKind::ProofRequired.into())
            }
            (Some(key), Some(proof)) if key != proof.thumbprint() => {
                let (this, subject) = (self.sessions.clone(), subject.to_owned());
                let session = session.to_owned();
                self.sessions
                    .whole(async move { this.end_for_other_key(&subject, &session).await })
                    .await?;
                Err(SessionErrorKind::KeyMismatch.into())
            }
            (_, Some(proof)) => Ok(proof.mark_used().await?),
            (None, None) => Ok(()),
        }
    }
}

// === impl Sessions ===

impl Sessions {
    /// Ends a session whose refresh token came with a proof by another key than its own.
    async fn end_for_other_key(&self, subject: &str, session: &str) -> Result<(), SessionError> {
        let now = self.inner.tokens.stamp();
        let target = SessionTarget::SessionOf { session, subject };
        let mut end = EndSessions::new(target, EndReason::ReuseDetected, now);
        end.ended_since = self.ended_since(now);
        let ended = self.inner.store.end(end).await?;
        // The session itself has ended. A failure to revoke is reported as an event.
        let _ = self.revoke(&ended).await;
        self.inner.events.tell(&SessionEvent::RefreshKeyMismatch {
            subject,
            session,
            has_ended: ended.iter().any(|session| session.ended_at == now),
        });
        Ok(())
    }
}
