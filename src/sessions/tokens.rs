//! The tokens of a session: how they are made from its record, and how they are read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sessions;
use super::error::{SessionError, SessionErrorKind};
use crate::claims::TokenType;
use crate::clock::as_micros;
use crate::error::AuthErrorKind;
use crate::issuer::{IssueError, TokenIssuer, TokenPair, TokenRequest, token_type_of};
use crate::jti;
use crate::keys::KeySource as _;
use crate::session::SessionRecord;
use crate::store::StoreError;
use crate::verifier::VerifiedToken;

/// The contents of a session's access tokens, as they are kept in its record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Payload {
    #[serde(default)]
    pub(super) claims: Map<String, Value>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) auth_time: u64,
}

/// A refresh token whose signature and claims are valid.
pub(super) struct RefreshToken {
    pub(super) subject: String,
    pub(super) session: String,
    pub(super) generation: u64,
    /// The time at which the session was opened, in microseconds. Its id begins with that time.
    pub(super) opened_at: u64,
    /// The thumbprint of the key that the session is bound to.
    pub(super) key: Option<String>,
    /// The scopes that the session was opened with.
    pub(super) scopes: Vec<String>,
}

// === impl Payload ===

impl Payload {
    pub(super) fn of(record: &SessionRecord) -> Result<Self, StoreError> {
        serde_json::from_str(&record.payload)
            .map_err(|_| StoreError::new("the `payload` of the stored session is malformed"))
    }
}

// === impl Sessions ===

impl Sessions {
    /// Verifies a refresh token without I/O, except to load a key that another node has just added
    /// to the ring.
    pub(super) async fn verify(&self, refresh_token: &str) -> Result<RefreshToken, SessionError> {
        let token = self.verify_any_age(refresh_token).await?;
        // A shortened lifetime applies to sessions that are already open, too: revocations are
        // kept no longer than that.
        let tokens = &self.inner.tokens;
        let ends_at = token
            .opened_at
            .saturating_add(as_micros(tokens.refresh_ttl()));
        if ends_at <= tokens.now() {
            return Err(SessionErrorKind::Expired.into());
        }
        Ok(token)
    }

    /// Verifies a refresh token without a limit on the age of its session.
    pub(super) async fn verify_any_age(
        &self,
        refresh_token: &str,
    ) -> Result<RefreshToken, SessionError> {
        let tokens = &self.inner.tokens;
        let verify = || tokens.session_verifier().verify_local(refresh_token);
        let verified = match (verify(), tokens.key_ring()) {
            (Err(error), Some(ring)) if error.kind() == AuthErrorKind::UnknownKey => {
                if let Err(error) = ring.refresh(None).await {
                    return Err(SessionError::unavailable(error));
                }
                verify()
            }
            (verified, _) => verified,
        };
        match verified {
            Ok(verified) => RefreshToken::read(&verified),
            // It was issued by a node whose clock is ahead, and is valid in a moment.
            Err(error) if error.kind() == AuthErrorKind::NotYetValid => {
                Err(SessionError::unavailable(error))
            }
            Err(error) => Err(SessionErrorKind::InvalidToken(error.kind()).into()),
        }
    }

    /// Makes the pair of tokens for a record. The access token is issued at `stamp`, and bound to `key`.
    pub(super) fn pair_of(
        &self,
        record: &SessionRecord,
        payload: &Payload,
        scopes: &[String],
        stamp: u64,
        key: Option<&str>,
    ) -> Result<TokenPair, IssueError> {
        let tokens = &self.inner.tokens;
        let mut access = tokens.access(record.subject.clone());
        access.session = Some(record.id.clone());
        access.generation = Some(record.generation);
        access.claims.clone_from(&payload.claims);
        access.scopes = scopes.to_vec();
        access.auth_time = Some(payload.auth_time);
        access.key = key.map(str::to_owned);
        // No access token outlives its session.
        let left = Duration::from_micros(record.expires_at.saturating_sub(stamp));
        access.ttl = access.ttl.min(left).max(Duration::from_secs(1));
        // Rounded to the nearest second, because some of the first second has already passed.
        let left = left.saturating_add(Duration::from_millis(500));
        Ok(TokenPair {
            expires_in: access.ttl.as_secs(),
            access_token: access.issue_stamped(stamp)?,
            token_type: token_type_of(key),
            refresh_token: refresh_token_of(tokens, record, payload)?,
            refresh_expires_in: left.as_secs(),
        })
    }
}

/// Makes the current refresh token of a session. Its claims are the same each time.
fn refresh_token_of(
    tokens: &TokenIssuer,
    record: &SessionRecord,
    payload: &Payload,
) -> Result<String, IssueError> {
    let mut request: TokenRequest<'_> =
        tokens.request(TokenType::Refresh, record.subject.clone(), Duration::ZERO);
    request.session = Some(record.id.clone());
    request.generation = Some(record.generation);
    request.key.clone_from(&record.key_thumbprint);
    // So a refresh can check the requested scopes before any store is asked.
    request.scopes.clone_from(&payload.scopes);
    // A clock that was set back, or that of another node, must not make a token live longer.
    let issued_at = record.rotated_at.max(record.created_at);
    let expires_at = record.expires_at / 1_000_000;
    request.issue_at(issued_at, expires_at, record.token_id.clone())
}

// === impl RefreshToken ===

impl RefreshToken {
    fn read(verified: &VerifiedToken) -> Result<Self, SessionError> {
        let claims = || {
            let session = verified.session_id()?;
            Some(Self {
                subject: verified.subject()?.to_owned(),
                session: session.to_owned(),
                generation: verified.generation()?,
                opened_at: jti::stamp_of(session)?,
                key: verified.key_thumbprint().map(str::to_owned),
                scopes: verified.scopes().map(str::to_owned).collect(),
            })
        };
        claims().ok_or_else(|| SessionErrorKind::InvalidToken(AuthErrorKind::InvalidClaim).into())
    }
}
