//! The state machine of a rotation: a step on a record, and what the record then says of it.

use super::record::{EndReason, SessionRecord};

/// A rotation that is asked for. Times are microseconds since the Unix epoch.
///
/// A store carries out [`apply`](Self::apply), or its translation into one statement or
/// script, as one atomic step, and returns the record as it is afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The session that the token names.
    pub session: String,
    /// The generation that the token names.
    pub generation: u64,
    /// The `jti` of the next refresh token; it is unique to this call.
    pub token_id: String,
    /// The present time.
    pub now: u64,
    /// For how long the last generation is taken for a concurrent request.
    pub grace: u64,
    /// For how long the last generation is taken for one whose answer was lost, as long as the
    /// current one has not been seen in use.
    pub lost_response: u64,
}

/// What a rotation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The session moved on to the next generation.
    Rotated {
        /// The token was one generation ahead of the record: the store has lost a write.
        rewound: bool,
    },
    /// The session had moved on already; the current refresh token is given out again.
    Converged(Converged),
    /// The store has no such session.
    Unknown,
    /// The session was ended before.
    Ended(EndReason),
    /// The session was unused for too long.
    Idle,
    /// The session is past its end.
    Expired,
    /// The token is of an older generation: the session has just been ended for it.
    ReuseDetected,
    /// The token is further ahead of the record than one lost write can explain.
    StoreRewound,
}

/// Why a token of the last generation was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Converged {
    /// Two requests came at once, or nearly.
    Concurrent,
    /// The answer to an earlier request did not arrive.
    LostResponse,
}

// === impl Rotation ===

impl Rotation {
    /// A rotation for tests of a store.
    #[must_use]
    pub fn new(
        session: impl Into<String>,
        generation: u64,
        token_id: impl Into<String>,
        now: u64,
    ) -> Self {
        Self {
            session: session.into(),
            generation,
            token_id: token_id.into(),
            now,
            grace: 10_000_000,
            lost_response: 900_000_000,
        }
    }

    /// The step. Whoever holds the record must hold it alone.
    ///
    /// | record's generation minus the token's | what happens |
    /// |---|---|
    /// | less than -1 | nothing |
    /// | -1 or 0 | moves on, to the generation after the token's |
    /// | 1, unacknowledged, and at most `lost_response` after `rotated_at` | `last_used_at` is now |
    /// | 1, at most `grace` after `last_used_at` | nothing |
    /// | 1 otherwise, or more | ends |
    ///
    /// A session that is not live at `now` stays as it is.
    ///
    /// The grace counts from when the current token was last given to a client that may not
    /// have had it, and not from the rotation: a client whose answer was lost may come back in
    /// two tabs. It does not prolong itself, so an older token is good for `lost_response` and
    /// one `grace` at the very most.
    pub fn apply(&self, record: &mut SessionRecord) {
        if !record.is_live(self.now) {
            return;
        }
        match self.generation.checked_sub(record.generation) {
            Some(0 | 1) => {
                record.previous_generation = record.generation;
                record.generation = self.generation + 1;
                record.token_id.clone_from(&self.token_id);
                record.acknowledged = false;
                record.rotated_at = self.now;
                record.last_used_at = self.now;
            }
            Some(_) => {}
            None if record.generation - self.generation == 1 && self.may_be_lost(record) => {
                record.last_used_at = self.now;
            }
            None if record.generation - self.generation == 1 && self.is_concurrent(record) => {}
            None => {
                record.ended_at = Some(self.now);
                record.end_reason = Some(EndReason::ReuseDetected);
            }
        }
    }

    /// What the step came to, told from the record as it is afterwards.
    #[must_use]
    pub fn outcome(&self, after: Option<&SessionRecord>) -> RotationOutcome {
        let Some(record) = after else {
            return RotationOutcome::Unknown;
        };
        match (record.ended_at, record.end_reason) {
            (Some(at), Some(EndReason::ReuseDetected)) if at == self.now => {
                return RotationOutcome::ReuseDetected;
            }
            (Some(_), reason) => {
                return RotationOutcome::Ended(reason.unwrap_or(EndReason::Revoked));
            }
            (None, _) => {}
        }
        if record.token_id == self.token_id {
            let rewound = record.previous_generation != self.generation;
            return RotationOutcome::Rotated { rewound };
        }
        if self.now >= record.expires_at {
            return RotationOutcome::Expired;
        }
        if record.is_idle(self.now) {
            return RotationOutcome::Idle;
        }
        if record.generation < self.generation {
            return RotationOutcome::StoreRewound;
        }
        let at_once = self.now.saturating_sub(record.rotated_at) <= self.grace;
        RotationOutcome::Converged(if at_once || record.last_used_at != self.now {
            Converged::Concurrent
        } else {
            Converged::LostResponse
        })
    }

    /// Whether nobody may have got the current refresh token yet.
    fn may_be_lost(&self, record: &SessionRecord) -> bool {
        let age = self.now.saturating_sub(record.rotated_at);
        !record.acknowledged && age <= self.lost_response
    }

    fn is_concurrent(&self, record: &SessionRecord) -> bool {
        self.now.saturating_sub(record.last_used_at) <= self.grace
    }
}
