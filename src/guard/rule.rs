//! [`Rule`]: the tree of rules in a requirement, and the one function that evaluates it.

use std::fmt;
use std::ops::BitOr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::check::{Check, Known};
use super::value::ClaimValue;
use crate::error::{AuthError, AuthErrorKind};
use crate::policy::{Among, ClaimPath, DEFAULT_LEEWAY, Scalar, claim_passes};
use crate::verifier::VerifiedToken;

type Predicate = dyn Fn(&VerifiedToken) -> bool + Send + Sync;

#[derive(Clone)]
pub(super) enum Rule {
    Scopes {
        names: Box<[Box<str>]>,
        all: bool,
    },
    Roles {
        names: Box<[Box<str>]>,
        all: bool,
    },
    Claim(ClaimTest),
    RecentLogin(Duration),
    Level(Box<[Box<str>]>),
    That(Arc<Predicate>),
    Check(Check),
    /// Any verified token.
    Token,
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// A claim that must have one of these values.
#[derive(Clone)]
pub(super) struct ClaimTest {
    pub(super) path: ClaimPath,
    pub(super) values: Box<[ClaimValue]>,
    pub(super) among: Among,
}

/// What a token lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lacking(u8);

/// The result of a decision with the answers that are known so far.
pub(super) enum Verdict<'r> {
    Pass,
    Denied(Lacking),
    /// The decision depends on the answer of this check.
    Pending(&'r Check),
    /// A predicate has panicked, or a check has failed.
    Failed(AuthError),
}

/// What the challenge of a requirement names.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) scopes: Vec<Box<str>>,
    pub(super) levels: Vec<Box<str>>,
    pub(super) max_age: Option<Duration>,
}

// === impl Lacking ===

impl Lacking {
    pub(super) const SCOPE: Self = Self(1);
    pub(super) const LOGIN: Self = Self(2);
    pub(super) const PERMISSION: Self = Self(4);
    /// A role, while the token has no roles at all: most likely the verifier does not know the claim with
    /// them.
    pub(super) const ANY_ROLE: Self = Self(8 | 4);
    const NOTHING: Self = Self(0);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Lacking {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

// === impl Rule ===

impl Rule {
    /// Decides by the token and by the known answers of checks, without I/O.
    ///
    /// With `and`, one denial denies, even if another rule has failed or is not known yet. With `or`, one
    /// pass suffices. What a token lacks is collected from all rules, so that the challenge names all of it.
    pub(super) fn judge(&self, token: &VerifiedToken, known: &Known) -> Verdict<'_> {
        let lacking = match self {
            Self::All(rules) => return all(rules, token, known),
            Self::Any(rules) => return any(rules, token, known),
            Self::Check(check) => return known.verdict(check),
            Self::Token => return Verdict::Pass,
            Self::That(predicate) => {
                // This is code of the application. A panic must neither let the request pass nor close the
                // connection.
                match catch_unwind(AssertUnwindSafe(|| predicate(token))) {
                    Ok(true) => return Verdict::Pass,
                    Ok(false) => Lacking::PERMISSION,
                    Err(_) => return Verdict::Failed(panicked()),
                }
            }
            Self::Scopes { names, all } if has(names, *all, |name| token.has_scope(name)) => {
                return Verdict::Pass;
            }
            Self::Roles { names, all } if has(names, *all, |name| token.has_role(name)) => {
                return Verdict::Pass;
            }
            Self::Claim(test) if test.passes(token) => return Verdict::Pass,
            Self::RecentLogin(max_age) if is_recent(token, *max_age) => return Verdict::Pass,
            Self::Level(levels) if has_level(token, levels) => return Verdict::Pass,
            Self::Scopes { .. } => Lacking::SCOPE,
            Self::Roles { .. } if token.roles().next().is_none() => Lacking::ANY_ROLE,
            Self::Roles { .. } | Self::Claim(_) => Lacking::PERMISSION,
            Self::RecentLogin(_) | Self::Level(_) => Lacking::LOGIN,
        };
        Verdict::Denied(lacking)
    }

    pub(super) fn needs_io(&self) -> bool {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().any(Self::needs_io),
            Self::Check(_) => true,
            _ => false,
        }
    }

    /// Collects what a challenge names.
    pub(super) fn collect(&self, needed: &mut Needed) {
        let add = |known: &mut Vec<Box<str>>, names: &[Box<str>]| {
            for name in names {
                if !known.contains(name) {
                    known.push(name.clone());
                }
            }
        };
        match self {
            Self::All(rules) | Self::Any(rules) => {
                rules.iter().for_each(|rule| rule.collect(needed));
            }
            Self::Scopes { names, .. } => add(&mut needed.scopes, names),
            Self::Level(levels) => add(&mut needed.levels, levels),
            Self::RecentLogin(age) => {
                needed.max_age = Some(needed.max_age.map_or(*age, |known| known.min(*age)));
            }
            _ => {}
        }
    }

    /// Returns the number of rules and names, and the number of levels.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Self::All(rules) | Self::Any(rules) => {
                rules.iter().fold((0, 1), |(size, depth), rule| {
                    let (more, deeper) = rule.size();
                    (size + more, depth.max(deeper + 1))
                })
            }
            Self::Scopes { names, .. } | Self::Roles { names, .. } | Self::Level(names) => {
                (names.len(), 1)
            }
            Self::Claim(test) => (test.values.len(), 1),
            Self::RecentLogin(_) | Self::That(_) | Self::Check(_) | Self::Token => (1, 1),
        }
    }
}

fn all<'r>(rules: &'r [Rule], token: &VerifiedToken, known: &Known) -> Verdict<'r> {
    let (mut lacking, mut failed, mut pending) = (Lacking::NOTHING, None, None);
    for rule in rules {
        match rule.judge(token, known) {
            Verdict::Pass => {}
            Verdict::Denied(more) => lacking = lacking | more,
            Verdict::Failed(error) => failed = failed.or(Some(error)),
            Verdict::Pending(check) => pending = pending.or(Some(check)),
        }
    }
    if lacking != Lacking::NOTHING {
        return Verdict::Denied(lacking);
    }
    // After an outage no further check is called, because the verdict cannot become a pass.
    match (failed, pending) {
        (Some(error), _) => Verdict::Failed(error),
        (None, Some(check)) => Verdict::Pending(check),
        (None, None) => Verdict::Pass,
    }
}

fn any<'r>(rules: &'r [Rule], token: &VerifiedToken, known: &Known) -> Verdict<'r> {
    let (mut lacking, mut failed, mut pending) = (Lacking::NOTHING, None, None);
    for rule in rules {
        match rule.judge(token, known) {
            Verdict::Pass => return Verdict::Pass,
            Verdict::Denied(more) => lacking = lacking | more,
            Verdict::Failed(error) => failed = failed.or(Some(error)),
            Verdict::Pending(check) => pending = pending.or(Some(check)),
        }
    }
    match (pending, failed) {
        (Some(check), _) => Verdict::Pending(check),
        (None, Some(error)) => Verdict::Failed(error),
        (None, None) => Verdict::Denied(lacking),
    }
}

fn has(names: &[Box<str>], all: bool, has_it: impl Fn(&str) -> bool) -> bool {
    // `all` would be true for an empty list.
    !names.is_empty()
        && if all {
            names.iter().all(|name| has_it(name))
        } else {
            names.iter().any(|name| has_it(name))
        }
}

/// Whether the login is at most this old. A time in the future, beyond the leeway for clocks, does not count.
fn is_recent(token: &VerifiedToken, max_age: Duration) -> bool {
    let now = token.now();
    let recent = |found: Scalar<'_>| {
        let at = match found {
            Scalar::Integer(seconds) => seconds as f64,
            Scalar::Float(seconds) => seconds,
            _ => return false,
        };
        at >= 0.0 && at <= now + DEFAULT_LEEWAY.as_secs_f64() && now - at <= max_age.as_secs_f64()
    };
    claim_passes(token.payload(), "auth_time", Among::Value, &recent)
}

fn has_level(token: &VerifiedToken, levels: &[Box<str>]) -> bool {
    let test = |found: Scalar<'_>| match found {
        Scalar::Text(level) => levels.iter().any(|one| **one == *level),
        _ => false,
    };
    claim_passes(token.payload(), "acr", Among::Value, &test)
}

pub(super) fn panicked() -> AuthError {
    AuthError::new(AuthErrorKind::Internal)
        .because("a predicate of a guard has panicked, so nobody is let through")
}

// === impl ClaimTest ===

impl ClaimTest {
    fn passes(&self, token: &VerifiedToken) -> bool {
        let test = |found: Scalar<'_>| self.values.iter().any(|value| value.is(found));
        claim_passes(token.payload(), self.path.as_str(), self.among, &test)
    }
}

/// Describes the rule for logs, without the values of claims, because these may come from a request.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, what: &str, all: bool, names: &[Box<str>]| {
            let (how, what) = match (names.len(), all) {
                (1, _) => ("", what.to_owned()),
                (_, true) => ("all of the ", format!("{what}s")),
                (_, false) => ("one of the ", format!("{what}s")),
            };
            write!(f, "{how}{what} `{}`", names.join(" "))
        };
        let join = |f: &mut fmt::Formatter<'_>, word: &str, rules: &[Self]| {
            for (index, rule) in rules.iter().enumerate() {
                let between = if index == 0 { "" } else { word };
                match rule {
                    Self::All(_) | Self::Any(_) => write!(f, "{between}({rule})")?,
                    rule => write!(f, "{between}{rule}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Scopes { names, all } => list(f, "scope", *all, names),
            Self::Roles { names, all } => list(f, "role", *all, names),
            Self::Claim(test) => write!(f, "a certain value of the claim `{}`", test.path.as_str()),
            Self::RecentLogin(age) => write!(f, "a login at most {} s ago", age.as_secs()),
            Self::Level(levels) => list(f, "authentication level", false, levels),
            Self::That(_) => f.write_str("a predicate"),
            Self::Check(_) => f.write_str("a permission"),
            Self::Token => f.write_str("a token"),
            Self::All(rules) => join(f, " and ", rules),
            Self::Any(rules) => join(f, " or ", rules),
        }
    }
}
