//! What is known of one session: [`SessionRecord`] in a store, [`Session`] for its owner.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One session, as a store keeps it: plain columns. Times are microseconds since the Unix epoch.
///
/// It holds no token: the refresh token is made anew from these columns whenever it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's id (`sid`): the primary key. 128 random bits.
    pub id: String,
    /// Whose session it is (`sub`).
    pub subject: String,
    /// Which refresh token is the current one; grows by one at each rotation.
    pub generation: u64,
    /// The generation before the last rotation.
    pub previous_generation: u64,
    /// The `jti` of the current refresh token.
    pub token_id: String,
    /// Whether a token of the current generation has been seen in use.
    pub acknowledged: bool,
    /// When the session was opened.
    pub created_at: u64,
    /// When the current generation began.
    pub rotated_at: u64,
    /// When the current refresh token was last given to a client that did not have it: at the
    /// rotation, or when a lost response was given again.
    pub last_used_at: u64,
    /// For how long it may stay unused.
    pub idle_ttl: u64,
    /// When it ends, however much it is used.
    pub expires_at: u64,
    /// When it was ended before its time.
    pub ended_at: Option<u64>,
    /// Why it was ended.
    pub end_reason: Option<EndReason>,
    /// What its owner knows it by, such as the name of a device.
    pub label: Option<String>,
    /// What its access tokens say: a JSON object, opaque to the store.
    pub payload: String,
}

/// A session, as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// The session's id (`sid`).
    pub id: String,
    /// Whose session it is (`sub`).
    pub subject: String,
    /// What its owner knows it by.
    pub label: Option<String>,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it was last refreshed.
    pub last_used_at: SystemTime,
    /// When it ends, however much it is used.
    pub expires_at: SystemTime,
}

/// Why a session was ended before its time; the names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// An older refresh token was used: it, or the current one, was stolen.
    ReuseDetected,
    /// Its owner, or somebody in their name, ended it.
    Revoked,
    /// A newer session took its place under the [limit](super::SessionLimit).
    Replaced,
}

// === impl SessionRecord ===

impl SessionRecord {
    /// A record for tests and for stores, all of whose fields can then be set.
    #[must_use]
    pub fn new(id: impl Into<String>, subject: impl Into<String>, now: u64) -> Self {
        Self {
            id: id.into(),
            subject: subject.into(),
            generation: 0,
            previous_generation: 0,
            token_id: String::new(),
            acknowledged: false,
            created_at: now,
            rotated_at: now,
            last_used_at: now,
            idle_ttl: 0,
            expires_at: now,
            ended_at: None,
            end_reason: None,
            label: None,
            payload: "{}".to_owned(),
        }
    }

    /// Whether it may be used at `now`: not ended, not idle for too long, not past its end.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        self.ended_at.is_none() && now < self.expires_at && !self.is_idle(now)
    }

    /// Whether it has been unused for too long at `now`.
    #[must_use]
    pub fn is_idle(&self, now: u64) -> bool {
        now >= self.last_used_at.saturating_add(self.idle_ttl)
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
        }
    }
}

// === impl EndReason ===

impl EndReason {
    /// The name that is stored and told.
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

/// A text that names no [`EndReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEndReason;

impl fmt::Display for UnknownEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text names no reason for the end of a session")
    }
}

impl std::error::Error for UnknownEndReason {}
