//! [`TokenVerifierBuilder`]: the settings of a verifier, which are checked once, when it is built.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TokenVerifier;
use super::joined::{FurtherKeys, Joined};
use super::judge::{Judge, Revocations};
use super::keys::Keys;
use super::memory::Memory;
use super::single::{Inner, Single};
use crate::claims::TokenType;
use crate::clock::{Clock, SystemClock};
use crate::codec::MAX_TOKEN_BYTES;
use crate::error::ConfigError;
use crate::names::Names;
use crate::policy::{
    ClaimPath, ClaimRule, DEFAULT_LEEWAY, IssuerPattern, MAX_LEEWAY, Policy, ROLES, TokenProfile,
};
use crate::revocation::{DynRevocationStore, RevocationStore};
use crate::session::{Acknowledger, AcknowledgerSlot, SessionStore, TimedStore};
use crate::store::DEFAULT_SESSION_STORE_TIMEOUT;

/// Builds a [`TokenVerifier`]; made by [`TokenVerifier::builder`].
///
/// Keys, an issuer and an audience are required. Everything else has a secure default.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct TokenVerifierBuilder {
    pub(super) keys: Option<Keys>,
    pub(super) further_keys: Vec<FurtherKeys>,
    /// Whether the keys are those of another provider.
    pub(super) is_remote: bool,
    /// What was wrong with the keys; returned by `build`.
    pub(super) problem: Option<ConfigError>,
    pub(super) issuers: Vec<Box<str>>,
    audiences: Vec<Box<str>>,
    issuer_patterns: Vec<IssuerPattern>,
    any_issuer: bool,
    any_audience: bool,
    audience_claim: Option<ClaimPath>,
    token_type: TokenType,
    profile: Option<TokenProfile>,
    scope_claims: Vec<ClaimPath>,
    role_claims: Vec<ClaimPath>,
    leeway: Duration,
    max_lifetime: Option<Duration>,
    required: Vec<Box<str>>,
    pub(super) claim_rules: Vec<ClaimRule>,
    takes_bound_tokens: bool,
    needs_expiry: bool,
    max_token_bytes: usize,
    clock: Arc<dyn Clock>,
    revocations: Revocations,
    #[cfg(feature = "cache")]
    cached_tokens: usize,
}

// === impl TokenVerifierBuilder ===

impl TokenVerifierBuilder {
    pub(super) fn new() -> Self {
        Self {
            keys: None,
            further_keys: Vec::new(),
            is_remote: false,
            problem: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            issuer_patterns: Vec::new(),
            any_issuer: false,
            any_audience: false,
            audience_claim: None,
            token_type: TokenType::Access,
            profile: None,
            scope_claims: Vec::new(),
            role_claims: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            max_lifetime: None,
            required: Vec::new(),
            claim_rules: Vec::new(),
            takes_bound_tokens: false,
            needs_expiry: true,
            max_token_bytes: MAX_TOKEN_BYTES,
            clock: Arc::new(SystemClock),
            revocations: Revocations::default(),
            #[cfg(feature = "cache")]
            cached_tokens: super::DEFAULT_CACHED_TOKENS,
        }
    }

    /// Makes rules without keys, for the answers of an authorization server about opaque tokens: see
    /// [`into_judge`](Self::into_judge).
    #[cfg(feature = "jwks")]
    pub(crate) fn for_answers() -> Self {
        Self {
            needs_expiry: false, // OPTIONAL in RFC 7662 section 2.2
            ..Self::new().profile(TokenProfile::Compatible)
        }
    }

    /// Sets the issuer: tokens must have this `iss`, compared byte by byte.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.issuers([issuer.into()])
    }

    /// Sets the names of an issuer that has several: tokens must have one of them as `iss`. They replace those
    /// that were set before.
    ///
    /// # Security
    ///
    /// The same keys are trusted for all of these names. For several issuers, build one verifier for each and
    /// join them with [`TokenVerifier::for_issuers`].
    pub fn issuers(mut self, names: impl Names) -> Self {
        self.issuers.clear();
        names.for_each(&mut |name| self.issuers.push(name.into()));
        self
    }

    /// Adds issuers that differ in one part, such as the tenants of Entra ID: see [`IssuerPattern`]. The keys
    /// of this verifier are trusted for all of them.
    pub fn issuer_pattern(mut self, pattern: IssuerPattern) -> Self {
        self.issuer_patterns.push(pattern);
        self
    }

    /// Adds an audience: tokens must have one of the added audiences in their `aud`. Call it again to add
    /// more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into().into());
        self
    }

    /// Compares the [audiences](Self::audience) with this claim instead of `aud`, for a provider whose access
    /// tokens have no `aud`, such as Cognito with its `client_id`. Tokens must have the claim, and it must be
    /// a string or an array of strings. A path with dots leads into nested objects.
    ///
    /// If a token has an `aud` as well, that must also contain one of the audiences (RFC 7519 section 4.1.3).
    ///
    /// # Security
    ///
    /// Choose a claim that says for whom the provider issued the token, and that no user can influence. A
    /// client id only says who asked for the token: all APIs that accept the tokens of this client then
    /// accept the same tokens.
    pub fn audience_claim(mut self, path: impl AsRef<str>) -> Self {
        self.audience_claim = Some(ClaimPath::new(path.as_ref()));
        self
    }

    /// Accepts tokens of any issuer, and tokens without one.
    ///
    /// # Security
    ///
    /// Anybody with one of the keys can then impersonate every user. Use it only if a single issuer uses the
    /// keys.
    pub fn dangerous_no_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Accepts tokens for any audience, and tokens without one.
    ///
    /// # Security
    ///
    /// Another service that receives a user's token can then use it at this one (RFC 8725 section 3.9).
    pub fn dangerous_no_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Accepts tokens that are bound to a key (`cnf`, RFC 7800) as plain bearer tokens. By default they are
    /// refused (RFC 9449 section 7.2, RFC 8705 section 3), unless the layer checks the binding: see
    /// [`JwtAuthLayer::dpop`](crate::JwtAuthLayer::dpop) and
    /// [`JwtAuthLayer::client_certificates`](crate::JwtAuthLayer::client_certificates).
    ///
    /// # Security
    ///
    /// A stolen token then works without its key. Use it only if something in front of this service, such as
    /// a gateway, has checked the proof or the client certificate.
    pub fn dangerous_accept_bound_tokens(mut self) -> Self {
        self.takes_bound_tokens = true;
        self
    }

    /// Sets the type of token that is accepted: [`TokenType::Access`] by default.
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.token_type = token_type;
        self
    }

    /// Sets how access tokens are told from other tokens. The default is [`TokenProfile::Own`], or
    /// [`Compatible`](TokenProfile::Compatible) with the keys of an identity provider.
    pub fn profile(mut self, profile: TokenProfile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Reads the scopes from this claim instead of `scope`: `scp`, `permissions`, or a path with dots such as
    /// `resource_access.api.roles`. A claim whose full name equals the path takes precedence. A string is
    /// split at spaces, an array of strings is used as it is, and anything else grants no scope. Call it
    /// again for another claim: the token then has the scopes of all of them.
    ///
    /// By default, `scope` is read, and with a [profile](Self::profile) other than `Own` also `scp`; each may
    /// then be a string or an array.
    pub fn scope_claim(mut self, path: impl AsRef<str>) -> Self {
        self.scope_claims.push(ClaimPath::new(path.as_ref()));
        self
    }

    /// Reads [roles](crate::VerifiedToken::roles) from this claim: `roles`, `groups`, or a path with dots
    /// such as `realm_access.roles`. Call it again for another claim.
    ///
    /// - A string is one role.
    /// - In an array, each string is one role, and so is the member `value` of each object (RFC 7643 section
    ///   2.4).
    /// - In an object, the name of each member is one role, unless the value of the member is `false` or
    ///   `null`.
    ///
    /// By default, `roles` is read with the [profile](Self::profile) `Own` (RFC 9068 section 2.2.3.1), and no
    /// claim with any other profile.
    pub fn role_claim(mut self, path: impl AsRef<str>) -> Self {
        self.role_claims.push(ClaimPath::new(path.as_ref()));
        self
    }

    /// Sets by how much the clocks of issuer and verifier may differ: 30 seconds by default, 300 at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens whose lifetime (`exp - iat`) is longer than this, and tokens without `iat`. There is no
    /// limit by default.
    pub fn max_lifetime(mut self, limit: Duration) -> Self {
        self.max_lifetime = Some(limit);
        self
    }

    /// Refuses tokens without this claim. Its value does not matter. Call it again for another claim.
    pub fn require(mut self, claim: impl Into<String>) -> Self {
        self.required.push(claim.into().into());
        self
    }

    /// Sets the longest token that is accepted, in bytes: 8,192 by default. Longer ones are refused unread.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// Sets the number of tokens that are cached, so that their signature is not checked again when they are
    /// used again: [16,384](super::DEFAULT_CACHED_TOKENS) by default. Each takes about 2 KiB, plus the typed
    /// claims that extractors have read from it. Zero turns the cache off.
    ///
    /// Time, issuer, audience, type and revocation are checked each time, and a token is dropped when its key
    /// is no longer trusted. The guide says [what is kept, and why that is
    /// safe](crate::guide::security_model#what-a-verifier-remembers).
    #[cfg(feature = "cache")]
    pub fn cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Sets the store that is asked whether a token was revoked. By default, no store is asked.
    ///
    /// Tokens must then have a `sub`. Tokens in this crate's format must also have a `jti`; a token of another
    /// provider without `jti` is identified by the SHA-256 of its claims.
    pub fn revocation(self, store: impl RevocationStore) -> Self {
        self.shared_revocation(Some(Arc::new(store)))
    }

    pub(crate) fn shared_revocation(mut self, store: Option<Arc<dyn DynRevocationStore>>) -> Self {
        self.revocations.store = store;
        self
    }

    /// Reports to this session store which sessions are in use. Use it in a service that verifies the access
    /// tokens of [`Sessions`](crate::Sessions) in another process and shares their store. Verifiers of the
    /// issuer that the sessions are built on do this by themselves.
    ///
    /// Without these reports, a client that has lost the response to a refresh can continue its session for
    /// only [60 seconds](crate::sessions::DEFAULT_LOST_RESPONSE_GRACE). A report is sent in the background, once
    /// per refresh, and no request waits for it.
    pub fn acknowledge_sessions(self, store: impl SessionStore) -> Self {
        let store = TimedStore::new(Arc::new(store), DEFAULT_SESSION_STORE_TIMEOUT);
        let slot = AcknowledgerSlot::default();
        // The slot is new, so it is empty.
        let _ = slot.set(Acknowledger::new(store));
        self.acknowledger(slot)
    }

    pub(crate) fn acknowledger(mut self, acknowledger: AcknowledgerSlot) -> Self {
        self.revocations.acknowledger = acknowledger;
        self
    }

    /// Removes the limit on the lifetime of a token.
    pub(crate) fn any_lifetime(mut self) -> Self {
        self.max_lifetime = None;
        self
    }

    /// Sets the clock: the system clock by default.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.shared_clock(Arc::new(clock))
    }

    pub(crate) fn shared_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the verifier.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - there are no keys, they were set twice, or a setting for fetching them is wrong;
    /// - the issuer or the audience is missing, and no `dangerous_` setting allows that;
    /// - an issuer or an audience is empty, or begins or ends with white space;
    /// - an issuer pattern is malformed or allows no value;
    /// - the leeway is longer than 300 seconds;
    /// - the path to a claim contains an empty name;
    /// - a claim must have one of several values, but none are given.
    pub fn build(mut self) -> Result<TokenVerifier, ConfigError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let keys = match self.keys.take() {
            Some(Keys::Fixed(set)) if set.is_empty() => return Err(ConfigError::NoKeys),
            Some(keys) => keys,
            None => return Err(ConfigError::NoKeys),
        };
        let keys = if self.further_keys.is_empty() {
            keys
        } else {
            Keys::Source(Arc::new(Joined {
                main: keys,
                further: std::mem::take(&mut self.further_keys),
                clock: Arc::clone(&self.clock),
            }))
        };
        #[cfg(feature = "cache")]
        let memory = Memory::new(self.cached_tokens);
        #[cfg(not(feature = "cache"))]
        let memory = Memory::new(0);
        let max_token_bytes = self.max_token_bytes;
        Ok(Single::new(Inner {
            keys,
            judge: self.into_judge()?,
            memory,
            max_token_bytes,
        })
        .into())
    }

    /// Builds the rules alone, with the clock and the stores that they need.
    pub(crate) fn into_judge(mut self) -> Result<Judge, ConfigError> {
        let profile = self.profile.unwrap_or(if self.is_remote {
            TokenProfile::Compatible
        } else {
            TokenProfile::Own
        });
        let none = self.issuers.is_empty() && self.issuer_patterns.is_empty();
        if self.issuers.iter().any(|issuer| issuer.is_empty()) || (none && !self.any_issuer) {
            return Err(ConfigError::MissingIssuer);
        }
        if self.audiences.iter().any(|audience| audience.is_empty())
            || (self.audiences.is_empty() && !self.any_audience)
        {
            return Err(ConfigError::MissingAudience);
        }
        let names = self.issuers.iter().chain(&self.audiences);
        if let Some(name) = names
            .into_iter()
            .find(|name| name.trim().len() < name.len())
        {
            return Err(ConfigError::Invalid(format!(
                "the issuer or audience `{}` begins or ends with white space: remove the white space",
                name.escape_default().take(256).collect::<String>()
            )));
        }
        if self.leeway > MAX_LEEWAY {
            return Err(ConfigError::LeewayTooLong);
        }
        let paths = self.scope_claims.iter().chain(&self.role_claims);
        let rules = self.claim_rules.iter().map(|rule| &rule.path);
        let mut paths = paths.chain(&self.audience_claim).chain(rules);
        if paths.any(|path| !path.is_valid()) {
            return Err(ConfigError::Invalid(
                "the path to a claim has an empty name in it: write `scp` or `realm_access.roles`"
                    .into(),
            ));
        }
        if self.claim_rules.iter().any(|rule| rule.values.is_empty()) {
            return Err(ConfigError::Invalid(
                "`claim_one_of` was called without a value, so no token could be accepted: give at least one \
                 value"
                    .into(),
            ));
        }
        let required = profile.required().iter();
        self.required.extend(required.map(|&claim| claim.into()));
        if profile != TokenProfile::Own && self.scope_claims.is_empty() {
            self.scope_claims = ["scope", "scp"].map(ClaimPath::new).into();
        }
        if profile == TokenProfile::Own && self.role_claims.is_empty() {
            self.role_claims = [ClaimPath::new(ROLES)].into();
        }
        let policy = Policy {
            issuers: if self.any_issuer {
                Box::default()
            } else {
                self.issuers.into()
            },
            issuer_patterns: if self.any_issuer {
                Box::default()
            } else {
                let patterns = self.issuer_patterns.into_iter();
                patterns
                    .map(IssuerPattern::checked)
                    .collect::<Result<_, _>>()?
            },
            audiences: if self.any_audience {
                Box::default()
            } else {
                self.audiences.into()
            },
            audience_claim: self.audience_claim,
            token_type: self.token_type,
            profile,
            leeway: self.leeway,
            max_lifetime: self.max_lifetime,
            required: self.required.into(),
            claim_rules: self.claim_rules.into(),
            takes_bound_tokens: self.takes_bound_tokens,
            needs_expiry: self.needs_expiry,
            scope_claims: self.scope_claims.into(),
            role_claims: self.role_claims.into(),
        };
        Ok(Judge {
            policy,
            clock: self.clock,
            revocations: self.revocations,
        })
    }
}

impl fmt::Debug for TokenVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifierBuilder")
            .field("keys", &self.keys)
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
