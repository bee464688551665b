//! [`MemberTable`]: the positions of an object's members. The strict reader notes them. Types of an application
//! are then read by these positions, without looking at every character again.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use smallvec::SmallVec;

/// The positions of the names of an object's members, in the order of the text. The values lie between them.
#[derive(Default)]
pub(super) struct MemberTable {
    names: SmallVec<[Name; FEW]>,
    is_useless: bool,
}

/// The number of members up to which the table needs no allocation.
const FEW: usize = 16;

/// Where a name is, without its quotation marks.
#[derive(Clone, Copy)]
struct Name {
    start: u32,
    length: u32,
}

/// An object whose members are read by their positions.
pub(super) struct Tabled<'t, 'de> {
    /// The text of the object.
    json: &'de str,
    /// The members that have not been read yet. The first one is being read.
    rest: &'t [Name],
}

/// The value of the first of the `members`.
struct Value<'t, 'de> {
    json: &'de str,
    members: &'t [Name],
}

// === impl MemberTable ===

impl MemberTable {
    /// Notes the next name. A name that is written with escapes is not a part of `json`. It makes the table
    /// useless.
    pub(super) fn add(&mut self, name: &str, json: &str) {
        let start = (name.as_ptr() as usize).wrapping_sub(json.as_ptr() as usize);
        let is_part = start < json.len();
        match (u32::try_from(start), u32::try_from(name.len())) {
            (Ok(start), Ok(length)) if is_part => self.names.push(Name { start, length }),
            _ => self.is_useless = true,
        }
    }

    /// Returns the object of which `json` is the text.
    pub(super) fn object<'de>(&self, json: &'de str) -> Option<Tabled<'_, 'de>> {
        let rest = &self.names;
        (!self.is_useless).then_some(Tabled { json, rest })
    }
}

// === impl Name ===

impl Name {
    const fn end(self) -> usize {
        self.start as usize + self.length as usize
    }
}

// === impl Tabled ===

/// A type that is not read from an object gets an error here.
impl<'de> Deserializer<'de> for Tabled<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let value = visitor.visit_map(&mut self)?;
        match self.rest {
            [] => Ok(value),
            _ => Err(Error::custom("members are left over")), // an error in `serde_json` as well
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    /// Leaves the whole text to `serde_json`, whose `RawValue` asks for a newtype struct.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        serde_json::Deserializer::from_str(self.json).deserialize_newtype_struct(name, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Tabled<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.rest.first() else {
            return Ok(None);
        };
        let text = self.json.get(name.start as usize..name.end());
        let name = BorrowedStrDeserializer::new(text.ok_or_else(misplaced)?);
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = Value {
            json: self.json,
            members: self.rest,
        };
        self.rest = self.rest.get(1..).unwrap_or_default();
        seed.deserialize(value)
    }
}

#[cold]
fn misplaced() -> Error {
    Error::custom("the table is not of this object")
}

// === impl Value ===

impl<'de> Value<'_, 'de> {
    /// Returns the text of the value: what lies between its name and the next one, or the end of the object,
    /// without the separators. The strict reader has already checked that nothing else is there.
    fn text(&self) -> Result<&'de str, Error> {
        let text = || {
            let name = self.members.first()?;
            let (end, separator) = match self.members.get(1) {
                Some(next) => ((next.start as usize).checked_sub(1)?, ','),
                None => (self.json.len(), '}'),
            };
            let text = self.json.get(name.end()..end)?.strip_prefix('"')?;
            let text = text
                .trim_ascii_start()
                .strip_prefix(':')?
                .trim_ascii_start();
            Some(
                text.trim_ascii_end()
                    .strip_suffix(separator)?
                    .trim_ascii_end(),
            )
        };
        text().ok_or_else(misplaced)
    }

    /// Returns the text and, if it is a string that was written without escapes, this string.
    fn read(&self) -> Result<(&'de str, Option<&'de str>), Error> {
        let text = self.text()?;
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let plain = inner.filter(|inner| !inner.as_bytes().contains(&b'\\'));
        Ok((text, plain))
    }
}

macro_rules! leave_to_serde_json {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            serde_json::Deserializer::from_str(self.text()?).$method($($name,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.read()? {
            (_, Some(plain)) => visitor.visit_borrowed_str(plain),
            (text, None) => serde_json::Deserializer::from_str(text).deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.read()? {
            (_, Some(plain)) => visitor.visit_borrowed_str(plain),
            (text, None) => serde_json::Deserializer::from_str(text).deserialize_str(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    leave_to_serde_json! {
        deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_identifier()
        deserialize_bytes() deserialize_byte_buf()
        deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq() deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map() deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::fmt::Debug;

    use serde::Deserialize;
    use serde::de::{DeserializeOwned, IgnoredAny};
    use serde_json::value::RawValue;

    use super::*;
    use crate::codec::Payload;

    const TEXTS: &[&str] = &[
        "{}",
        " {\n} ",
        r#"{"sub":"u1","level":7,"tags":["a","b"],"more":{"x":[1,{"y":null}]},"on":true,"none":null}"#,
        " { \"sub\" :\t\"u1\" ,\r\n \"level\" : -0.5e3 , \"tags\" : [ ] , \"none\" : null , \"on\" : false } ",
        r#"{"sub":"with \"quotes\", and } and : ","tags":["\u00e9","\\"],"level":18446744073709551615}"#,
        r#"{"sub":"été, 😀","level":1e999}"#,
        r#"{"su\u0062":"u1","level":1}"#,
        r#"{"":"","sub":""}"#,
        r#"{"sub":null,"level":"7"}"#,
        r#"{"1":"one","2":"two"}"#,
        r#"{"kind":"Unit"}"#,
        r#"{"kind":{"One":"x"},"big":170141183460469231731687303715884105727,"letter":"ß"}"#,
        r#"{"$serde_json::private::RawValue":"[1"}"#,
        r#"{"a":"b"}{"a":"b"}"#,
    ];

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(String);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Kind {
        Unit,
        One(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Typed {
        sub: Option<Id>,
        #[serde(default)]
        level: f32,
        #[serde(default)]
        tags: Vec<String>,
        on: Option<bool>,
        #[serde(default)]
        none: (),
        kind: Option<Kind>,
        big: Option<i128>,
        letter: Option<char>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        sub: Option<String>,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Level { level: u64 },
        Other { sub: String },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(BTreeMap<String, serde_json::Value>);

    /// A type that reads only the first member.
    #[derive(Debug, PartialEq)]
    struct First(String);

    impl<'de> Deserialize<'de> for First {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct FirstVisitor;

            impl<'de> Visitor<'de> for FirstVisitor {
                type Value = First;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<First, A::Error> {
                    let (name, IgnoredAny) = map.next_entry()?.unwrap_or_default();
                    Ok(First(name))
                }
            }

            deserializer.deserialize_map(FirstVisitor)
        }
    }

    /// A type that keeps the text of a value, which only `serde_json` can give.
    #[derive(Debug, Deserialize)]
    struct Raw(Box<RawValue>);

    impl PartialEq for Raw {
        fn eq(&self, other: &Self) -> bool {
            self.0.get() == other.0.get()
        }
    }

    /// What a type makes of a text, and what it makes of it according to `serde_json`.
    fn assert_same<C: DeserializeOwned + PartialEq + Debug>() {
        for &text in TEXTS {
            let expected = serde_json::from_str::<C>(text).map_err(|error| error.to_string());
            let Ok(payload) = Payload::parse(text.to_owned(), &[]) else {
                assert!(expected.is_err() || text.contains("999"), "{text}");
                continue;
            };
            let found = payload.deserialize::<C>();
            assert_eq!(found.map_err(|error| error.to_string()), expected, "{text}");
        }
    }

    #[test]
    fn every_type_reads_the_same_as_from_the_text() {
        assert_same::<serde_json::Value>();
        assert_same::<HashMap<String, serde_json::Value>>();
        assert_same::<HashMap<String, Raw>>();
        assert_same::<HashMap<String, Option<Id>>>();
        assert_same::<HashMap<String, Option<Kind>>>();
        assert_same::<HashMap<u8, String>>();
        assert_same::<BTreeMap<Id, IgnoredAny>>();
        assert_same::<Typed>();
        assert_same::<Flat>();
        assert_same::<Either>();
        assert_same::<Wrapped>();
        assert_same::<First>();
        assert_same::<Raw>();
        assert_same::<Option<Typed>>();
        assert_same::<IgnoredAny>();
        assert_same::<Nothing>();
        assert_same::<Vec<String>>();
        assert_same::<String>();
    }

    impl Eq for Id {}

    impl PartialOrd for Id {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Id {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }

    #[test]
    fn a_struct_is_read_from_the_table_alone() {
        let text = r#"{ "sub" : "u1", "level": 7 ,"tags":["a"]}"#;
        let mut table = MemberTable::default();
        for name in ["sub", "level", "tags"] {
            let start = text.find(name).unwrap();
            table.add(&text[start..start + name.len()], text);
        }
        let typed = Typed::deserialize(table.object(text).unwrap()).unwrap();
        assert_eq!(typed.sub, Some(Id("u1".to_owned())));
        assert_eq!((typed.level, typed.tags), (7.0, vec!["a".to_owned()]));
        // A name that is not a part of the text.
        table.add(&String::from("other"), text);
        assert!(table.object(text).is_none());
    }
}
