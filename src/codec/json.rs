//! Strict reading of one JSON object: no duplicate members, no deep nesting, no trailing text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

/// The deepest allowed nesting, counting the object itself.
pub(super) const MAX_DEPTH: u8 = 32;

/// Receives the members of an object one by one.
pub(super) trait Members<'de> {
    /// Takes the value of the member `name`, or returns `false` to have it skipped.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads `text` as an object and passes on each member.
pub(super) fn read_object<'de, M: Members<'de>>(
    text: &'de str,
    members: &mut M,
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(ObjectVisitor(members))?;
    deserializer.end()
}

struct ObjectVisitor<'m, M>(&'m mut M);

impl<'de, M: Members<'de>> Visitor<'de> for ObjectVisitor<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(CowStr(name)) = map.next_key()? {
            if !self.0.member(&name, &mut map)? {
                map.next_value_seed(Skip(MAX_DEPTH - 1))?;
            }
            names.add(name);
        }
        if names.has_twice() {
            return Err(A::Error::custom("a member occurs twice")); // RFC 7519 section 4
        }
        Ok(())
    }
}

/// The names of the members so far.
#[derive(Default)]
struct Names<'a> {
    names: SmallVec<[Cow<'a, str>; FEW]>,
    /// A bit for each name. Two names seldom share a bit, and only then are they compared.
    marks: u64,
    twice: bool,
}

/// The number of names up to which comparing each new one is faster than sorting. Few tokens have more.
const FEW: usize = 16;

impl<'a> Names<'a> {
    fn add(&mut self, name: Cow<'a, str>) {
        let mark = 1 << (mark(&name) % 64);
        if self.marks & mark != 0 && self.names.len() < FEW {
            self.twice |= self.names.contains(&name);
        }
        self.marks |= mark;
        self.names.push(name);
    }

    fn has_twice(&mut self) -> bool {
        if self.names.len() <= FEW {
            return self.twice;
        }
        self.names.sort_unstable();
        self.names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// Hashes a name by its length and its first three letters, which tells the registered names apart.
fn mark(name: &str) -> usize {
    let letters = name.bytes().take(3);
    letters.fold(name.len(), |sum, byte| sum * 7 + usize::from(byte))
}

/// A string, borrowed if it contains no escapes.
pub(super) struct CowStr<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for CowStr<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CowStrVisitor)
    }
}

struct CowStrVisitor;

impl<'de> Visitor<'de> for CowStrVisitor {
    type Value = CowStr<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<CowStr<'de>, E> {
        Ok(CowStr(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<CowStr<'de>, E> {
        Ok(CowStr(Cow::Owned(text.to_owned())))
    }
}

/// The name of the member by which `serde_json` marks a number if any crate in the build enables its feature
/// `arbitrary_precision`. It then represents a number as an object with only this member, whose value is the
/// number's text.
pub(crate) const NUMBER_MEMBER: &str = "$serde_json::private::Number";

/// Reads a value and discards it. Refuses a value that nests deeper than this many levels.
#[derive(Clone, Copy)]
pub(crate) struct Skip(pub(crate) u8);

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Skip {
    pub(super) fn deeper<E: de::Error>(&self) -> Result<u8, E> {
        self.0
            .checked_sub(1)
            .ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while seq.next_element_seed(Skip(depth))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while map.next_key::<CowStr<'de>>()?.is_some() {
            map.next_value_seed(Skip(depth))?;
        }
        Ok(())
    }
}

/// The kinds of value that a registered claim can have.
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Number(f64),
    Null,
    Other,
}

/// Reads a value of any type, so that a wrong type can be told from broken JSON.
pub(super) struct Loose(u8);

impl Loose {
    /// For a member of the object itself.
    pub(super) const ROOT: Self = Self(MAX_DEPTH - 1);
    /// For a member of an object in the object.
    pub(super) const INNER: Self = Self(MAX_DEPTH - 2);
}

impl<'de> DeserializeSeed<'de> for Loose {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Loose {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        // The conversion would round 2^53 + 1 down to an acceptable date.
        Ok(Value::Number(if value > 1 << 53 {
            f64::INFINITY
        } else {
            value as f64
        }))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let depth = Skip(self.0).deeper()?;
        let mut texts = Vec::new();
        let mut only_texts = true;
        while let Some(item) = seq.next_element_seed(Loose(depth))? {
            match item {
                Value::Text(text) => texts.push(text),
                _ => only_texts = false,
            }
        }
        Ok(if only_texts {
            Value::Texts(texts)
        } else {
            Value::Other
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let skip = Skip(Skip(self.0).deeper()?);
        match map.next_key::<CowStr<'de>>()? {
            Some(CowStr(name)) if name == NUMBER_MEMBER => {
                let CowStr(text) = map.next_value()?;
                return Ok(text.parse().map_or(Value::Other, Value::Number));
            }
            Some(_) => map.next_value_seed(skip)?,
            None => return Ok(Value::Other),
        }
        while map.next_key::<CowStr<'de>>()?.is_some() {
            map.next_value_seed(skip)?;
        }
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl<'de> Members<'de> for Nothing {
        fn member<A: MapAccess<'de>>(&mut self, _: &str, _: &mut A) -> Result<bool, A::Error> {
            Ok(false)
        }
    }

    fn is_read(names: &[String]) -> bool {
        let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        read_object(&format!("{{{}}}", members.join(",")), &mut Nothing).is_ok()
    }

    #[test]
    fn a_duplicate_name_is_found_at_any_position() {
        // Tries few and many names, and names that are hard to tell apart.
        for count in [2, 3, FEW - 1, FEW, FEW + 1, FEW + 2, 70] {
            for form in ["n", "same beginning ", ""] {
                let names: Vec<_> = (0..count).map(|index| format!("{form}{index}")).collect();
                assert!(is_read(&names), "{names:?}");
                for first in 0..count {
                    for second in first + 1..count {
                        let mut names = names.clone();
                        names[second] = names[first].clone();
                        assert!(!is_read(&names), "{names:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        assert!(!is_read(&["iss".into(), "\\u0069ss".into()]));
    }
}
