//! The data of one session: [`SessionRecord`] in a store, [`Session`] for its owner.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::rotation::Converged;
use crate::jti::Digest;

/// One session, as a store keeps it: plain columns. Times and durations are in microseconds; times
/// count from the Unix epoch.
///
/// It contains no token: the refresh token is made again from these columns when it is needed.
/// `Debug` shows a digest in place of the id, and neither the subject nor the payload.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session id (`sid`), which is the primary key.
    pub id: String,
    /// The subject (`sub`) that the session belongs to.
    pub subject: String,
    /// The number of the current refresh token. Each rotation adds one.
    pub generation: u64,
    /// The generation before the last rotation.
    pub previous_generation: u64,
    /// The `jti` of the current refresh token.
    pub token_id: String,
    /// The latest generation of which an access token was seen in use, or `None` if no such report
    /// has ever arrived for this session.
    pub acknowledged: Option<u64>,
    /// The time at which the session was opened.
    pub created_at: u64,
    /// The time at which the current generation began.
    pub rotated_at: u64,
    /// The time at which the current refresh token was last given to a client that may not have
    /// had it: the time of the rotation, or of a later convergence while the generation was not
    /// acknowledged.
    pub last_used_at: u64,
    /// The idle timeout: a session that is not refreshed for this long is over.
    pub idle_ttl: u64,
    /// The absolute expiry, regardless of use.
    pub expires_at: u64,
    /// The time at which the session was ended early, or `None` if it was not.
    pub ended_at: Option<u64>,
    /// The reason why the session was ended early, or `None` if it was not.
    pub end_reason: Option<EndReason>,
    /// A digest of the mark of the client that made the last rotation, or `None` if it set no mark.
    pub client: Option<String>,
    /// The thumbprint (RFC 7638) of the key that the session is bound to, or `None` if it is not bound.
    pub key_thumbprint: Option<String>,
    /// How the current generation has converged so far, or `None` if it has not. If it has
    /// converged in both ways, this is [`Converged::LostResponse`].
    pub converged: Option<Converged>,
    /// The number of generations in a row, up to the current one, in which a token converged.
    pub convergences: u32,
    /// The number of generations in a row, up to the current one, in which a token converged
    /// as a [lost response](Converged::LostResponse).
    pub lost_responses: u32,
    /// A name for the owner's list, such as the name of a device.
    pub label: Option<String>,
    /// The claims and scopes of the access tokens: a JSON object, opaque to the store.
    pub payload: String,
}

/// A session, as its owner may see it.
///
/// As JSON it has the members `id`, `label`, `created_at`, `last_used_at`, `expires_at` and `is_bound`.
/// Times are whole seconds since the Unix epoch, as in tokens. The JSON leaves the subject out.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Session {
    /// The session id (`sid`).
    pub id: String,
    /// The subject (`sub`) that the session belongs to.
    #[serde(skip)]
    pub subject: String,
    /// The name that the session was opened with.
    pub label: Option<String>,
    /// The time at which the session was opened.
    #[serde(serialize_with = "as_seconds")]
    pub created_at: SystemTime,
    /// The time of the last refresh.
    #[serde(serialize_with = "as_seconds")]
    pub last_used_at: SystemTime,
    /// The absolute expiry, regardless of use.
    #[serde(serialize_with = "as_seconds")]
    pub expires_at: SystemTime,
    /// Whether the session is bound to a key of its client, so that its tokens are worthless without proofs
    /// by that key (DPoP, RFC 9449).
    pub is_bound: bool,
}

/// A session that a store has ended.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSession {
    /// The session id (`sid`).
    pub id: String,
    /// The subject (`sub`) that the session belonged to.
    pub subject: String,
    /// The time at which the session was ended, in microseconds since the Unix epoch.
    pub ended_at: u64,
}

/// The reason why a session was ended early. Its [name](Self::as_str) is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// A replaced refresh token was used again: it, or its successor, was stolen.
    ReuseDetected,
    /// The owner, or somebody on their behalf, ended the session.
    Revoked,
    /// A newer session took its place under the [limit](super::SessionLimit).
    Replaced,
}

// === impl SessionRecord ===

impl SessionRecord {
    /// Creates a record for stores and their tests. Every field can be set afterwards.
    #[must_use]
    pub fn new(id: impl Into<String>, subject: impl Into<String>, now: u64) -> Self {
        Self {
            id: id.into(),
            subject: subject.into(),
            generation: 0,
            previous_generation: 0,
            token_id: String::new(),
            acknowledged: None,
            created_at: now,
            rotated_at: now,
            last_used_at: now,
            idle_ttl: 0,
            expires_at: now,
            ended_at: None,
            end_reason: None,
            client: None,
            key_thumbprint: None,
            converged: None,
            convergences: 0,
            lost_responses: 0,
            label: None,
            payload: "{}".to_owned(),
        }
    }

    /// Returns whether the session may be used at `now`: it has not ended, expired, or been idle
    /// for too long.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        self.ended_at.is_none() && now < self.expires_at && !self.is_idle(now)
    }

    /// Returns whether the idle timeout has passed at `now`.
    #[must_use]
    pub fn is_idle(&self, now: u64) -> bool {
        now >= self.last_used_at.saturating_add(self.idle_ttl)
    }

    /// Returns whether an access token of the current generation has been seen in use.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged == Some(self.generation)
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("id", &Digest(&self.id))
            .field("generation", &self.generation)
            .field("previous_generation", &self.previous_generation)
            .field("token_id", &Digest(&self.token_id))
            .field("acknowledged", &self.acknowledged)
            .field("created_at", &self.created_at)
            .field("rotated_at", &self.rotated_at)
            .field("last_used_at", &self.last_used_at)
            .field("idle_ttl", &self.idle_ttl)
            .field("expires_at", &self.expires_at)
            .field("ended_at", &self.ended_at)
            .field("end_reason", &self.end_reason)
            .field("client", &self.client.as_deref().map(Digest))
            .field("key_thumbprint", &self.key_thumbprint)
            .field("converged", &self.converged)
            .field("convergences", &self.convergences)
            .field("lost_responses", &self.lost_responses)
            .finish_non_exhaustive()
    }
}

impl From<&SessionRecord> for Session {
    fn from(record: &SessionRecord) -> Self {
        let time = |micros| UNIX_EPOCH + Duration::from_micros(micros);
        Self {
            id: record.id.clone(),
            subject: record.subject.clone(),
            label: record.label.clone(),
            created_at: time(record.created_at),
            last_used_at: time(record.last_used_at),
            expires_at: time(record.expires_at),
            is_bound: record.key_thumbprint.is_some(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &Digest(&self.id))
            .field("created_at", &self.created_at)
            .field("last_used_at", &self.last_used_at)
            .field("expires_at", &self.expires_at)
            .field("is_bound", &self.is_bound)
            .finish_non_exhaustive()
    }
}

fn as_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(crate::clock::unix_micros(*time) / 1_000_000)
}

// === impl EndedSession ===

impl EndedSession {
    /// Creates what a store returns for a session that it has ended.
    #[must_use]
    pub fn new(id: impl Into<String>, subject: impl Into<String>, ended_at: u64) -> Self {
        Self {
            id: id.into(),
            subject: subject.into(),
            ended_at,
        }
    }
}

impl fmt::Debug for EndedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndedSession")
            .field("id", &Digest(&self.id))
            .field("ended_at", &self.ended_at)
            .finish_non_exhaustive()
    }
}

// === impl EndReason ===

impl EndReason {
    /// Returns the name of the reason, as stores keep it and logs show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReuseDetected => "reuse_detected",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndReason {
    type Err = UnknownEndReason;

    fn from_str(name: &str) -> Result<Self, UnknownEndReason> {
        [Self::ReuseDetected, Self::Revoked, Self::Replaced]
            .into_iter()
            .find(|reason| reason.as_str() == name)
            .ok_or(UnknownEndReason)
    }
}

/// The error of parsing a text that is not the name of an [`EndReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEndReason;

impl fmt::Display for UnknownEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown end reason: expected `reuse_detected`, `revoked` or `replaced`")
    }
}

impl std::error::Error for UnknownEndReason {}
