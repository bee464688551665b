//! [`Further`]: what a verifier reads from claims other than the registered ones, once per token.

use serde_json::Value;

use super::claim_path::{ClaimPath, roles_at, scopes_at};
use super::{Policy, ROLES};
use crate::claims::{is_scope_token, join_scopes};
use crate::codec::Payload;

/// The values that a policy needs from claims other than the registered ones.
#[derive(Debug, Default)]
pub(crate) struct Further {
    /// The scopes, if the policy does not read them from `scope` (RFC 9068 section 2.2.3).
    pub(crate) scope: Option<Box<str>>,
    pub(crate) roles: Roles,
    /// The value at [`Policy::audience_claim`].
    pub(super) audience: Found,
    /// The values of the claims of [`Policy::issuer_patterns`], in this order.
    pub(super) tenants: Box<[Found]>,
    /// The values at the paths of [`Policy::claim_rules`], in this order.
    pub(super) ruled: Box<[Found]>,
    /// Whether the claims are JSON that `serde_json` cannot represent.
    pub(super) is_unreadable: bool,
}

/// Where the roles of a token are.
#[derive(Debug, Default)]
pub(crate) enum Roles {
    /// The token has no roles.
    #[default]
    None,
    /// In [`Payload::roles`].
    Registered,
    Listed(Box<[Box<str>]>),
}

/// The value at a path.
#[derive(Debug, Default)]
pub(super) enum Found {
    /// No value, or `null`.
    #[default]
    Absent,
    Text(Box<str>),
    Texts(Box<[Box<str>]>),
    Other,
}

// === impl Policy ===

impl Policy {
    /// Reads what [`check`](Self::check) and the application need besides the registered claims. For a token
    /// of this crate, nothing has to be parsed again.
    pub(crate) fn read_further(&self, claims: &Payload) -> Further {
        let mut further = Further::default();
        let is_read_already =
            matches!(&*self.role_claims, [one] if one.is(ROLES)) && !claims.roles().is_wrong();
        if is_read_already {
            further.roles = Roles::Registered;
        }
        let is_all = self.audience_claim.is_none()
            && self.claim_rules.is_empty()
            && self.issuer_patterns.is_empty()
            && self.scope_claims.is_empty()
            && (is_read_already || self.role_claims.is_empty());
        if is_all {
            return further;
        }
        let Ok(claims) = serde_json::from_str::<Value>(claims.json()) else {
            further.is_unreadable = true;
            return further;
        };
        if !self.scope_claims.is_empty() {
            let scopes = scopes_at(&self.scope_claims, &claims);
            // An item with a space is not a scope (RFC 6749 section 3.3), and would turn into several.
            let scopes = scopes.iter().filter(|scope| is_scope_token(scope));
            further.scope = Some(join_scopes(scopes).into());
        }
        if !is_read_already && !self.role_claims.is_empty() {
            further.roles = Roles::Listed(roles_at(&self.role_claims, &claims));
        }
        let found = |path: &ClaimPath| Found::from(path.find(&claims));
        further.audience = self.audience_claim.as_ref().map(found).unwrap_or_default();
        let patterns = self.issuer_patterns.iter();
        further.tenants = patterns.map(|pattern| found(&pattern.claim)).collect();
        further.ruled = self
            .claim_rules
            .iter()
            .map(|rule| found(&rule.path))
            .collect();
        further
    }
}

// === impl Further ===

impl Further {
    /// Makes the values of a credential that no policy has read.
    pub(crate) fn granting(scope: String, roles: impl IntoIterator<Item = String>) -> Self {
        Self {
            scope: Some(scope.into()),
            roles: Roles::Listed(roles.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// Returns the approximate size in bytes.
    #[cfg(feature = "cache")]
    pub(crate) fn weight(&self) -> usize {
        let sum = |texts: &[Box<str>]| texts.iter().map(|text| text.len() + 16).sum::<usize>();
        let roles = match &self.roles {
            Roles::None | Roles::Registered => 0,
            Roles::Listed(roles) => sum(roles),
        };
        let found = |found: &Found| match found {
            Found::Absent | Found::Other => 0,
            Found::Text(text) => text.len(),
            Found::Texts(texts) => sum(texts),
        };
        let scope = self.scope.as_ref().map_or(0, |scope| scope.len());
        let ruled = self.ruled.iter().chain(&self.tenants);
        let ruled = ruled.map(|one| found(one) + size_of::<Found>());
        scope + roles + found(&self.audience) + ruled.sum::<usize>()
    }
}

// === impl Found ===

impl From<Option<&Value>> for Found {
    fn from(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) => Self::Text(text.as_str().into()),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(Into::into));
                texts
                    .collect::<Option<_>>()
                    .map_or(Self::Other, Self::Texts)
            }
            Some(_) => Self::Other,
        }
    }
}
