//! [`Directory`]: chooses the verifier of a token by its issuer, before any cryptography.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::resolving::Resolving;
use super::single::Single;
use crate::codec::{Compact, MAX_TOKEN_BYTES, Payload};
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::policy::CheckedPattern;

/// The verifiers, by issuer.
pub(super) struct Directory {
    by_issuer: HashMap<Box<str>, Single>,
    /// The keys of `by_issuer`, in the order in which they were given.
    issuers: Vec<Box<str>>,
    /// The verifiers that are asked whether they have cached a token, before its issuer is read. Empty if there
    /// are more than [`FEW`], or if two of them may trust the same issuer.
    asked_first: Vec<Single>,
    patterns: Vec<(CheckedPattern, Single)>,
    resolver: Option<Arc<Resolving>>,
    max_token_bytes: usize,
}

/// The number of verifiers up to which asking each of them is cheaper than reading the claims of a token.
const FEW: usize = 8;

/// What verifies a token.
pub(super) enum Found<'d> {
    Single(&'d Single),
    /// The verifier that the resolver finds for this issuer.
    Resolver(&'d Arc<Resolving>, String),
}

// === impl Directory ===

impl Directory {
    /// Joins several verifiers, and a resolver for all other issuers.
    pub(super) fn new(
        singles: Vec<Single>,
        resolver: Option<Arc<Resolving>>,
    ) -> Result<Self, ConfigError> {
        let mut by_issuer = HashMap::new();
        let mut issuers = Vec::new();
        let mut patterns = Vec::<(CheckedPattern, Single)>::new();
        let mut max_token_bytes = if resolver.is_some() {
            MAX_TOKEN_BYTES
        } else {
            0
        };
        for single in singles {
            if single.issuers().is_empty() && single.issuer_patterns().is_empty() {
                return Err(ConfigError::MissingIssuer);
            }
            for pattern in single.issuer_patterns() {
                let template = pattern.template();
                if patterns.iter().any(|(one, _)| one.template() == template) {
                    return Err(ConfigError::DuplicateIssuer(template.to_owned()));
                }
                patterns.push((pattern.clone(), single.clone()));
            }
            max_token_bytes = single.max_token_bytes().max(max_token_bytes);
            for issuer in single.issuers() {
                if by_issuer.insert(issuer.clone(), single.clone()).is_some() {
                    return Err(ConfigError::DuplicateIssuer(issuer.to_string()));
                }
                issuers.push(issuer.clone());
            }
        }
        if by_issuer.is_empty() && patterns.is_empty() && resolver.is_none() {
            return Err(ConfigError::MissingIssuer);
        }
        let mut directory = Self {
            by_issuer,
            issuers,
            asked_first: Vec::new(),
            patterns,
            resolver,
            max_token_bytes,
        };
        // An issuer that is trusted by name has one verifier. But a pattern may fit an issuer of another verifier.
        let singles = directory.singles();
        if directory.patterns.is_empty() && singles.len() <= FEW {
            directory.asked_first = singles;
        }
        Ok(directory)
    }

    /// Makes a directory of a resolver alone.
    pub(super) fn of_resolver(resolver: Arc<Resolving>) -> Self {
        Self {
            by_issuer: HashMap::new(),
            issuers: Vec::new(),
            asked_first: Vec::new(),
            patterns: Vec::new(),
            resolver: Some(resolver),
            max_token_bytes: MAX_TOKEN_BYTES,
        }
    }

    /// Returns the issuers that are trusted by name.
    pub(super) fn issuers(&self) -> &[Box<str>] {
        &self.issuers
    }

    /// Returns each verifier once, however many issuers it trusts. Verifiers that trust issuers by name come
    /// first, in the order in which they were given.
    pub(super) fn singles(&self) -> Vec<Single> {
        let mut singles: Vec<Single> = Vec::new();
        let of_names = self.issuers.iter();
        let of_names = of_names.filter_map(|issuer| self.by_issuer.get(issuer));
        let of_patterns = self.patterns.iter().map(|(_, single)| single);
        for single in of_names.chain(of_patterns) {
            if !singles.iter().any(|known| known.is(single)) {
                singles.push(single.clone());
            }
        }
        singles
    }

    pub(super) fn resolver(&self) -> Option<&Arc<Resolving>> {
        self.resolver.as_ref()
    }

    /// Chooses by the unverified `iss` of the token what verifies it; that verifier then checks everything,
    /// the issuer included. A name takes precedence over a pattern, and both over the resolver.
    pub(super) fn of(&self, token: &[u8]) -> Result<Found<'_>, AuthError> {
        // A verifier that has accepted this very token before is the one of its issuer.
        if let Some(single) = self.asked_first.iter().find(|one| one.remembers(token)) {
            return Ok(Found::Single(single));
        }
        let payload = Compact::parse(token, self.max_token_bytes)?.open_unverified()?;
        let payload = Payload::parse(payload, &[])?;
        let issuer = payload.issuer();
        let issuer = issuer.text().ok_or(AuthErrorKind::InvalidIssuer)?;
        let pattern = || {
            let mut patterns = self.patterns.iter();
            patterns.find_map(|(pattern, single)| pattern.fits(issuer).then_some(single))
        };
        if let Some(single) = self.by_issuer.get(issuer).or_else(pattern) {
            return Ok(Found::Single(single));
        }
        match &self.resolver {
            Some(resolver) => Ok(Found::Resolver(resolver, issuer.to_owned())),
            None => Err(AuthErrorKind::InvalidIssuer.into()),
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("issuers", &self.by_issuer)
            .field("patterns", &self.patterns)
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}
