//! [`Require`]: what a token must have.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::check::Check;
use super::problem::{MAX_DEPTH, MAX_SIZE, Problem};
use super::rule::{ClaimTest, Rule};
use super::scopes::Scopes;
use super::value::ClaimValue;
use crate::claims::is_scope_token;
use crate::error::ConfigError;
use crate::names::Names;
use crate::policy::{Among, ClaimPath};
use crate::verifier::VerifiedToken;

/// A requirement that a token must meet: scopes, roles, claims, permissions, a recent login.
///
/// It is a tower layer for routes behind a [`JwtAuthLayer`](crate::JwtAuthLayer). Handlers can check it by
/// [`VerifiedToken::require`], and there are extractors: [`Scoped`](super::Scoped) for scopes,
/// [`Allowed`](super::Allowed) for any requirement. The [module](super) lists the responses.
///
/// Combine requirements by [`and`](Self::and) and [`or`](Self::or). A clone is cheap.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use tower_jwt_auth::{JwtAuthLayer, Require};
///
/// # fn example(verifier: tower_jwt_auth::TokenVerifier) {
/// let app: Router = Router::new()
///     .route("/reports", get(async || "..."))
///     .route_layer(Require::scope("reports:read").and(Require::role("auditor").or(Require::role("admin"))))
///     .route_layer(JwtAuthLayer::new(verifier)); // added last, so it runs first
/// # let _ = app; } }
/// ```
///
/// # Security
///
/// An empty requirement lets nobody through. If a name is empty, for example because a variable is not set,
/// every request is answered with 500, and the error says why. A malformed name matches no token. If names
/// come from a configuration, [`checked`](Self::checked) finds both mistakes at start-up.
#[derive(Clone)]
#[must_use = "a requirement does nothing until it is a layer or is given to `VerifiedToken::require`"]
pub struct Require {
    pub(super) inner: Arc<Inner>,
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) rule: Rule,
    pub(super) needs_io: bool,
    pub(super) problem: Option<Problem>,
}

// === impl Require ===

impl Require {
    /// Requires this scope. A string with several scopes, separated by spaces, requires all of them.
    ///
    /// ```
    /// use tower_jwt_auth::Require;
    ///
    /// let reports = Require::scope("reports:read");
    /// # let _ = reports;
    /// ```
    pub fn scope(scope: impl Names) -> Self {
        Self::all_scopes(scope)
    }

    /// Requires every one of these scopes.
    ///
    /// ```
    /// use tower_jwt_auth::Require;
    ///
    /// let configured = vec![String::from("reports:read"), String::from("reports:write")];
    /// for same in [
    ///     Require::all_scopes("reports:read reports:write"),
    ///     Require::all_scopes(["reports:read", "reports:write"]),
    ///     Require::all_scopes(&configured),
    ///     Require::all_scopes(configured),
    /// ] {
    ///     assert_eq!(same.to_string(), "all of the scopes `reports:read reports:write`");
    /// }
    /// ```
    pub fn all_scopes(scopes: impl Names) -> Self {
        Self::scopes(scopes, true)
    }

    /// Requires at least one of these scopes: `["reports:read", "admin"]`.
    ///
    /// Each string must name one scope, because `["reports:read reports:write", "admin"]` would be ambiguous.
    /// No token matches a string with a space, and [`checked`](Self::checked) reports it. Write
    /// `Require::all_scopes("reports:read reports:write").or(Require::scope("admin"))` instead.
    pub fn any_scope(scopes: impl Names) -> Self {
        Self::scopes(scopes, false)
    }

    /// Requires the scopes of a type: see [`Scoped`](super::Scoped).
    pub fn scoped<S: Scopes>() -> Self {
        S::requirement()
    }

    /// Requires this role, among the [roles](VerifiedToken::roles) of the token.
    ///
    /// Tokens of this crate have their roles in the claim `roles`. For tokens of a provider, set the claim by
    /// [`role_claim`](crate::verifier::TokenVerifierBuilder::role_claim) of the verifier; without it, the
    /// tokens have no roles, and nobody passes.
    pub fn role(role: impl Names) -> Self {
        Self::all_roles(role)
    }

    /// Requires every one of these roles. A role may contain spaces, so each string is one role.
    pub fn all_roles(roles: impl Names) -> Self {
        Self::roles(roles, true)
    }

    /// Requires at least one of these roles. A role may contain spaces, so each string is one role.
    pub fn any_role(roles: impl Names) -> Self {
        Self::roles(roles, false)
    }

    /// Requires that a claim has this value: a string, an integer, `true` or `false`.
    ///
    /// A path with dots leads into nested objects, unless a claim has the whole path as its name. A claim
    /// that is missing, `null`, an object or an array does not match. Types are never converted: the number
    /// `42` does not equal the string `"42"`.
    ///
    /// An empty string matches no claim, so a value that is not set lets nobody through.
    ///
    /// ```
    /// use tower_jwt_auth::Require;
    ///
    /// let verified = Require::claim("email_verified", true);
    /// let tenant = Require::claim("org.id", "acme");
    /// # let _ = (verified, tenant);
    /// ```
    pub fn claim(path: impl AsRef<str>, value: impl Into<ClaimValue>) -> Self {
        Self::claim_test(path.as_ref(), [value], Among::Value)
    }

    /// Requires that a claim has one of these values, which are compared as in [`claim`](Self::claim).
    pub fn claim_one_of<V: Into<ClaimValue>>(
        path: impl AsRef<str>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::claim_test(path.as_ref(), values, Among::Value)
    }

    /// Requires that a claim is an array that contains this value, or is the value itself: for example a
    /// group in `groups`, or a login method such as `otp` in `amr` (RFC 8176).
    pub fn claim_contains(path: impl AsRef<str>, value: impl Into<ClaimValue>) -> Self {
        Self::claim_test(path.as_ref(), [value], Among::Items)
    }

    /// Requires a login that is at most this old, by the claim `auth_time` and the clock of the verifier.
    ///
    /// Otherwise the response is 401 `insufficient_user_authentication` with `max_age` (RFC 9470), which
    /// tells the client to have the user log in again. A token does not pass if its `auth_time` is missing,
    /// is not a number, or is more than 30 seconds in the future.
    ///
    /// [`Sessions`](crate::Sessions) puts the time of the login into every access token. A token that is
    /// issued without a session has it if [`auth_time`](crate::issuer::TokenRequest::auth_time) was called.
    pub fn recent_login(max_age: Duration) -> Self {
        let problem = (max_age < Duration::from_secs(1)).then_some(Problem::MaxAge);
        Self::of(Rule::RecentLogin(max_age), problem)
    }

    /// Requires one of these authentication levels in the claim `acr`, the preferred one first.
    ///
    /// Otherwise the response is 401 `insufficient_user_authentication` with `acr_values` (RFC 9470), which
    /// tells the client to have the user log in with another factor. Levels have no known order and are
    /// compared as strings: name every level that suffices.
    pub fn acr(levels: impl Names) -> Self {
        let (levels, is_empty) = words(&texts(levels));
        let malformed = levels.iter().find(|level| !is_scope_token(level));
        let problem = match malformed {
            _ if is_empty => Some(Problem::EmptyLevel),
            Some(level) => Some(Problem::MalformedLevel(level.clone())),
            None => None,
        };
        Self::of(Rule::Level(levels.into()), problem)
    }

    /// Requires that this predicate returns `true`.
    ///
    /// It runs for each request and must not block. To ask a database, use [`that_async`](Self::that_async).
    /// If the predicate panics, the response is 500.
    ///
    /// ```
    /// use tower_jwt_auth::Require;
    ///
    /// let not_suspended = Require::that(|token| !token.has_role("suspended"));
    /// # let _ = not_suspended;
    /// ```
    pub fn that(predicate: impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static) -> Self {
        Self::of(Rule::That(Arc::new(predicate)), None)
    }

    /// Requires that this async predicate returns `Ok(true)`, for example to look up permissions in a
    /// database. It is given a clone of `state` and of the token.
    ///
    /// An error means that the predicate cannot decide now: the request is answered with 503 and
    /// `Retry-After`. If the error is an [`AuthError`](crate::AuthError), it is used as it is, so that the
    /// predicate can set another `Retry-After`. If the predicate panics, the response is 500.
    ///
    /// The predicate is called only if the rest of the requirement does not decide: a token without the scope
    /// causes no I/O. It has no timeout and no cache of its own; the guide has a
    /// [recipe](crate::guide::permissions#permissions-from-a-database-with-a-cache) with both.
    ///
    /// ```
    /// use tower_jwt_auth::{Require, VerifiedToken};
    ///
    /// #[derive(Clone)]
    /// struct Database;
    ///
    /// async fn may_refund(database: Database, token: VerifiedToken) -> Result<bool, std::io::Error> {
    ///     // SELECT EXISTS (SELECT 1 FROM permissions WHERE ...)
    /// #   let _ = (database, token);
    ///     Ok(true)
    /// }
    ///
    /// let refund = Require::scope("orders:write").and(Require::that_async(Database, may_refund));
    /// # let _ = refund;
    /// ```
    pub fn that_async<T, F, Fut, E>(state: T, predicate: F) -> Self
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(T, VerifiedToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::of(Rule::Check(Check::new(state, predicate)), None)
    }

    /// Requires only a verified token, for routes behind an [optional](crate::JwtAuthLayer::optional) layer.
    /// Without a token, the response is 401.
    pub fn token() -> Self {
        Self::of(Rule::Token, None)
    }

    /// Requires both this requirement and another one.
    pub fn and(self, other: Self) -> Self {
        self.combined(other, true)
    }

    /// Requires this requirement or another one.
    ///
    /// If a token meets neither, the challenge names the scopes of both, because the client may ask for
    /// either.
    pub fn or(self, other: Self) -> Self {
        self.combined(other, false)
    }

    /// Checks the requirement itself. Call it at start-up if names come from a configuration.
    ///
    /// # Errors
    ///
    /// Fails if a name, a path or a value is empty, if a scope or an authentication level is malformed (RFC
    /// 6749 section 3.3), if a string of [`any_scope`](Self::any_scope) names several scopes, if a maximum
    /// age is less than 1 second, or if there are more than 1024 rules and names or more than 32 levels of
    /// `and` and `or`.
    ///
    /// ```
    /// use tower_jwt_auth::Require;
    ///
    /// assert!(Require::scope("reports:read").checked().is_ok());
    /// let unset = std::env::var("REPORTS_SCOPE").unwrap_or_default();
    /// let error = Require::scope(unset).checked().unwrap_err();
    /// assert!(error.to_string().starts_with("a required scope is empty"));
    /// ```
    pub fn checked(self) -> Result<Self, ConfigError> {
        match &self.inner.problem {
            Some(problem) => Err(problem.config_error()),
            None => Ok(self),
        }
    }

    fn of(rule: Rule, problem: Option<Problem>) -> Self {
        let (size, _) = rule.size();
        let problem = problem.or_else(|| (size > MAX_SIZE).then_some(Problem::TooLarge));
        let needs_io = rule.needs_io();
        Self {
            inner: Arc::new(Inner {
                rule,
                needs_io,
                problem,
            }),
        }
    }

    fn scopes(scopes: impl Names, all: bool) -> Self {
        let texts = texts(scopes);
        let (words, is_empty) = words(&texts);
        let malformed = words.iter().find(|name| !is_scope_token(name));
        let problem = match malformed {
            _ if is_empty => Some(Problem::EmptyScope),
            Some(scope) => Some(Problem::MalformedScope(scope.clone())),
            None if all || words.len() == texts.len() => None,
            None => Some(Problem::SeveralInOne(texts.join(" ").into())),
        };
        // An alternative with a space is never split: otherwise each of its words alone would suffice.
        let names = if all { words } else { texts };
        let names = names.into();
        Self::of(Rule::Scopes { names, all }, problem)
    }

    fn roles(roles: impl Names, all: bool) -> Self {
        let names = texts(roles);
        let is_empty = names.is_empty() || names.iter().any(|role| role.trim().is_empty());
        let problem = is_empty.then_some(Problem::EmptyRole);
        let names = names.into();
        Self::of(Rule::Roles { names, all }, problem)
    }

    fn claim_test<V: Into<ClaimValue>>(
        path: &str,
        values: impl IntoIterator<Item = V>,
        among: Among,
    ) -> Self {
        let test = ClaimTest {
            path: ClaimPath::new(path),
            values: values.into_iter().map(Into::into).collect(),
            among,
        };
        let is_empty = test.values.is_empty() || test.values.iter().any(ClaimValue::is_empty);
        let problem = match test.path.is_valid() {
            false => Some(Problem::ClaimPath),
            true => is_empty.then(|| Problem::EmptyValue(path.into())),
        };
        Self::of(Rule::Claim(test), problem)
    }

    fn combined(self, other: Self, all: bool) -> Self {
        // A requirement that is too large stops growing, however often it is combined.
        for one in [&self, &other] {
            if matches!(one.inner.problem, Some(Problem::TooLarge)) {
                return Self::too_large();
            }
        }
        let (ours, theirs) = (self.into_inner(), other.into_inner());
        // A problem that refuses every request takes precedence over one that refuses only some.
        let (first, second) = (ours.problem, theirs.problem);
        let problem = match (&first, &second) {
            (Some(one), Some(_)) if one.is_only_unmet() => second,
            _ => first.or(second),
        };
        let mut rules = Vec::new();
        for rule in [ours.rule, theirs.rule] {
            match rule {
                Rule::All(more) if all => rules.extend(more),
                Rule::Any(more) if !all => rules.extend(more),
                rule => rules.push(rule),
            }
        }
        let rule = if all {
            Rule::All(rules)
        } else {
            Rule::Any(rules)
        };
        let (size, depth) = rule.size();
        if size > MAX_SIZE || depth > MAX_DEPTH {
            return Self::too_large();
        }
        Self::of(rule, problem)
    }

    fn too_large() -> Self {
        Self::of(Rule::Any(Vec::new()), Some(Problem::TooLarge))
    }

    fn into_inner(self) -> Inner {
        Arc::try_unwrap(self.inner).unwrap_or_else(|shared| Inner::clone(&shared))
    }
}

fn texts(names: impl Names) -> Vec<Box<str>> {
    let mut texts = Vec::new();
    names.for_each(&mut |text| texts.push(text.into()));
    texts
}

/// Returns the words of all strings, and whether a string has no word or there is no string.
fn words(texts: &[Box<str>]) -> (Vec<Box<str>>, bool) {
    let is_empty = texts.is_empty() || texts.iter().any(|text| text.trim_ascii().is_empty());
    let words = texts.iter().flat_map(|text| text.split_ascii_whitespace());
    (words.map(Box::from).collect(), is_empty)
}

/// Describes the requirement for logs, without the values of claims.
impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.rule.fmt(f)
    }
}

impl fmt::Debug for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require")
            .field(&format_args!("{self}"))
            .finish()
    }
}
