//! Reads the value of a claim from the text of a payload, by a name or a path as in
//! [`ClaimPath`](super::ClaimPath). It allocates nothing unless a name or a string contains escapes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::codec::{NUMBER_MEMBER, Skip};

/// A value that is neither `null` nor an object nor an array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Bool(bool),
    Integer(i128),
    Float(f64),
}

/// The values to which a test is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Among {
    /// The value of the claim. An array never passes.
    Value,
    /// The value of the claim or, if that is an array, its items, one of which must pass.
    Items,
}

/// The deepest allowed nesting of a claim's value. The verifier has already refused payloads that nest
/// deeper.
const MAX_DEPTH: u8 = 31;

type Test<'t> = &'t dyn Fn(Scalar<'_>) -> bool;

/// Whether the value at this path passes the test. A claim that is missing, `null` or an object passes no
/// test.
pub(crate) fn claim_passes(payload: &str, path: &str, among: Among, test: Test<'_>) -> bool {
    let look = |name: &str, rest: Option<&str>| {
        let seed = Member {
            name,
            rest,
            among,
            test,
            depth: MAX_DEPTH,
        };
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        Deserializer::deserialize_map(&mut deserializer, seed)
            .ok()
            .flatten()
    };
    // A claim whose full name equals the path takes precedence, as in `ClaimPath::find`.
    let whole = look(path, None);
    whole
        .or_else(|| {
            let (first, rest) = path.split_once('.')?;
            look(first, Some(rest))
        })
        .unwrap_or(false)
}

/// Reads the member of an object, and what is below it. The result is `None` if the member is absent. If a
/// name occurs twice, the last one counts, as in `serde_json::Value`.
#[derive(Clone, Copy)]
struct Member<'t> {
    name: &'t str,
    rest: Option<&'t str>,
    among: Among,
    test: Test<'t>,
    depth: u8,
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<bool>, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsName(self.name))? {
            if is_it {
                found = map.next_value_seed(At(self))?;
            } else {
                map.next_value_seed(Skip(self.depth))?;
            }
        }
        Ok(found)
    }
}

/// A value: another object on the path, or the end of it.
struct At<'t>(Member<'t>);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl At<'_> {
    /// Handles a scalar, at which the path may or may not end.
    fn value(&self, found: Scalar<'_>) -> Option<bool> {
        self.0.rest.is_none().then(|| (self.0.test)(found))
    }

    /// Handles a value that passes no test.
    fn nothing(&self) -> Option<bool> {
        self.0.rest.is_none().then_some(false)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<bool>, E> {
        Ok(self.value(Scalar::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<bool>, E> {
        Ok(self.value(Scalar::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<bool>, E> {
        Ok(self.value(Scalar::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<bool>, E> {
        Ok(self.value(Scalar::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<bool>, E> {
        Ok(self.value(Scalar::Text(value)))
    }

    fn visit_unit<E>(self) -> Result<Option<bool>, E> {
        Ok(self.nothing())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<bool>, A::Error> {
        if self.0.rest.is_some() || self.0.among == Among::Value {
            while seq.next_element_seed(Skip(self.0.depth))?.is_some() {}
            return Ok(self.nothing());
        }
        let mut passed = false;
        let item = Member {
            among: Among::Value,
            depth: self.0.depth.saturating_sub(1),
            ..self.0
        };
        while let Some(result) = seq.next_element_seed(At(item))? {
            passed |= result == Some(true);
        }
        Ok(Some(passed))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<bool>, A::Error> {
        let (name, rest) = match self.0.rest {
            Some(rest) => match rest.split_once('.') {
                Some((name, rest)) => (name, Some(rest)),
                None => (rest, None),
            },
            None => (NUMBER_MEMBER, None),
        };
        let is_end = self.0.rest.is_none();
        let below = Member {
            name,
            rest,
            depth: self.0.depth.saturating_sub(1),
            ..self.0
        };
        if !is_end {
            return below.visit_map(map);
        }
        let mut result = Some(false);
        while let Some(is_number) = map.next_key_seed(IsName(name))? {
            if is_number {
                result = map.next_value_seed(NumberText(&self))?;
            } else {
                map.next_value_seed(Skip(self.0.depth))?;
            }
        }
        Ok(result)
    }
}

/// Reads a number that is represented as text.
struct NumberText<'a, 't>(&'a At<'t>);

impl<'de> DeserializeSeed<'de> for NumberText<'_, '_> {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NumberText<'_, '_> {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<bool>, E> {
        let integer = text.parse().map(Scalar::Integer).ok();
        let found = integer.or_else(|| text.parse().map(Scalar::Float).ok());
        Ok(found.map_or(Some(false), |found| self.0.value(found)))
    }
}

/// Compares the name of a member with this one.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Among, Scalar, claim_passes};

    fn is_text(path: &str, among: Among, text: &str) -> bool {
        let claims = json!({
            "tenant": "acme", "a.b": "whole", "a": {"b": "nested", "c": {"d": "deep"}},
            "amr": ["pwd", "otp", 5, ["inner"], {"x": "y"}], "null": null, "object": {"x": "acme"},
            "https://example.com/org": "acme", "number": 5, "yes": true, "empty": [],
        });
        let test = |found: Scalar<'_>| found == Scalar::Text(text);
        claim_passes(&claims.to_string(), path, among, &test)
    }

    #[test]
    fn a_value_is_found_by_name_and_by_path() {
        for (path, text) in [
            ("tenant", "acme"),
            ("a.b", "whole"),
            ("a.c.d", "deep"),
            ("https://example.com/org", "acme"),
            ("object.x", "acme"),
        ] {
            assert!(is_text(path, Among::Value, text), "{path}");
            assert!(is_text(path, Among::Items, text), "{path}");
            assert!(!is_text(path, Among::Value, "other"), "{path}");
        }
        assert!(!is_text("a.b", Among::Value, "nested"));
    }

    #[test]
    fn an_array_is_searched_only_on_request_and_only_one_level_deep() {
        assert!(is_text("amr", Among::Items, "otp"));
        assert!(!is_text("amr", Among::Value, "otp"));
        for none in ["inner", "y", "sms", "5", "[\"inner\"]"] {
            assert!(!is_text("amr", Among::Items, none), "{none}");
        }
    }

    #[test]
    fn a_value_of_another_type_passes_no_test_for_strings() {
        for path in [
            "null", "object", "number", "yes", "empty", "missing", "a.x", "tenant.x", "",
        ] {
            for among in [Among::Value, Among::Items] {
                for text in ["", "acme", "5", "true", "null", "x"] {
                    assert!(!is_text(path, among, text), "{path} {text}");
                }
            }
        }
    }

    #[test]
    fn the_last_of_two_nested_members_counts() {
        let passes = |payload: &str| {
            let test = |found: Scalar<'_>| found == Scalar::Text("x");
            claim_passes(payload, "a.b", Among::Value, &test)
        };
        assert!(passes(r#"{"a":{"b":"y","b":"x"}}"#));
        assert!(!passes(r#"{"a":{"b":"x","b":"y"}}"#));
        assert!(!passes(r#"{"a":{"b":"x","b":{}}}"#));
        for broken in ["", "[]", "\"x\"", r#"{"a":{"b":"x""#] {
            assert!(!passes(broken), "{broken}");
        }
    }

    #[test]
    fn numbers_keep_their_kind() {
        let found = |number: &str, expected: Scalar<'_>| {
            let payload = format!(r#"{{"n":{number}}}"#);
            claim_passes(&payload, "n", Among::Value, &|found| found == expected)
        };
        assert!(found("42", Scalar::Integer(42)));
        assert!(found("-42", Scalar::Integer(-42)));
        assert!(found(
            "18446744073709551615",
            Scalar::Integer(u64::MAX.into())
        ));
        assert!(found("1.5", Scalar::Float(1.5)));
        assert!(!found("\"42\"", Scalar::Integer(42)));
        assert!(!found("[42]", Scalar::Integer(42)));
    }
}
