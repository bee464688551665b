//! [`Confirmation`]: the keys that a token is bound to (`cnf`, RFC 7800 section 3.1).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::{CowStr, Loose, MAX_DEPTH, Skip, Value};
use super::registered::Field;

/// The content of a token's `cnf`.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    /// `jkt`: the thumbprint of a key for DPoP proofs (RFC 9449 section 6.1).
    pub(crate) key: Field<Box<str>>,
    /// `x5t#S256`: the thumbprint of a client certificate (RFC 8705 section 3.1).
    pub(crate) certificate: Field<Box<str>>,
    /// Whether it names a method of proof that this crate does not check, or names one twice.
    pub(crate) has_other: bool,
}

/// Reads the value of `cnf`. `None` stands for `null`.
pub(super) struct ConfirmationSeed;

impl Confirmation {
    /// Represents a value without any known method of proof.
    fn unknown() -> Option<Box<Self>> {
        Some(Box::new(Self {
            has_other: true,
            ..Self::default()
        }))
    }
}

impl<'de> DeserializeSeed<'de> for ConfirmationSeed {
    type Value = Option<Box<Confirmation>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ConfirmationSeed {
    type Value = Option<Box<Confirmation>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Confirmation::unknown())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Confirmation::unknown())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Confirmation::unknown())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Confirmation::unknown())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Confirmation::unknown())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Skip(MAX_DEPTH - 1).visit_seq(seq)?;
        Ok(Confirmation::unknown())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Confirmation::default();
        while let Some(CowStr(name)) = map.next_key()? {
            let place = match &*name {
                "jkt" => &mut found.key,
                "x5t#S256" => &mut found.certificate,
                // The other methods of RFC 7800, and the SHA-1 thumbprint of a certificate. Members that are
                // not methods of proof are ignored (RFC 7800 section 3.1).
                "jwk" | "jwe" | "kid" | "jku" | "x5t" => {
                    found.has_other = true;
                    map.next_value_seed(Skip(MAX_DEPTH - 2))?;
                    continue;
                }
                _ => {
                    map.next_value_seed(Skip(MAX_DEPTH - 2))?;
                    continue;
                }
            };
            found.has_other |= !matches!(place, Field::Absent);
            *place = match map.next_value_seed(Loose::INNER)? {
                Value::Text(text) => Field::Is(text.into()),
                _ => Field::WrongType,
            };
        }
        Ok(Some(Box::new(found)))
    }
}
