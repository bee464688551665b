//! [`KeyVerifier`]: decides whether a key may be used, and for what.

use tower_jwt_auth::credential::api_keys::ApiKeys;
use tower_jwt_auth::credential::{CredentialClaims, CredentialVerifier};
use tower_jwt_auth::{AuthError, AuthErrorKind};

use crate::accounts::{User, Users};
use crate::database::Fault;

/// Verifies a key together with its user. A key allows what it was made for, as far as the user still may do
/// that. Keys of a disabled or deleted user are refused at once.
#[derive(Debug, Clone)]
pub(crate) struct KeyVerifier {
    keys: ApiKeys,
    users: Users,
}

// === impl KeyVerifier ===

impl KeyVerifier {
    pub(super) fn new(keys: ApiKeys, users: Users) -> Self {
        Self { keys, users }
    }
}

impl CredentialVerifier for KeyVerifier {
    fn handles(&self, credential: &str) -> bool {
        self.keys.handles(credential)
    }

    async fn verify_credential(&self, credential: &str) -> Result<CredentialClaims, AuthError> {
        let key = self.keys.verify(credential).await?;
        let owner = key.subject().unwrap_or_default();
        let user = self.users.active(owner).await.map_err(unknown)?;
        let user = user.ok_or(AuthErrorKind::Revoked)?;
        let mut claims = CredentialClaims::builder(&*user.id)
            .api_key()
            .id(key.token_id().unwrap_or_default())
            .scopes(granted(key.scopes(), &user));
        if let Some(expiry) = key.expires_at().and_then(|expiry| expiry.to_system_time()) {
            claims = claims.expires_at(expiry);
        }
        claims.build()
    }
}

/// Returns the scopes of a key that its user still has.
pub(super) fn granted<'k>(
    scopes: impl Iterator<Item = &'k str>,
    user: &User,
) -> impl Iterator<Item = &'k str> {
    scopes.filter(|scope| user.has_scope(scope))
}

/// Converts an outage, which says nothing about the key.
fn unknown(error: sqlx::Error) -> AuthError {
    match Fault::of(&error) {
        Fault::Outage => {
            tracing::warn!(%error, "the database is unavailable");
            AuthErrorKind::Unavailable.into()
        }
        _ => {
            tracing::error!(%error, "the user of an API key cannot be read");
            AuthErrorKind::Internal.into()
        }
    }
}
