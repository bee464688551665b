//! [`Reason`]: says what exactly is wrong, as a stable code and as a text for the log.

/// A reason that is more precise than the kind of an error.
#[derive(Debug)]
pub(crate) struct Reason {
    /// A stable, lower-case code for metric labels.
    pub(crate) code: &'static str,
    /// A text for the log. It never contains anything that a client sent.
    pub(crate) message: &'static str,
}

/// What an error says in addition to its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said {
    /// A text without a reason code.
    Text(&'static str),
    Reason(&'static Reason),
}

// === impl Said ===

impl From<&'static str> for Said {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl From<&'static Reason> for Said {
    fn from(reason: &'static Reason) -> Self {
        Self::Reason(reason)
    }
}
