//! [`CredentialKind`]: the kind of credential with which a caller has proved its identity.

/// The kind of credential that a [`VerifiedToken`](crate::VerifiedToken) was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A JWT in the format of this crate, accepted by the [profile](super::TokenProfile) `Own`. It was
    /// usually issued by a [`TokenIssuer`](crate::TokenIssuer) of this application.
    OwnToken,
    /// A JWT of another provider, accepted by any [profile](super::TokenProfile) other than `Own` and
    /// `LogoutToken`.
    ProviderToken,
    /// A logout token, accepted by the [profile](super::TokenProfile) `LogoutToken`. It asks to end sessions
    /// and does not authenticate anybody, so no [`JwtAuthLayer`](crate::JwtAuthLayer) lets it through.
    LogoutToken,
    /// An API key: a long-lived secret that a user or a service has created.
    ApiKey,
    /// A token that its authorization server has declared active (RFC 7662), usually an opaque one.
    IntrospectedToken,
    /// A credential that the application's own [`CredentialVerifier`](crate::credential::CredentialVerifier)
    /// has accepted.
    Other,
}

// === impl CredentialKind ===

impl CredentialKind {
    /// Returns the stable, lower-case name of the kind, for logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OwnToken => "own_token",
            Self::ProviderToken => "provider_token",
            Self::LogoutToken => "logout_token",
            Self::ApiKey => "api_key",
            Self::IntrospectedToken => "introspected_token",
            Self::Other => "other",
        }
    }
}
