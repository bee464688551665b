//! The state machine of a rotation: one step on a record, and what the record then says about it.

use std::fmt;

use super::record::{EndReason, SessionRecord};
use crate::jti::Digest;

/// A rotation that a refresh asks for. Times are microseconds since the Unix epoch.
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
    /// How long the previous generation is taken for a concurrent request.
    pub grace: u64,
    /// How long the previous generation is taken for a client whose response was lost, in a
    /// session for which no acknowledgement has ever arrived.
    pub lost_response: u64,
    /// The number of generations in a row with a lost response at which the session ends.
    pub max_lost_responses: u32,
    /// A digest of the mark of the client that asks, if the caller gave one.
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
    /// The session had moved on already. The current refresh token is given out again.
    Converged(Converged),
    /// The store has no such session.
    Unknown,
    /// The session was ended before.
    Ended(EndReason),
    /// The session was not refreshed within its idle timeout.
    Idle,
    /// The session is past its absolute expiry.
    Expired,
    /// The token is of an older generation, and the session has just been ended for it.
    ReuseDetected,
    /// The token is further ahead of the record than one lost write can explain.
    StoreRewound,
}

/// The reason why a token of the previous generation was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Converged {
    /// Two requests came at once, or nearly.
    Concurrent,
    /// The response to an earlier request did not arrive.
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
    /// Creates a rotation for tests of a store: a grace of 10 seconds, 60 seconds for a lost
    /// response, and an end after 5 of those in a row.
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
            lost_response: 60_000_000,
            max_lost_responses: 5,
            client: None,
        }
    }

    /// Carries out the step. The caller must hold the record exclusively.
    ///
    /// A session that is not live at `now` stays as it is. Otherwise `d`, the record's generation
    /// minus the token's, decides:
    ///
    /// | `d` | and | what happens |
    /// |---|---|---|
    /// | less than -1 | | nothing |
    /// | -1 or 0 | | the session advances to the generation after the token's |
    /// | 1 | the record has a `client`, and this call has another one or none | the session ends as reuse |
    /// | 1 | at most `grace` after `rotated_at` | converges as concurrent |
    /// | 1 | the generation is not acknowledged, and either an earlier one was or `rotated_at` is at most `lost_response` ago | converges as a lost response; if that makes `max_lost_responses` in a row, the session ends as reuse instead |
    /// | 1 | at most `grace` after `last_used_at` | converges as concurrent |
    /// | 1 | otherwise | the session ends as reuse |
    /// | more | | the session ends as reuse |
    ///
    /// An unacknowledged convergence sets `last_used_at`, from which the second grace counts: a
    /// client whose response was lost may come back in two tabs, of which one is quicker. A grace
    /// does not prolong itself, because an acknowledged convergence sets nothing.
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
                record.generation = self.generation + 1;
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
                    record.last_used_at = self.now;
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
            None => Step::EndAsReuse,
        }
    }

    /// The step for a token that was replaced by the current one.
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
            && (acknowledgements_arrive || since_rotation <= self.lost_response);
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

    /// Reads the result of the step from the record as it is afterwards.
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
}

/// The run of generations that converged, once the current one has.
fn convergences_with(record: &SessionRecord) -> u32 {
    let is_first = record.converged.is_none();
    record.convergences.saturating_add(u32::from(is_first))
}

/// The run of generations with a lost response, once the current one has had one.
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
            .field("lost_response", &self.lost_response)
            .field("max_lost_responses", &self.max_lost_responses)
            .field("client", &self.client.as_deref().map(Digest))
            .finish()
    }
}

// === impl Converged ===

impl Converged {
    /// Returns the name for events and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::LostResponse => "lost_response",
        }
    }

    /// Returns the number that a store keeps: 1 or 2, with 0 for "not converged".
    #[must_use]
    pub const fn number(converged: Option<Self>) -> u8 {
        match converged {
            None => 0,
            Some(Self::Concurrent) => 1,
            Some(Self::LostResponse) => 2,
        }
    }

    /// Reads the number that a store keeps. A number that a later version may have written counts
    /// as a lost response, which is the stricter reading.
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
