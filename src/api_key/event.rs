//! [`ApiKeyEvent`]: events of API keys, for logs, metrics and notices to the owner.

use std::fmt;
use std::sync::Arc;

use crate::error::AuthErrorKind;
use crate::event::call_hook;
use crate::jti::Digest;

/// An event of an API key that the operator or the owner may want to know about, passed to
/// [`ApiKeysBuilder::on_event`](crate::credential::api_keys::ApiKeysBuilder::on_event).
///
/// It contains the owner and the id of the key, for code that acts on it, but never the key itself. `Debug`,
/// and the log with the feature `tracing`, show a digest of the id, and do not show the owner.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiKeyEvent<'a> {
    /// A key was created.
    Created {
        /// The subject that the key belongs to.
        owner: &'a str,
        /// The id of the key.
        id: &'a str,
    },
    /// A key was revoked.
    Revoked {
        /// The subject that the key belonged to.
        owner: &'a str,
        /// The id of the key.
        id: &'a str,
    },
    /// A key with the right secret was refused, because it has expired or was revoked recently. Either a
    /// program still uses it, or somebody has stolen it. After some time, a revoked key is unknown like any
    /// other, and its use is no longer reported.
    Refused {
        /// The subject that the key belongs to.
        owner: &'a str,
        /// The id of the key.
        id: &'a str,
        /// The reason: [`Expired`](AuthErrorKind::Expired) or [`Revoked`](AuthErrorKind::Revoked).
        kind: AuthErrorKind,
    },
    /// A key was revoked, but the revocation could not be recorded in the revocation store. Other nodes may
    /// accept the key until their [cache period](crate::credential::api_keys::ApiKeysBuilder::cache_for) has
    /// passed.
    RevocationFailed {
        /// The subject that the key belonged to.
        owner: &'a str,
        /// The id of the key.
        id: &'a str,
    },
}

/// The function that receives events. It is called synchronously, so it must not block.
#[derive(Clone, Default)]
pub(crate) struct ApiKeyHook(Option<Arc<Hook>>);

type Hook = dyn Fn(&ApiKeyEvent<'_>) + Send + Sync;

// === impl ApiKeyEvent ===

impl ApiKeyEvent<'_> {
    /// Returns the stable name of the event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "api_key_created",
            Self::Revoked { .. } => "api_key_revoked",
            Self::Refused { .. } => "api_key_refused",
            Self::RevocationFailed { .. } => "api_key_revocation_failed",
        }
    }

    /// Returns the subject that the key belongs to.
    #[must_use]
    pub const fn owner(&self) -> &str {
        self.about().0
    }

    /// Returns the id of the key that the event is about.
    #[must_use]
    pub const fn id(&self) -> &str {
        self.about().1
    }

    const fn about(&self) -> (&str, &str) {
        match self {
            Self::Created { owner, id }
            | Self::Revoked { owner, id }
            | Self::Refused { owner, id, .. }
            | Self::RevocationFailed { owner, id } => (owner, id),
        }
    }
}

impl fmt::Debug for ApiKeyEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.name());
        out.field("id", &Digest(self.id()));
        if let Self::Refused { kind, .. } = self {
            out.field("kind", kind);
        }
        out.finish_non_exhaustive()
    }
}

// === impl ApiKeyHook ===

impl ApiKeyHook {
    pub(crate) fn new(hook: impl Fn(&ApiKeyEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Reports an event. A panic in the hook is caught.
    pub(crate) fn tell(&self, event: &ApiKeyEvent<'_>) {
        #[cfg(feature = "tracing")]
        log(event);
        if let Some(hook) = &self.0 {
            call_hook(event.name(), || hook(event));
        }
    }
}

#[cfg(feature = "tracing")]
fn log(event: &ApiKeyEvent<'_>) {
    let (name, id) = (event.name(), Digest(event.id()));
    match event {
        ApiKeyEvent::Created { .. } | ApiKeyEvent::Revoked { .. } => {
            tracing::info!(event = name, %id);
        }
        // A program with an old key causes this at each request, so it is logged at debug.
        ApiKeyEvent::Refused { kind, .. } => {
            tracing::debug!(event = name, %id, kind = kind.as_str());
        }
        ApiKeyEvent::RevocationFailed { .. } => tracing::warn!(event = name, %id),
    }
}

impl fmt::Debug for ApiKeyHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "ApiKeyHook(set)"
        } else {
            "ApiKeyHook(none)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKeyEvent;

    #[test]
    fn debug_shows_neither_the_owner_nor_the_id() {
        let event = ApiKeyEvent::Created {
            owner: "alice",
            id: "Qm3secretid",
        };
        let shown = format!("{event:?}");
        assert!(
            !shown.contains("alice") && !shown.contains("Qm3"),
            "{shown}"
        );
        assert!(shown.starts_with("api_key_created { id: #"), "{shown}");
    }
}
