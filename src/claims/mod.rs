//! The registered claims (RFC 7519 section 4.1) and their types.

pub(crate) mod set;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

/// The claims that this crate sets when it issues a token, so that a custom claim cannot have these names.
pub const RESERVED_CLAIMS: [&str; 11] = [
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "type", "scope", "sid", "cnf",
];

/// The audiences of a token. In JSON, they are a string or an array of strings (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience(Vec<String>);

/// The type of a token, as in the `type` claim and the `typ` header.
///
/// A verifier accepts exactly one type, so that no token can be used in place of another (RFC 8725 section
/// 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// An access token, which gives access to resources: `type: access`, `typ: at+jwt` (RFC 9068 section
    /// 2.1).
    Access,
    /// A refresh token, which is exchanged for new tokens and gives access to nothing else: `type: refresh`,
    /// `typ: rt+jwt`.
    Refresh,
}

/// A date in seconds since 1970-01-01T00:00:00Z, with or without a fraction (RFC 7519 section 2).
///
/// It is a number from 0 to 2^53. Deserializing anything else fails.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct NumericDate(f64);

/// The largest whole number up to which a JSON number is exact in every implementation.
const MAX_DATE: f64 = 9_007_199_254_740_992.0;

// === impl NumericDate ===

impl NumericDate {
    /// Makes a date from seconds since the Unix epoch. Returns `None` if the number is not from 0 to 2^53,
    /// because JSON parsers do not agree on larger numbers.
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Option<Self> {
        (0.0..=MAX_DATE).contains(&seconds).then_some(Self(seconds))
    }

    /// Returns the whole seconds since the Unix epoch, without the fraction.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^53 by construction
    pub const fn as_secs(self) -> u64 {
        self.0 as u64
    }

    /// Returns the seconds since the Unix epoch, with the fraction.
    #[must_use]
    pub const fn as_secs_f64(self) -> f64 {
        self.0
    }

    /// Returns the date as a `SystemTime`, or `None` if the system cannot represent it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(self.0).ok()?)
    }
}

impl From<SystemTime> for NumericDate {
    /// Converts a time. A time before the Unix epoch becomes the epoch.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs_f64().min(MAX_DATE))
    }
}

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            serializer.serialize_u64(self.as_secs())
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Self::from_secs_f64(seconds)
            .ok_or_else(|| serde::de::Error::custom("a date must be 0 to 2^53 seconds"))
    }
}

// === impl Audience ===

impl Audience {
    /// Returns whether there are no audiences.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether `audience` is one of the audiences, compared byte by byte.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|one| one == audience)
    }

    /// Returns the audiences, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> IntoIterator for &'a Audience {
    type Item = &'a str;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, String>, fn(&String) -> &str>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> From<S> for Audience {
    fn from(audience: S) -> Self {
        Self(vec![audience.into()])
    }
}

impl<S: Into<String>> FromIterator<S> for Audience {
    fn from_iter<I: IntoIterator<Item = S>>(audiences: I) -> Self {
        Self(audiences.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => Self(vec![one]),
            OneOrMany::Many(many) => Self(many),
        })
    }
}

// === impl TokenType ===

impl TokenType {
    /// Returns the value of the `type` claim.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    /// Returns the value of the `typ` header with which tokens of this type are issued.
    #[must_use]
    pub const fn header_typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `scope` is a scope-token (RFC 6749 section 3.3).
pub(crate) const fn is_scope_token(scope: &str) -> bool {
    let bytes = scope.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !matches!(bytes[index], 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty()
}

/// Joins scopes by single spaces.
pub(crate) fn join_scopes<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> String {
    let mut joined = String::new();
    for scope in scopes {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(scope.as_ref());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::{Audience, NumericDate};

    #[test]
    fn a_date_is_a_number_from_zero_to_two_to_the_53() {
        for good in ["0", "1.5", "1700000000", "9007199254740992", "1e3"] {
            assert!(serde_json::from_str::<NumericDate>(good).is_ok(), "{good}");
        }
        for bad in [
            "-1",
            "\"1\"",
            "null",
            "9007199254740994",
            "1e400",
            "[]",
            "true",
        ] {
            assert!(serde_json::from_str::<NumericDate>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_single_audience_is_written_as_a_string() {
        let one = Audience::from("api");
        let two: Audience = ["api", "admin"].into_iter().collect();
        assert_eq!(serde_json::to_string(&one).unwrap(), r#""api""#);
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"["api","admin"]"#);
        assert_eq!(
            serde_json::from_str::<Audience>(r#"["api","admin"]"#).unwrap(),
            two
        );
    }
}
