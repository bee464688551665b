//! [`Logout`]: what a verified logout token says, and the revocations that follow from it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::claims::NumericDate;
use crate::jti::Digest;
use crate::revocation::{Revocation, RevocationQuery};
use crate::verifier::{MAX_LEEWAY, VerifiedToken};

/// The time by which the clocks of nodes may differ. Entries are kept for this much longer.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);
/// The longest time for which a logout token is remembered as used. OpenID Connect Back-Channel Logout section
/// 4 recommends that none lives longer than two minutes.
const REMEMBERED_AT_MOST: Duration = Duration::from_secs(86_400);
/// The text before the issuer in the entries of used logout tokens, so that they are not mistaken for
/// revocations of access tokens.
const USED: &str = "tower-jwt-auth/logout-tokens/";

/// A logout at an identity provider, from a verified logout token. `Debug` shows a digest of the
/// session id, and no subject.
#[derive(Clone)]
pub struct Logout {
    token: VerifiedToken,
}

/// What a logout ends in the revocation store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) max_access_ttl: Duration,
    /// Whether all access tokens have `sid`, so that a logout that names a session ends only that session.
    pub(super) all_tokens_have_session: bool,
}

/// The entry that marks a logout token as used.
pub(super) struct Used<'l> {
    issuer: String,
    id: &'l str,
    until: SystemTime,
}

// === impl Logout ===

impl Logout {
    pub(super) fn new(token: VerifiedToken) -> Self {
        Self { token }
    }

    /// Returns the issuer (`iss`): the provider at which the user logged out.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.token.issuer().unwrap_or_default()
    }

    /// Returns the subject (`sub`) that logged out, or `None` if the token names only the session.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.token.subject().filter(|subject| !subject.is_empty())
    }

    /// Returns the session of the provider (`sid`) that has ended. If it is `None`, all sessions of the subject
    /// have ended (OpenID Connect Back-Channel Logout section 2.4).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.token
            .session_id()
            .filter(|session| !session.is_empty())
    }

    /// Returns the time of the logout (`iat`), by the clock of the provider.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        self.token
            .issued_at()
            .unwrap_or(NumericDate::from(UNIX_EPOCH))
    }

    /// Returns the logout token, for its other claims.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// Returns the id (`jti`) of the logout token.
    pub(super) fn id(&self) -> &str {
        self.token.token_id().unwrap_or_default()
    }

    /// Returns the time by the clock of the verifier.
    fn now(&self) -> Duration {
        Duration::try_from_secs_f64(self.token.now()).unwrap_or_default()
    }

    /// Returns the entry that marks this token as used, for as long as the token is accepted and at most for
    /// a day. If the token is replayed after that, it ends the same tokens once more.
    pub(super) fn used(&self) -> Used<'_> {
        let expiry = self
            .token
            .expires_at()
            .and_then(NumericDate::to_system_time);
        let longest = at(self.now().saturating_add(REMEMBERED_AT_MOST));
        let until = expiry.and_then(|expiry| expiry.checked_add(MAX_LEEWAY + CLOCKS_DIFFER));
        Used {
            issuer: format!("{USED}{}", self.issuer()),
            id: self.id(),
            until: until.map_or(longest, |until| until.min(longest)),
        }
    }
}

impl fmt::Debug for Logout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logout")
            .field("issuer", &self.issuer())
            .field("session", &self.session_id().map(Digest))
            .finish_non_exhaustive()
    }
}

// === impl Ends ===

impl Ends {
    /// Returns what this logout ends.
    pub(super) fn of(self, logout: &Logout) -> Vec<Revocation> {
        let issuer = Some(logout.issuer());
        let iat = logout.issued_at().as_secs();
        // The entries are kept until the last access token that was issued before has expired for every verifier.
        let until = logout.now().max(Duration::from_secs(iat));
        let until = until
            .saturating_add(self.max_access_ttl)
            .saturating_add(MAX_LEEWAY + CLOCKS_DIFFER);
        let until = at(until);
        let session = logout.session_id();
        let mut ends = Vec::new();
        ends.extend(session.map(|session| Revocation::session(issuer, session, until)));
        // A token without `sid` may belong to this session.
        if let Some(subject) = logout.subject()
            && !(session.is_some() && self.all_tokens_have_session)
        {
            // The cut-off is by the provider's clock, like the `iat` of access tokens. It is the end of the
            // second, because `iat` does not say whether a token was issued before or after within one second.
            let cutoff = iat.saturating_mul(1_000_000).saturating_add(999_999);
            ends.push(Revocation::subject_at(issuer, subject, cutoff, until));
        }
        ends
    }
}

// === impl Used ===

impl Used<'_> {
    pub(super) fn revocation(&self) -> Revocation {
        Revocation::token(Some(&self.issuer), self.id, self.until)
    }

    pub(super) fn query(&self) -> RevocationQuery<'_> {
        RevocationQuery::new("", self.id, 0).with_issuer(&self.issuer)
    }
}

/// Returns the time this long after the Unix epoch.
fn at(since_epoch: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH)
}
