//! [`IssuerPattern`]: issuers of one provider that differ in one part, such as the tenant.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::ClaimPath;
use super::further::Found;
use crate::error::{AuthError, AuthErrorKind, ConfigError, Reason};
use crate::names::Names;

/// The longest value of a placeholder, in bytes.
const MAX_VALUE_BYTES: usize = 128;

/// Issuers of one provider that differ in one part, as those of Entra ID differ in the tenant:
/// `https://login.microsoftonline.com/{tid}/v2.0`.
///
/// The value of the placeholder consists of letters, digits, `-`, `_`, `.` and `~`, and has at most 128 bytes.
/// The token must have the same value in the claim with the name of the placeholder, or in another
/// [`claim`](Self::claim). The value must also be allowed: by [`one_of`](Self::one_of), by
/// [`when`](Self::when), or by [`dangerous_any`](Self::dangerous_any). The same keys are trusted for all of
/// these issuers.
///
/// ```
/// use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer, TokenVerifier};
/// use tower_jwt_auth::verifier::{IssuerPattern, TokenProfile};
///
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// let verifier = TokenVerifier::builder()
///     .keys(key.verifying_key())
///     .issuer_pattern(
///         IssuerPattern::new("https://login.microsoftonline.com/{tid}/v2.0").one_of(["contoso"]),
///     )
///     .audience("api")
///     .profile(TokenProfile::Compatible)
///     .build()?;
///
/// let token_of = |tenant: &str, tid: &str| {
///     let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
///     let tokens = TokenIssuer::builder(key.clone()).issuer(issuer).audience("api").build()?;
///     Ok::<_, Box<dyn std::error::Error>>(tokens.access("alice").claim("tid", tid).issue()?)
/// };
/// assert!(verifier.verify_local(&token_of("contoso", "contoso")?).is_ok());
/// assert!(verifier.verify_local(&token_of("fabrikam", "fabrikam")?).is_err());
/// assert!(verifier.verify_local(&token_of("contoso", "fabrikam")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// A subject is unique only within its issuer: identify users by the pair of issuer and subject.
#[derive(Clone)]
pub struct IssuerPattern {
    template: Box<str>,
    claim: Option<ClaimPath>,
    allowed: Vec<Box<str>>,
    predicate: Option<Arc<Predicate>>,
    any: bool,
}

type Predicate = dyn Fn(&str) -> bool + Send + Sync;

/// A pattern that was checked.
#[derive(Clone)]
pub(crate) struct CheckedPattern {
    prefix: Box<str>,
    suffix: Box<str>,
    pub(super) claim: ClaimPath,
    pattern: IssuerPattern,
}

// === impl IssuerPattern ===

impl IssuerPattern {
    /// Creates a pattern from a template with one placeholder, such as
    /// `https://login.microsoftonline.com/{tid}/v2.0`. The template is checked when the verifier is built.
    #[must_use]
    pub fn new(template: impl Into<String>) -> Self {
        Self {
            template: template.into().into(),
            claim: None,
            allowed: Vec::new(),
            predicate: None,
            any: false,
        }
    }

    /// Sets the claim that must have the value of the placeholder. The default is the claim with the name of
    /// the placeholder. A path with dots leads into nested objects.
    #[must_use]
    pub fn claim(mut self, path: impl AsRef<str>) -> Self {
        self.claim = Some(ClaimPath::new(path.as_ref()));
        self
    }

    /// Adds values that are allowed for the placeholder, such as the ids of tenants.
    #[must_use]
    pub fn one_of(mut self, values: impl Names) -> Self {
        values.for_each(&mut |value| self.allowed.push(value.into()));
        self
    }

    /// Sets a function that decides which further values are allowed. It is called for each request, even if
    /// the token is cached, so it must not block. If it panics, the request is answered with 500.
    #[must_use]
    pub fn when(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(allowed));
        self
    }

    /// Allows every value.
    ///
    /// # Security
    ///
    /// With Entra ID, anybody can create a tenant, and users with any name in it. So the handlers must check
    /// the issuer of every token, or the claim with the tenant.
    #[must_use]
    pub fn dangerous_any(mut self) -> Self {
        self.any = true;
        self
    }

    /// Checks the template, and that at least one value is allowed.
    pub(crate) fn checked(self) -> Result<CheckedPattern, ConfigError> {
        let wrong = |what: &str| {
            ConfigError::invalid(format!(
                "the issuer pattern `{}` {what}",
                self.template.escape_default().take(256).collect::<String>()
            ))
        };
        let parts = self.template.split_once('{').and_then(|(prefix, rest)| {
            let (name, suffix) = rest.split_once('}')?;
            (!prefix.is_empty() && !suffix.contains(['{', '}'])).then_some((prefix, name, suffix))
        });
        let Some((prefix, name, suffix)) = parts else {
            return Err(wrong(
                "must have exactly one placeholder in braces, after its beginning: write one such as \
                 `https://login.microsoftonline.com/{tid}/v2.0`",
            ));
        };
        if self.template.trim().len() < self.template.len() {
            return Err(wrong("begins or ends with white space: remove it"));
        }
        let claim = match &self.claim {
            Some(claim) => claim.clone(),
            None => ClaimPath::new(name),
        };
        if !claim.is_valid() {
            return Err(wrong(
                "has a placeholder without a name: name it after the claim with the same text",
            ));
        }
        if !self.any && self.allowed.is_empty() && self.predicate.is_none() {
            return Err(wrong(
                "allows nobody: call `one_of` with the ids of the tenants, or `when` with a function",
            ));
        }
        if let Some(value) = self.allowed.iter().find(|value| !is_value(value)) {
            return Err(wrong(&format!(
                "can never have `{}` in it: use letters, digits, `-`, `_`, `.` and `~`",
                value.escape_default().take(64).collect::<String>()
            )));
        }
        Ok(CheckedPattern {
            prefix: prefix.into(),
            suffix: suffix.into(),
            claim,
            pattern: self,
        })
    }
}

impl fmt::Debug for IssuerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerPattern")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

// === impl CheckedPattern ===

impl CheckedPattern {
    pub(crate) fn template(&self) -> &str {
        &self.pattern.template
    }

    /// Whether the issuer has this form. It need not be allowed.
    pub(crate) fn fits(&self, issuer: &str) -> bool {
        self.value_in(issuer).is_some()
    }

    /// Checks that the claim has the value of the placeholder, and that the value is allowed. Returns `None`
    /// if the issuer has another form.
    pub(super) fn check(&self, issuer: &str, claim: &Found) -> Option<Result<(), AuthError>> {
        let value = self.value_in(issuer)?;
        let same = matches!(claim, Found::Text(text) if **text == *value);
        let reason = if !same {
            &Reason {
                code: "issuer_claim_differs",
                message: "the token's issuer and the claim that names its tenant differ",
            }
        } else {
            match catch_unwind(AssertUnwindSafe(|| self.allows(value))) {
                Ok(true) => return Some(Ok(())),
                Ok(false) => &Reason {
                    code: "tenant_not_allowed",
                    message: "the token's issuer matches the pattern, but its tenant is not allowed",
                },
                Err(_) => {
                    let error = AuthError::new(AuthErrorKind::Internal);
                    let panicked = "the function that allows tenants panicked";
                    return Some(Err(error.because(panicked)));
                }
            }
        };
        Some(Err(
            AuthError::new(AuthErrorKind::InvalidIssuer).because(reason)
        ))
    }

    fn allows(&self, value: &str) -> bool {
        let IssuerPattern {
            allowed,
            predicate,
            any,
            ..
        } = &self.pattern;
        *any || allowed.iter().any(|one| **one == *value)
            || predicate.as_ref().is_some_and(|predicate| predicate(value))
    }

    fn value_in<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        let value = issuer
            .strip_prefix(&*self.prefix)?
            .strip_suffix(&*self.suffix)?;
        is_value(value).then_some(value)
    }
}

impl fmt::Debug for CheckedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.pattern, f)
    }
}

/// Whether a placeholder can have this value: unreserved characters only (RFC 3986 section 2.3), so that it
/// is never more than one segment of a path, or a part of a host name.
fn is_value(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    !text.is_empty() && text.len() <= MAX_VALUE_BYTES && text.bytes().all(is_plain)
}
