//! The ends of sessions: here, there, the others, everywhere, in one order and as a whole.

use std::time::Duration;

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use crate::clock::as_micros;
use crate::event::AuthEvent;
use crate::jti;
use crate::session::{EndReason, EndSessions, EndedSession, SessionTarget};
use crate::store::{StoreError, to_the_end};

/// How long ago a session may have ended for its access tokens to be revoked once more, beside
/// the longest that they live: clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(600);

// === impl Sessions ===

/// All of these run to their end when the request that called them is dropped, and all can be
/// asked for again after an error: what was done is not done twice, and what was not is done.
/// Access tokens that were issued are refused from then on if the issuer has a revocation store,
/// and are good until they expire otherwise.
impl Sessions {
    /// Ends a session, with its access tokens: "log out here". Returns whether it was open.
    ///
    /// # Security
    ///
    /// Use it with the `sid` of a verified token, or for an administrator. An id that a user sends
    /// may be somebody else's: use [`end_of`](Self::end_of).
    ///
    /// # Errors
    ///
    /// [`Unavailable`](SessionErrorKind::Unavailable): a store is unavailable. Asking again is safe.
    pub async fn end(&self, sid: &str) -> Result<bool, SessionError> {
        self.end_one(sid, None).await
    }

    /// Ends a session if it belongs to this subject, with its access tokens: "log out there".
    /// Returns whether it was open and the subject's.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn end_of(&self, sub: &str, sid: &str) -> Result<bool, SessionError> {
        self.end_one(sid, Some(sub)).await
    }

    /// Ends the session that a refresh token belongs to, for a client that logs out and has no
    /// access token any more. Returns whether it was open; a token that is not valid ends nothing
    /// and is no error (RFC 7009 section 2.2).
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn end_by_token(&self, refresh_token: &str) -> Result<bool, SessionError> {
        match self.verify(refresh_token).await {
            Ok(token) => self.end_of(&token.subject, &token.session).await,
            Err(error) if *error.kind() == SessionErrorKind::Unavailable => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Ends every session of a subject except one, with their access tokens: "log out the others".
    /// Returns how many were open.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn end_others(&self, sub: &str, sid: &str) -> Result<usize, SessionError> {
        let (this, sub, sid) = (self.clone(), sub.to_owned(), sid.to_owned());
        let work = async move {
            let target = SessionTarget::OthersOf {
                session: &sid,
                subject: &sub,
            };
            this.end_all_in(target).await
        };
        to_the_end(work).await?
    }

    /// Ends every session of a subject, and revokes every token that it has been issued up to now:
    /// "log out everywhere". Returns how many sessions were open.
    ///
    /// A login afterwards is good at once.
    ///
    /// # Errors
    ///
    /// As [`end`](Self::end).
    pub async fn end_all(&self, sub: &str) -> Result<usize, SessionError> {
        let (this, sub) = (self.clone(), sub.to_owned());
        let work = async move {
            let open = this.end_all_in(SessionTarget::Subject(&sub)).await?;
            // After the sessions have ended: a refresh on the way is not after the cut-off.
            let tokens = &this.inner.tokens;
            tokens
                .record_all(&[tokens.subject_revocation(&sub)])
                .await?;
            Ok(open)
        };
        to_the_end(work).await?
    }

    async fn end_one(&self, sid: &str, sub: Option<&str>) -> Result<bool, SessionError> {
        if jti::stamp_of(sid).is_none() {
            // Nobody's; and some databases take no text with a NUL, which is no outage.
            return Ok(false);
        }
        let (this, sid, sub) = (self.clone(), sid.to_owned(), sub.map(str::to_owned));
        let work = async move {
            let target = match &sub {
                Some(subject) => SessionTarget::SessionOf {
                    session: &sid,
                    subject,
                },
                None => SessionTarget::Session(&sid),
            };
            this.end_all_in(target).await
        };
        Ok(to_the_end(work).await?? > 0)
    }

    /// Ends the rows, revokes their access tokens, and tells; returns how many were open.
    pub(super) async fn end_all_in(
        &self,
        target: SessionTarget<'_>,
    ) -> Result<usize, SessionError> {
        let now = self.inner.tokens.stamp();
        let end = EndSessions {
            target,
            reason: EndReason::Revoked,
            now,
            told_since: self.told_since(now),
        };
        let ended = self.inner.store.end(end).await?;
        self.revoke(&ended).await?;
        let open = ended.iter().filter(|session| session.ended_at == now);
        Ok(open
            .inspect(|session| self.tell_end(session, EndReason::Revoked))
            .count())
    }

    /// Revokes the access tokens of sessions that have ended, and tells of their end.
    pub(super) async fn after_end(
        &self,
        ended: &[EndedSession],
        reason: EndReason,
    ) -> Result<(), StoreError> {
        let revoked = self.revoke(ended).await;
        for session in ended {
            self.tell_end(session, reason);
        }
        revoked
    }

    /// Revokes the access tokens of sessions that have ended. A failure is told as an event too.
    pub(super) async fn revoke(&self, ended: &[EndedSession]) -> Result<(), StoreError> {
        let tokens = &self.inner.tokens;
        let revocations: Vec<_> = ended
            .iter()
            .map(|session| tokens.session_revocation(&session.id))
            .collect();
        let revoked = tokens.record_all(&revocations).await;
        if revoked.is_err() {
            for EndedSession {
                id: session,
                subject,
                ..
            } in ended
            {
                let event = AuthEvent::RevocationFailed { subject, session };
                self.inner.events.tell(&event);
            }
        }
        revoked
    }

    /// Since when sessions may have ended whose access tokens are not known to be revoked.
    pub(super) fn told_since(&self, now: u64) -> u64 {
        let longest = self.inner.tokens.longest_access_ttl() + CLOCKS_DIFFER;
        now.saturating_sub(as_micros(longest))
    }

    fn tell_end(&self, ended: &EndedSession, reason: EndReason) {
        self.inner.events.tell(&AuthEvent::SessionEnded {
            subject: &ended.subject,
            session: &ended.id,
            reason,
        });
    }
}
