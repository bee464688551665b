//! [`Shape`]: whether a value is an object with a certain member.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::{CowStr, MAX_DEPTH, NUMBER_MEMBER, Skip};

/// Reads a value of any type, and looks for one member if it is an object.
pub(super) struct Shape {
    member: Option<&'static str>,
    depth: u8,
}

/// What [`Shape`] finds.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    is_object: bool,
    /// It is an object with the member, and every value of the member is an object.
    pub(super) has_object: bool,
}

impl Shape {
    /// For a member of the payload itself, whose value may be an object with this `member`.
    pub(super) const fn with(member: &'static str) -> Self {
        Self {
            member: Some(member),
            depth: MAX_DEPTH - 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Found, A::Error> {
        Skip(self.depth).visit_seq(seq)?;
        Ok(Found::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let depth = Skip(self.depth).deeper()?;
        let (mut is_object, mut sought) = (true, None);
        while let Some(CowStr(name)) = map.next_key()? {
            is_object &= name != NUMBER_MEMBER;
            if self.member == Some(&*name) {
                let member = None;
                let found = map.next_value_seed(Self { member, depth })?;
                sought = Some(sought.unwrap_or(true) && found.is_object);
            } else {
                map.next_value_seed(Skip(depth))?;
            }
        }
        Ok(Found {
            is_object,
            has_object: sought == Some(true),
        })
    }
}
