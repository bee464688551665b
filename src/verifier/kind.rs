//! [`CredentialKind`]: by what a caller has proved who it is.

/// By what a [`VerifiedToken`](crate::VerifiedToken) was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A JWT of this crate's form, which the [profile](super::TokenProfile) `Own` accepts: commonly one
    /// that a [`TokenIssuer`](crate::TokenIssuer) of this application has issued.
    OwnToken,
    /// A JWT of another provider, accepted by any other [profile](super::TokenProfile).
    ProviderToken,
    /// A logout token, accepted by the [profile](super::TokenProfile) `LogoutToken`. It is an order to end
    /// sessions, and proves nobody's presence, so no [`JwtAuthLayer`](crate::JwtAuthLayer) lets it through.
    LogoutToken,
    /// An API key: a long-lived secret that a user or a service has made.
    ApiKey,
    /// An opaque token that its authorization server has vouched for (RFC 7662).
    Introspection,
    /// A credential that a [`CredentialJudge`](crate::credential::CredentialJudge) of the application
    /// has judged.
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
            Self::Introspection => "introspection",
            Self::Other => "other",
        }
    }
}
