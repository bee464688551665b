//! The state machine of a rotation: one step on a record, and the outcome read from that record.

use std::fmt;

use super::record::{EndReason, SessionRecord};
use crate::jti::Digest;

/// A request to rotate the refresh token of a session. Times and durations are in microseconds;
/// times count from the Unix epoch.
///
/// A store carries out [`apply`](Self::apply), or its translation into one statement or
/// script, as one atomic step, and returns the record as it is afterwards.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The id of the session that the refresh token names.
    pub session: String,
    /// The generation that the refresh token names.
    pub generation: u64,
    /// The `jti` of the next refresh token. It is unique to this call.
    pub token_id: String,
    /// The current time.
    pub now: u64,
    /// How long a token of the previous generation counts as a concurrent request.
    pub grace: u64,
    /// How long a token of the previous generation counts as a lost response, in a session that was
    /// never acknowledged.
    pub lost_response_grace: u64,
    /// The number of generations in a row with a lost response at which the session ends.
    pub max_lost_responses: u32,
    /// A digest of the mark of the requesting client, or `None` if it set no mark.
    pub client: Option<String>,
}

/// The result of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The session moved on to the next generation.
    Rotated {
        /// Whether the token was one generation ahead of the record: the store has lost a write.
        rewound: bool,
    },
    /// The session had already moved on. The current refresh token is returned again.
    Converged(Converged),
    /// The store has no such session.
    Unknown,
    /// The session had already ended.
    Ended(EndReason),
    /// The session was not refreshed within its idle timeout.
    Idle,
    /// The session is past its absolute expiry.
    Expired,
    /// The token is of an older generation, so the session was ended.
    ReuseDetected,
    /// The token is two or more generations old, but the request was made before the last rotation:
    /// the store was slow to carry it out, or the node's clock is behind. Nothing has changed.
    Delayed,
    /// The token is newer than the record, by more than one lost write can explain.
    StoreRewound,
}

/// The reason why a token of the previous generation was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Converged {
    /// Two requests came at the same time, or nearly so.
    Concurrent,
    /// The response to an earlier request did not reach the client.
    LostResponse,
}

/// What a rotation does to a live record.
enum Step {
    Advance,
    Converge(Converged),
    EndAsReuse,
    Nothing,
}

// === impl Rotation ===

impl Rotation {
    /// Creates a rotation for tests of a store: with a grace of 10 seconds, 60 seconds for a lost
    /// response, and an end after 5 lost responses in a row.
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
            lost_response_grace: 60_000_000,
            max_lost_responses: 5,
            client: None,
        }
    }

    /// Carries out the step. The caller must hold the record exclusively.
    ///
    /// A session that is not live at `now` stays as it is. Otherwise the result depends on `d`, the
    /// record's generation minus the token's:
    ///
    /// | `d` | Condition | Result |
    /// |---|---|---|
    /// | less than -1 | | nothing |
    /// | -1 or 0 | | the session advances to the generation after the token's |
    /// | 1 | the record has a `client`, and this call has another one or none | the session ends as reuse |
    /// | 1 | at most `grace` after `rotated_at` | converges as concurrent |
    /// | 1 | the generation is not acknowledged, and either an earlier one was or `rotated_at` is at most `lost_response_grace` ago | converges as a lost response; if that makes `max_lost_responses` in a row, the session ends as reuse instead |
    /// | 1 | at most `grace` after `last_used_at` | converges as concurrent |
    /// | 1 | otherwise | the session ends as reuse |
    /// | more than 1 | `now` is before `rotated_at` | nothing: the request was held up |
    /// | more than 1 | otherwise | the session ends as reuse |
    ///
    /// A convergence while the generation is not acknowledged sets `last_used_at`, from which the
    /// second grace counts: a client whose response was lost may retry in two tabs, of which one is
    /// quicker. A grace does not prolong itself, because a convergence of an acknowledged
    /// generation leaves `last_used_at` as it is.
    pub fn apply(&self, record: &mut SessionRecord) {
        match self.step(record) {
            Step::Nothing => {}
            Step::Advance => {
                if record.converged.is_none() {
                    record.convergences = 0;
                }
                if record.converged != Some(Converged::LostResponse) {
                    record.lost_responses = 0;
                }
                record.converged = None;
                record.previous_generation = record.generation;
                record.generation = self.generation.saturating_add(1);
                record.token_id.clone_from(&self.token_id);
                record.rotated_at = self.now;
                record.last_used_at = self.now;
                record.client.clone_from(&self.client);
            }
            Step::Converge(kind) => {
                record.convergences = convergences_with(record);
                if kind == Converged::LostResponse {
                    record.lost_responses = lost_responses_with(record);
                }
                record.converged = record.converged.max(Some(kind));
                if !record.is_acknowledged() {
                    record.last_used_at = record.last_used_at.max(self.now);
                }
            }
            Step::EndAsReuse => {
                record.ended_at = Some(self.now);
                record.end_reason = Some(EndReason::ReuseDetected);
            }
        }
    }

    fn step(&self, record: &SessionRecord) -> Step {
        if !record.is_live(self.now) {
            return Step::Nothing;
        }
        match self.generation.checked_sub(record.generation) {
            Some(0 | 1) => Step::Advance,
            Some(_) => Step::Nothing,
            None if record.generation - self.generation == 1 => self.previous_generation(record),
            None if self.now < record.rotated_at => Step::Nothing,
            None => Step::EndAsReuse,
        }
    }

    /// Decides the step for a token that was replaced by the current one.
    fn previous_generation(&self, record: &SessionRecord) -> Step {
        if record.client.is_some() && record.client != self.client {
            return Step::EndAsReuse;
        }
        let since_rotation = self.now.saturating_sub(record.rotated_at);
        if since_rotation <= self.grace {
            return Step::Converge(Converged::Concurrent);
        }
        let acknowledgements_arrive = record.acknowledged.is_some();
        let may_be_lost = !record.is_acknowledged()
            && (acknowledgements_arrive || since_rotation <= self.lost_response_grace);
        if may_be_lost {
            return if lost_responses_with(record) < self.max_lost_responses {
                Step::Converge(Converged::LostResponse)
            } else {
                Step::EndAsReuse
            };
        }
        if self.now.saturating_sub(record.last_used_at) <= self.grace {
            return Step::Converge(Converged::Concurrent);
        }
        Step::EndAsReuse
    }

    /// Reads the outcome of the step from the record as it is afterwards.
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
        if record.generation - self.generation > 1 {
            return RotationOutcome::Delayed;
        }
        let at_once = self.now.saturating_sub(record.rotated_at) <= self.grace;
        RotationOutcome::Converged(if at_once || record.last_used_at != self.now {
            Converged::Concurrent
        } else {
            Converged::LostResponse
        })
    }
}

/// The length of the run of converged generations, once the current one has converged.
fn convergences_with(record: &SessionRecord) -> u32 {
    let is_first = record.converged.is_none();
    record.convergences.saturating_add(u32::from(is_first))
}

/// The length of the run of generations with a lost response, once the current one has had one.
fn lost_responses_with(record: &SessionRecord) -> u32 {
    let is_first = record.converged != Some(Converged::LostResponse);
    record.lost_responses.saturating_add(u32::from(is_first))
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("session", &Digest(&self.session))
            .field("generation", &self.generation)
            .field("token_id", &Digest(&self.token_id))
            .field("now", &self.now)
            .field("grace", &self.grace)
            .field("lost_response_grace", &self.lost_response_grace)
            .field("max_lost_responses", &self.max_lost_responses)
            .field("client", &self.client.as_deref().map(Digest))
            .finish()
    }
}

// === impl Converged ===

impl Converged {
    /// Returns the name of the reason, for events and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::LostResponse => "lost_response",
        }
    }

    /// Returns the number that a store keeps: 0 for `None`, 1 for `Concurrent`, 2 for
    /// `LostResponse`.
    #[must_use]
    pub const fn number(converged: Option<Self>) -> u8 {
        match converged {
            None => 0,
            Some(Self::Concurrent) => 1,
            Some(Self::LostResponse) => 2,
        }
    }

    /// Reads the number that a store keeps. An unknown number, which a later version may have
    /// written, counts as a lost response, which is the stricter reading.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::Concurrent),
            _ => Some(Self::LostResponse),
        }
    }
}

impl fmt::Display for Converged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
