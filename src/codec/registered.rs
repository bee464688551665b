//! The registered claims of a payload, each absent, of the wrong type, or present: policy decides what that means.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::MapAccess;
use smallvec::{SmallVec, smallvec};

use super::json::{Loose, Members, Value, read_object};
use super::marks::{Marks, hinted_kind, kind_of};
use crate::claims::NumericDate;
use crate::error::{AuthError, AuthErrorKind};

/// A claim as it was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    /// It is there, and not what RFC 7519 says it must be (J23, B03).
    WrongType,
    Is(T),
}

/// Nearly always one.
type Audiences<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// The registered claims, borrowed from the payload.
#[derive(Debug, Default)]
pub(crate) struct Registered<'a> {
    pub(crate) iss: Field<Cow<'a, str>>,
    pub(crate) sub: Field<Cow<'a, str>>,
    pub(crate) aud: Field<Audiences<'a>>,
    pub(crate) exp: Field<NumericDate>,
    pub(crate) nbf: Field<NumericDate>,
    pub(crate) iat: Field<NumericDate>,
    pub(crate) jti: Field<Cow<'a, str>>,
    pub(crate) token_type: Field<Cow<'a, str>>,
    pub(crate) scope: Field<Cow<'a, str>>,
    pub(crate) sid: Field<Cow<'a, str>>,
    /// Our own claim; a foreign token may mean anything by it.
    pub(crate) generation: Option<u64>,
    /// What other claims say of the kind of the token.
    pub(crate) marks: Marks,
    /// Whether all claims are there that were said to be required.
    pub(crate) complete: bool,
}

/// Where the registered claims of a payload are, so that they need not be sought again.
#[cfg_attr(
    not(feature = "cache"),
    expect(dead_code, reason = "some are read only where tokens are judged again")
)]
pub(crate) struct RegisteredPlaces {
    pub(crate) iss: Field<Text>,
    pub(crate) sub: Field<Text>,
    aud: Field<SmallVec<[Text; 1]>>,
    pub(crate) exp: Field<NumericDate>,
    nbf: Field<NumericDate>,
    pub(crate) iat: Field<NumericDate>,
    pub(crate) jti: Field<Text>,
    token_type: Field<Text>,
    pub(crate) scope: Field<Text>,
    pub(crate) sid: Field<Text>,
    pub(crate) generation: Option<u64>,
    marks: Marks,
    complete: bool,
}

/// Takes the claims one by one, and notes which of the required names are there.
struct Reader<'r, 'a> {
    claims: &'r mut Registered<'a>,
    required: &'r [Box<str>],
    found: SmallVec<[bool; 8]>,
}

/// A claim's text: a place in the payload, or a copy where it was written with escapes.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    In(Range<usize>),
    Own(Box<str>),
}

// === impl Field ===

impl<T> Field<T> {
    pub(crate) fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::WrongType => None,
        }
    }

    fn map<'f, U>(&'f self, map: impl FnOnce(&'f T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::WrongType => Field::WrongType,
            Self::Is(value) => Field::Is(map(value)),
        }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self, Self::WrongType)
    }
}

impl Field<Cow<'_, str>> {
    fn text(&self) -> Option<&str> {
        self.value().map(|text| &**text)
    }
}

// === impl Registered ===

impl<'a> Registered<'a> {
    /// Reads the claims in one pass, and whether all of the `required` names are there.
    pub(crate) fn parse(payload: &'a str, required: &[Box<str>]) -> Result<Self, AuthError> {
        let mut claims = Self::default();
        let mut reader = Reader {
            claims: &mut claims,
            required,
            found: SmallVec::from_elem(false, required.len()),
        };
        read_object(payload, &mut reader).map_err(|_| {
            AuthError::new(AuthErrorKind::MalformedToken)
                .because("the token's claims are not a valid JSON object")
        })?;
        claims.complete = reader.found.iter().all(|&found| found);
        Ok(claims)
    }

    /// Where in `payload`, from which they were read, the claims are.
    pub(crate) fn places(&self, payload: &str) -> RegisteredPlaces {
        let place = |field: &Field<Cow<'_, str>>| field.map(|text| Text::keep(text, payload));
        RegisteredPlaces {
            iss: place(&self.iss),
            sub: place(&self.sub),
            aud: self
                .aud
                .map(|all| all.iter().map(|one| Text::keep(one, payload)).collect()),
            exp: self.exp.clone(),
            nbf: self.nbf.clone(),
            iat: self.iat.clone(),
            jti: place(&self.jti),
            token_type: place(&self.token_type),
            scope: place(&self.scope),
            sid: place(&self.sid),
            generation: self.generation,
            marks: self.marks,
            complete: self.complete,
        }
    }
}

// === impl RegisteredPlaces ===

#[cfg(feature = "cache")]
#[cfg(feature = "cache")]
impl RegisteredPlaces {
    /// The claims, as they were read from this payload.
    pub(crate) fn read<'p>(&'p self, payload: &'p str) -> Registered<'p> {
        let text = |field: &'p Field<Text>| field.map(|text| Cow::Borrowed(text.read(payload)));
        Registered {
            iss: text(&self.iss),
            sub: text(&self.sub),
            aud: self
                .aud
                .map(|all| all.iter().map(|one| one.read(payload).into()).collect()),
            exp: self.exp.clone(),
            nbf: self.nbf.clone(),
            iat: self.iat.clone(),
            jti: text(&self.jti),
            token_type: text(&self.token_type),
            scope: text(&self.scope),
            sid: text(&self.sid),
            generation: self.generation,
            marks: self.marks,
            complete: self.complete,
        }
    }
}

// === impl Reader ===

impl Reader<'_, '_> {
    /// A claim that is `null` is not there.
    fn is_missing(&mut self, name: &str) {
        for (found, required) in self.found.iter_mut().zip(self.required) {
            *found &= **required != *name;
        }
    }
}

impl<'de> Members<'de> for Reader<'_, 'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        for (found, required) in self.found.iter_mut().zip(self.required) {
            *found |= **required == *name;
        }
        let claims = &mut *self.claims;
        match name {
            "iss" => {
                claims.iss = string_or_null(map)?;
                if claims.iss == Field::Absent {
                    self.is_missing(name);
                }
            }
            "sub" => claims.sub = string(map)?,
            "jti" => claims.jti = string(map)?,
            "type" => {
                claims.token_type = string(map)?;
                claims.marks.set(hinted_kind(claims.token_type.text()));
            }
            "scope" => claims.scope = string(map)?,
            "sid" => claims.sid = string(map)?,
            "exp" => claims.exp = date(map)?,
            "nbf" => claims.nbf = date(map)?,
            "iat" => claims.iat = date(map)?,
            "aud" => {
                claims.aud = audience(map)?;
                if claims.aud == Field::Absent {
                    self.is_missing(name);
                }
            }
            "gen" => claims.generation = date(map)?.value().map(|number| number.as_secs()),
            // OpenID Connect Core section 3.1.3.6
            "at_hash" | "c_hash" | "s_hash" => {
                claims.marks.set(Marks::ID_TOKEN);
                return Ok(false);
            }
            // RFC 8417 section 2.2
            "events" => {
                claims.marks.set(Marks::OTHER_KIND);
                return Ok(false);
            }
            // Spring Security OAuth and UAA: the access token that a refresh token came with.
            "ati" => {
                claims.marks.set(Marks::OTHER_KIND);
                return Ok(false);
            }
            "token_use" | "typ" => {
                let said = string(map)?;
                claims.marks.set(kind_of(said.text()));
                if said
                    .value()
                    .is_some_and(|text| text.eq_ignore_ascii_case("dpop"))
                {
                    claims.marks.set(Marks::BOUND);
                }
            }
            "token_type" | "tokenType" | "token_kind" | "use" => {
                claims.marks.set(hinted_kind(string(map)?.text()));
            }
            // RFC 7800 section 3.1
            "cnf" => {
                if !matches!(map.next_value_seed(Loose::ROOT)?, Value::Null) {
                    claims.marks.set(Marks::BOUND);
                }
            }
            "client_id" => {
                if string(map)?.is_wrong() {
                    claims.marks.set(Marks::BAD_CLIENT_ID);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

// === impl Text ===

impl Text {
    /// Keeps `value` without copying it where it stands in `payload`.
    #[allow(clippy::ptr_arg)] // whether it is borrowed is the point
    pub(crate) fn keep(value: &Cow<'_, str>, payload: &str) -> Self {
        match value {
            Cow::Borrowed(text) => {
                let start = text.as_ptr() as usize - payload.as_ptr() as usize;
                Self::In(start..start + text.len())
            }
            Cow::Owned(text) => Self::Own(text.as_str().into()),
        }
    }

    pub(crate) fn read<'t>(&'t self, payload: &'t str) -> &'t str {
        match self {
            Self::In(range) => payload.get(range.clone()).unwrap_or_default(),
            Self::Own(text) => text,
        }
    }
}

/// The `iss` of a payload that nobody has verified: it may choose who verifies, and nothing else.
pub(crate) fn issuer_of(payload: &str) -> Result<Option<Cow<'_, str>>, AuthError> {
    let claims = Registered::parse(payload, &[])?;
    Ok(match claims.iss {
        Field::Is(issuer) => Some(issuer),
        Field::Absent | Field::WrongType => None,
    })
}

fn string<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<Cow<'de, str>>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Field::Is(text),
        _ => Field::WrongType,
    })
}

/// As [`string`], but some systems write `null` for a claim that is missing.
fn string_or_null<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<Cow<'de, str>>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Field::Is(text),
        Value::Null => Field::Absent,
        _ => Field::WrongType,
    })
}

fn date<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<NumericDate>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Number(number) => {
            NumericDate::from_secs_f64(number).map_or(Field::WrongType, Field::Is)
        }
        _ => Field::WrongType,
    })
}

/// A string or an array of strings, and nothing else. Some systems (devise-jwt) write `null` for a
/// claim that is missing.
fn audience<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<Audiences<'de>>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Field::Is(smallvec![text]),
        Value::Texts(texts) => Field::Is(texts.into()),
        Value::Null => Field::Absent,
        Value::Number(_) | Value::Other => Field::WrongType,
    })
}
