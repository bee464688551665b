//! [`Further`]: what a verifier reads of the claims that are not registered ones, once for each token.

use serde_json::Value;

use super::claim_path::{ClaimPath, roles_at, scopes_at};
use super::{Policy, ROLES};
use crate::claims::{is_scope_token, join_scopes};
use crate::codec::Payload;

/// What a token says where a policy looks besides the registered claims.
#[derive(Debug, Default)]
pub(crate) struct Further {
    /// The scopes, if they are not in `scope` as RFC 9068 has it.
    pub(crate) scope: Option<Box<str>>,
    pub(crate) roles: Roles,
    /// What [`Policy::audience_claim`] leads to.
    pub(super) audience: Found,
    /// What the claims of [`Policy::issuer_patterns`] say, in this order.
    pub(super) tenants: Box<[Found]>,
    /// What the paths of [`Policy::claim_rules`] lead to, in this order.
    pub(super) ruled: Box<[Found]>,
    /// Some claim is JSON, and yet no value can be made of it.
    pub(super) is_unreadable: bool,
}

/// Where the roles are.
#[derive(Debug, Default)]
pub(crate) enum Roles {
    /// Nowhere.
    #[default]
    None,
    /// In [`Payload::roles`].
    Registered,
    Listed(Box<[Box<str>]>),
}

/// What a path leads to.
#[derive(Debug, Default)]
pub(super) enum Found {
    /// Nothing, or `null`.
    #[default]
    Absent,
    Text(Box<str>),
    Texts(Box<[Box<str>]>),
    Other,
}

// === impl Policy ===

impl Policy {
    /// Reads what [`check`](Self::check) and the application want to know besides the registered
    /// claims. With the policy of a token of this crate nothing has to be parsed again.
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
            // No scope holds a space (RFC 6749 section 3.3): what does would turn into several.
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
    /// Of a credential that no policy has read.
    pub(crate) fn granting(scope: String, roles: impl IntoIterator<Item = String>) -> Self {
        Self {
            scope: Some(scope.into()),
            roles: Roles::Listed(roles.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// How many bytes the texts in it have.
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
