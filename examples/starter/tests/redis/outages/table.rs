//! The table itself.

/// What the service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Database,
    Redis,
    MailServer,
    Storage, // chapter: avatars
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Connections are refused.
    Down,
    /// It accepts connections and says nothing.
    Silent,
    /// It answers after every time limit.
    TooSlow,
    /// It answers within the time limits.
    Slow,
    /// It can be read, and not be written to.
    ReadOnly,
    /// It answers with bytes that mean nothing.
    Garbage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Request {
    Me,
    MeRevoked,
    MeGarbage,
    Login,
    LoginWrong,
    Refresh,
    RefreshGarbage,
    Logout,
    LogoutAll,
    Register,
    Avatar, // chapter: avatars
    Health,
    Ready,
}

pub(super) const FAULTS: [(Fault, &str); 6] = [
    (Fault::Down, "down"),
    (Fault::Silent, "silent"),
    (Fault::TooSlow, "too slow"),
    (Fault::Slow, "slow"),
    (Fault::ReadOnly, "read-only"),
    (Fault::Garbage, "garbage"),
];

pub(super) const REQUESTS: &[Request] = &[
    Request::Me,
    Request::MeRevoked,
    Request::MeGarbage,
    Request::Login,
    Request::LoginWrong,
    Request::Refresh,
    Request::RefreshGarbage,
    Request::Logout,
    Request::LogoutAll,
    Request::Register,
    Request::Avatar, // chapter: avatars
    Request::Health,
    Request::Ready,
];

/// What the log says of it, whatever is wrong but a little slowness.
pub(super) const LOGGED: &[(Need, &str)] = &[
    (Need::Database, "the database is unavailable"),
    (Need::Redis, "a token could not be judged"),
    (Need::MailServer, "message not sent yet"),
    (Need::Storage, "the storage does not answer"), // chapter: avatars
];

pub(super) const ROWS: &[(Need, Request, [&str; 6])] = &[];

// === impl Need ===

impl Need {
    pub(super) const ALL: &'static [Self] = &[
        Self::Database,
        Self::Redis,
        Self::MailServer,
        Self::Storage, // chapter: avatars
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Redis => "Redis",
            Self::MailServer => "mail server",
            Self::Storage => "storage", // chapter: avatars
        }
    }

    /// Whether this can be wrong with it.
    pub(super) fn can(self, fault: Fault) -> bool {
        fault != Fault::ReadOnly || matches!(self, Self::Database | Self::Redis)
    }
}

// === impl Request ===

impl Request {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Me => "`GET /me`",
            Self::MeRevoked => "`GET /me` with a revoked token",
            Self::MeGarbage => "`GET /me` with an invalid token",
            Self::Login => "`POST /auth/login`",
            Self::LoginWrong => "`POST /auth/login` with a wrong password",
            Self::Refresh => "`POST /auth/refresh`",
            Self::RefreshGarbage => "`POST /auth/refresh` with an invalid token",
            Self::Logout => "`POST /auth/logout`",
            Self::LogoutAll => "`POST /auth/logout-all`",
            Self::Register => "`POST /auth/register`",
            Self::Avatar => "`PUT /me/avatar`", // chapter: avatars
            Self::Health => "`GET /healthz`",
            Self::Ready => "`GET /readyz`",
        }
    }

    /// The status of a request that is the client's mistake, whatever is out of order.
    pub(super) fn is_refused_always(self) -> Option<&'static str> {
        match self {
            Self::MeRevoked | Self::MeGarbage | Self::LoginWrong => Some("401"),
            Self::RefreshGarbage => Some("400"),
            _ => None,
        }
    }
}
