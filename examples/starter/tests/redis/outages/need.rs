//! [`Need`]: what the service depends on; [`Fault`]: how it can be out of order.

use std::time::Duration;

use crate::support::proxy::Passage;

/// A delay that is within every time limit of the service.
const SLOW: Duration = Duration::from_millis(20);

/// What the service depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Postgres,
    Sqlite,
    Redis,
    MailServer,
    SmsGateway, // chapter: sms
    Storage,    // chapter: avatars
    Breached,
}

/// How a dependency is out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Connections are refused.
    Down,
    /// Connections are accepted, and nothing is ever answered.
    Silent,
    /// It answers late, but within the time limits.
    Slow,
    /// It can be read and not be written to.
    ReadOnly,
    /// Another program holds the lock for writing.
    Locked,
    /// It answers with bytes that mean nothing.
    Garbage,
    /// It answers with an error of its own, or with a page of something else.
    Error,
}

// === impl Need ===

impl Need {
    pub(super) const ALL: &'static [Self] = &[
        Self::Postgres,
        Self::Sqlite,
        Self::Redis,
        Self::MailServer,
        Self::SmsGateway, // chapter: sms
        Self::Storage,    // chapter: avatars
        Self::Breached,
    ];

    /// Returns the heading in the documentation.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
            Self::Redis => "Redis",
            Self::MailServer => "Mail server",
            Self::SmsGateway => "SMS gateway",     // chapter: sms
            Self::Storage => "Storage in a cloud", // chapter: avatars
            Self::Breached => "List of breached passwords",
        }
    }

    /// Returns its faults. Each group is for a service of its own, so that the long time limits of one fault
    /// pass while others are tried.
    pub(super) fn faults(self) -> &'static [&'static [Fault]] {
        use Fault::{Down, Error, Garbage, Locked, ReadOnly, Silent, Slow};
        match self {
            Self::Postgres => &[&[Silent], &[Garbage], &[Down, Slow, ReadOnly]],
            Self::Sqlite => &[&[Locked, ReadOnly]],
            Self::Redis => &[&[Down, Slow, ReadOnly], &[Silent, Garbage]],
            Self::MailServer => &[&[Silent], &[Slow, Down, Garbage, Error]],
            Self::SmsGateway => &[&[Slow, Down, Garbage, Error], &[Silent]], // chapter: sms
            Self::Storage => &[&[Down, Slow, ReadOnly], &[Silent, Garbage, Error]], // chapter: avatars
            Self::Breached => &[&[Down, Slow, Silent, Garbage, Error]],
        }
    }
}

// === impl Fault ===

impl Fault {
    /// All faults, in the order in which the table names them.
    pub(super) const ALL: [Self; 7] = [
        Self::Down,
        Self::Silent,
        Self::Slow,
        Self::ReadOnly,
        Self::Locked,
        Self::Garbage,
        Self::Error,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::ReadOnly => "read-only",
            Self::Locked => "locked",
            Self::Garbage => "garbage",
            Self::Error => "error",
        }
    }

    /// Returns what the proxy does, if it makes this fault.
    pub(super) fn passage(self, need: Need) -> Option<Passage> {
        match self {
            Self::Down => Some(Passage::Refused),
            Self::Silent => Some(match need {
                // The machine is gone, and another one takes its place: see `Passage`.
                Need::Postgres | Need::Redis => Passage::Dead,
                _ => Passage::Silent,
            }),
            Self::Slow => Some(Passage::Late(SLOW)),
            Self::Garbage => Some(Passage::Garbled),
            Self::ReadOnly | Self::Locked | Self::Error => None,
        }
    }

    /// Returns whether the data can still be read directly, but not be written.
    pub(super) fn forbids_writing(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Locked)
    }
}
