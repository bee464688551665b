//! [`ClaimValue`]: the value that a claim must have.

use std::borrow::Cow;

use crate::policy::Scalar;

/// The value that a claim must have: a string, an integer, `true` or `false`.
///
/// Types are never converted: the string `"42"` does not equal the number `42`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimValue(Value);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Box<str>),
    Integer(i128),
    Bool(bool),
}

// === impl ClaimValue ===

impl ClaimValue {
    /// Whether it is an empty string, which stands for a value that is not set and never equals a claim.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.0, Value::Text(text) if text.is_empty())
    }

    pub(super) fn is(&self, found: Scalar<'_>) -> bool {
        match (&self.0, found) {
            (Value::Text(text), Scalar::Text(found)) => !text.is_empty() && **text == *found,
            (Value::Integer(integer), Scalar::Integer(found)) => *integer == found,
            (Value::Bool(value), Scalar::Bool(found)) => *value == found,
            _ => false,
        }
    }
}

macro_rules! from {
    ($variant:ident: $($type:ty),*) => {$(
        impl From<$type> for ClaimValue {
            fn from(value: $type) -> Self {
                Self(Value::$variant(value.into()))
            }
        }
    )*};
}

from!(Text: &str, String, Box<str>, Cow<'_, str>);
from!(Integer: u8, u16, u32, u64, i8, i16, i32, i64);
from!(Bool: bool);

impl From<&String> for ClaimValue {
    fn from(value: &String) -> Self {
        Self::from(value.as_str())
    }
}
