//! The header and the claims of a DPoP proof (RFC 9449 section 4.2), read as strictly as those of a token.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::json::{CowStr, Loose, Members, Value, read_object};
use super::registered::Field;
use crate::claims::NumericDate;

/// The members of a proof's header that matter.
#[derive(Default)]
pub(crate) struct ProofHeader<'a> {
    pub(crate) alg: Option<Cow<'a, str>>,
    pub(crate) typ: Option<Cow<'a, str>>,
    /// The JSON text of the key.
    pub(crate) jwk: Option<&'a str>,
    /// Whether the header requires an extension, or says that the proof is not plain signed JSON.
    pub(crate) demands_more: bool,
}

/// The claims of a proof.
#[derive(Default)]
pub(crate) struct ProofClaims<'a> {
    pub(crate) jti: Field<Cow<'a, str>>,
    pub(crate) htm: Field<Cow<'a, str>>,
    pub(crate) htu: Field<Cow<'a, str>>,
    pub(crate) iat: Field<NumericDate>,
    pub(crate) ath: Field<Cow<'a, str>>,
    pub(crate) nonce: Field<Cow<'a, str>>,
}

// === impl ProofHeader ===

impl<'a> ProofHeader<'a> {
    /// Returns `None` if the text is not a JSON object, or has a duplicate member or one of the wrong type.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        let mut header = Self::default();
        read_object(json, &mut header).ok()?;
        Some(header)
    }
}

impl<'de> Members<'de> for ProofHeader<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.alg = Some(map.next_value::<CowStr<'de>>()?.0),
            "typ" => self.typ = Some(map.next_value::<CowStr<'de>>()?.0),
            "jwk" => self.jwk = Some(map.next_value::<&'de RawValue>()?.get()),
            "crit" | "b64" | "zip" | "enc" => {
                self.demands_more = true;
                return Ok(false);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

// === impl ProofClaims ===

impl<'a> ProofClaims<'a> {
    /// Returns `None` if the text is not a JSON object, or has a duplicate member.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        let mut claims = Self::default();
        read_object(json, &mut claims).ok()?;
        Some(claims)
    }
}

impl<'de> Members<'de> for ProofClaims<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let place = match name {
            "jti" => &mut self.jti,
            "htm" => &mut self.htm,
            "htu" => &mut self.htu,
            "ath" => &mut self.ath,
            "nonce" => &mut self.nonce,
            "iat" => {
                self.iat = match map.next_value_seed(Loose::ROOT)? {
                    Value::Number(number) => {
                        NumericDate::from_secs_f64(number).map_or(Field::WrongType, Field::Is)
                    }
                    _ => Field::WrongType,
                };
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *place = match map.next_value_seed(Loose::ROOT)? {
            Value::Text(text) => Field::Is(text),
            _ => Field::WrongType,
        };
        Ok(true)
    }
}
