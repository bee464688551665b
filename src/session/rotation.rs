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
    /// | -1 | moves on to the generation after the token's |
    /// | 0 | moves on |
    /// | 1, within the grace, or unseen and within the time for a lost response | is used |
    /// | 1 otherwise, or more | ends |
    ///
    /// A session that is not live at `now` stays as it is.
    pub fn apply(&self, record: &mut SessionRecord) {
        if !record.is_live(self.now) {
            return;
        }
        let behind = self.generation.checked_sub(record.generation);
        match behind {
            Some(0 | 1) => {
                record.previous_generation = record.generation;
                record.generation = self.generation + 1;
                record.token_id.clone_from(&self.token_id);
                record.acknowledged = false;
                record.rotated_at = self.now;
                record.last_used_at = self.now;
            }
            Some(_) => {}
            None if record.generation == self.generation + 1
                && self.converges(record).is_some() =>
            {
                record.last_used_at = self.now;
            }
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
        RotationOutcome::Converged(self.converges(record).unwrap_or(Converged::Concurrent))
    }

    /// Whether a token of the generation before the record's is still an honest one.
    fn converges(&self, record: &SessionRecord) -> Option<Converged> {
        let age = self.now.saturating_sub(record.rotated_at);
        if age <= self.grace {
            Some(Converged::Concurrent)
        } else if !record.acknowledged && age <= self.lost_response {
            Some(Converged::LostResponse)
        } else {
            None
        }
    }
}
