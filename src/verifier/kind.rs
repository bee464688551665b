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
}
