//! Ending sessions: one, all but one, or all of a subject.

use std::time::Duration;

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use crate::clock::as_micros;
use crate::event::SessionEvent;
use crate::jti;
use crate::session::{EndReason, EndSessions, EndedSession, SessionTarget};
use crate::store::StoreError;

/// How long ago a session may have ended for its access tokens to be revoked once more, in
/// addition to their longest lifetime, because clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(600);

/// The most sessions that are ended by one call to the store, each of which has its own timeout.
const AT_ONCE: u32 = 500;

// === impl Sessions ===

/// Methods that end sessions.
///
/// Each of them runs to its end even if the request that called it is dropped. After an error,
/// call it again: it does what is left to do, and nothing twice. When it returns `Ok`, the access
/// tokens of the sessions are refused if the issuer has a revocation store. Without one, they stay
/// valid until they expire.
impl Sessions {
    /// Ends a session and revokes its access tokens: "log out here". Returns whether the session
    /// was open.
    ///
    /// # Security
    ///
    /// Use it with the [`session_id`](crate::VerifiedToken::session_id) of a verified token, or for
    /// an administrator. An id that a user sends may belong to somebody else: use
    /// [`end_owned_by`](Self::end_owned_by).
    ///
    /// # Errors
    ///
    /// [`Unavailable`](SessionErrorKind::Unavailable): the session store or the revocation store is
    /// unavailable. Calling again is safe.
    pub async fn end(&self, sid: &str) -> Result<bool, SessionError> {
        self.end_one(sid, None, true).await
    }

    /// Ends a session if it belongs to this subject, and revokes its access tokens: "log out that
    /// device". Returns whether the session was open and belonged to the subject.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`end`](Self::end).
    pub async fn end_owned_by(&self, sub: &str, sid: &str) -> Result<bool, SessionError> {
        self.end_one(sid, Some(sub), false).await
    }

    /// Ends the session that a refresh token belongs to, for a client that logs out when its access
    /// token has expired. Returns whether the session was open. An invalid token ends nothing and
    /// is not an error (RFC 7009 section 2.2).
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`end`](Self::end).
    pub async fn end_by_token(&self, refresh_token: &str) -> Result<bool, SessionError> {
        match self.verify_any_age(refresh_token).await {
            Ok(token) => {
                self.end_one(&token.session, Some(&token.subject), true)
                    .await
            }
            Err(error) if *error.kind() == SessionErrorKind::Unavailable => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Ends every session of a subject except `sid`, and revokes their access tokens: "log out my
    /// other devices". Returns how many sessions were open.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`end`](Self::end).
    pub async fn end_others(&self, sub: &str, sid: &str) -> Result<usize, SessionError> {
        if !can_be_stored(sub) {
            return Ok(0);
        }
        let sid = if can_be_stored(sid) { sid } else { "" };
        let (this, sub, sid) = (self.clone(), sub.to_owned(), sid.to_owned());
        self.whole(async move {
            let target = SessionTarget::OthersOf {
                session: &sid,
                subject: &sub,
            };
            this.end_all_in(target).await
        })
        .await
    }

    /// Ends every session of a subject, and revokes every token that was issued to it up to now:
    /// "log out everywhere". Returns how many sessions were open.
    ///
    /// The subject can log in again at once. If the clock of the node that handles the login is behind the
    /// clock of the node that ended the sessions, the new session is dated after the logout. If it is behind
    /// by more than 25 seconds, or by more than a shorter leeway, the login fails with a 503.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`end`](Self::end).
    pub async fn end_all(&self, sub: &str) -> Result<usize, SessionError> {
        if !can_be_stored(sub) {
            return Ok(0);
        }
        let (this, sub) = (self.clone(), sub.to_owned());
        self.whole(async move {
            let tokens = &this.inner.tokens;
            let cut_off = async || tokens.record_all(&[tokens.subject_revocation(&sub)]).await;
            // However long the rest takes, and whether or not it succeeds, nothing issued until now
            // is valid any more.
            cut_off().await?;
            let open = this.end_all_in(SessionTarget::Subject(&sub)).await?;
            // After the sessions have ended, so that the tokens of a refresh that was in progress
            // are not issued after the cut-off.
            cut_off().await?;
            Ok(open)
        })
        .await
    }

    /// Ends one session. With `revoke_anyway`, the caller has proof that the session is the
    /// subject's: its access tokens are then revoked even if the store knows no such session.
    async fn end_one(
        &self,
        sid: &str,
        sub: Option<&str>,
        revoke_anyway: bool,
    ) -> Result<bool, SessionError> {
        if jti::stamp_of(sid).is_none() {
            // No session has such an id. Some databases refuse text that contains a NUL, which is not an
            // outage.
            return Ok(false);
        }
        let (this, sid, sub) = (self.clone(), sid.to_owned(), sub.map(str::to_owned));
        self.whole(async move {
            let target = match &sub {
                Some(subject) => SessionTarget::SessionOf {
                    session: &sid,
                    subject,
                },
                None => SessionTarget::Session(&sid),
            };
            let is_open = this.end_all_in(target).await? > 0;
            if revoke_anyway && !is_open {
                // The store may have lost it, or it ended long ago.
                let ended = EndedSession::new(&*sid, sub.unwrap_or_default(), 0);
                this.revoke(&[ended]).await?;
            }
            Ok(is_open)
        })
        .await
    }

    /// Ends the rows, revokes their access tokens, and reports the events. Returns how many were
    /// open.
    pub(super) async fn end_all_in(
        &self,
        target: SessionTarget<'_>,
    ) -> Result<usize, SessionError> {
        let mut open = 0;
        loop {
            let now = self.inner.tokens.stamp();
            let end = EndSessions {
                target,
                reason: EndReason::Revoked,
                now,
                ended_since: self.ended_since(now),
                limit: AT_ONCE,
            };
            let ended = self.inner.store.end(end).await?;
            self.revoke(&ended).await?;
            let fresh = ended.iter().filter(|session| session.ended_at == now);
            let fresh = fresh
                .inspect(|session| self.tell_end(session, EndReason::Revoked))
                .count();
            open += fresh;
            if fresh == 0 || ended.len() < AT_ONCE as usize {
                return Ok(open);
            }
        }
    }

    /// Revokes the access tokens of sessions that have ended, and reports their end.
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

    /// Revokes the access tokens of sessions that have ended. A failure is also reported as an
    /// event.
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
                let event = SessionEvent::RevocationFailed { subject, session };
                self.inner.events.tell(&event);
            }
        }
        revoked
    }

    /// The time from which sessions may have ended without their access tokens being revoked.
    pub(super) fn ended_since(&self, now: u64) -> u64 {
        let longest = self.inner.tokens.max_access_ttl() + CLOCKS_DIFFER;
        now.saturating_sub(as_micros(longest))
    }

    fn tell_end(&self, ended: &EndedSession, reason: EndReason) {
        self.inner.events.tell(&SessionEvent::SessionEnded {
            subject: &ended.subject,
            session: &ended.id,
            reason,
        });
    }
}

/// Whether every database can store the text: PostgreSQL refuses a NUL.
pub(super) fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
}
