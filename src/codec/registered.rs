//! [`Payload`]: the claims of a token as text, with the positions of the registered ones. A claim is absent, of
//! the wrong type, or present; the policy decides what that means.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeOwned, MapAccess};
use smallvec::{SmallVec, smallvec};

use super::confirmation::{Confirmation, ConfirmationSeed};
use super::json::{Loose, Members, Value, read_object};
use super::marks::{LOGOUT_EVENT, Marks, hinted_kind, kind_of};
use super::shape::Shape;
use super::table::MemberTable;
use crate::claims::NumericDate;
use crate::error::{AuthError, AuthErrorKind, Reason};

/// A claim: absent, of the wrong type, or present.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    /// The claim is present but does not have the type that its specification requires.
    WrongType,
    Is(T),
}

/// The claims of a token: their JSON text and the registered claims, which are found in one pass.
pub(crate) struct Payload {
    json: String,
    places: Places,
    table: MemberTable,
}

/// The positions of the registered claims in the text.
#[derive(Default)]
struct Places {
    iss: Field<Text>,
    sub: Field<Text>,
    /// Nearly always a single audience.
    aud: Field<SmallVec<[Text; 1]>>,
    exp: Field<NumericDate>,
    nbf: Field<NumericDate>,
    iat: Field<NumericDate>,
    jti: Field<Text>,
    token_type: Field<Text>,
    scope: Field<Text>,
    sid: Field<Text>,
    roles: Field<Vec<Text>>,
    generation: Option<u64>,
    cnf: Option<Box<Confirmation>>,
    marks: Marks,
    is_complete: bool,
}

/// Takes the claims one by one, and notes which of the required claims are present.
struct Reader<'r, 'a> {
    json: &'a str,
    places: &'r mut Places,
    table: &'r mut MemberTable,
    required: &'r [Box<str>],
    found: SmallVec<[bool; 8]>,
}

/// The string of a claim: a range of the payload, or a copy if it was written with escapes.
enum Text {
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

    pub(crate) fn into_value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::WrongType => None,
        }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self, Self::WrongType)
    }

    fn map<'f, U>(&'f self, map: impl FnOnce(&'f T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::WrongType => Field::WrongType,
            Self::Is(value) => Field::Is(map(value)),
        }
    }
}

impl<'a> Field<&'a str> {
    /// Returns the string, or `None` if the claim is absent or not a string.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.value().copied()
    }
}

// === impl Payload ===

impl Payload {
    /// Reads the registered claims in one pass, and notes whether all `required` claims are present.
    pub(crate) fn parse(json: String, required: &[Box<str>]) -> Result<Self, AuthError> {
        let mut places = Places::default();
        let mut table = MemberTable::default();
        let mut reader = Reader {
            json: &json,
            places: &mut places,
            table: &mut table,
            required,
            found: SmallVec::from_elem(false, required.len()),
        };
        read_object(&json, &mut reader).map_err(|_| {
            AuthError::new(AuthErrorKind::MalformedToken).because(&Reason {
                code: "claims_not_json",
                message: "the token's claims are not a valid JSON object",
            })
        })?;
        places.is_complete = reader.found.iter().all(|&found| found);
        Ok(Self {
            json,
            places,
            table,
        })
    }

    /// Reads all claims as a type of the application.
    pub(crate) fn deserialize<C: DeserializeOwned>(&self) -> Result<C, serde_json::Error> {
        if let Some(object) = self.table.object(&self.json)
            && let Ok(claims) = C::deserialize(object)
        {
            return Ok(claims);
        }
        // Some types cannot be read from the table, and its errors do not say where in the text they are.
        serde_json::from_str(&self.json)
    }

    /// Returns all claims, as they were written.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn into_json(self) -> String {
        self.json
    }

    pub(crate) fn issuer(&self) -> Field<&str> {
        self.read(&self.places.iss)
    }

    pub(crate) fn subject(&self) -> Field<&str> {
        self.read(&self.places.sub)
    }

    pub(crate) fn audiences(&self) -> Field<impl Iterator<Item = &str>> {
        self.places.aud.map(|all| self.read_all(all))
    }

    pub(crate) fn expires_at(&self) -> &Field<NumericDate> {
        &self.places.exp
    }

    pub(crate) fn not_before(&self) -> &Field<NumericDate> {
        &self.places.nbf
    }

    pub(crate) fn issued_at(&self) -> &Field<NumericDate> {
        &self.places.iat
    }

    pub(crate) fn token_id(&self) -> Field<&str> {
        self.read(&self.places.jti)
    }

    pub(crate) fn token_type(&self) -> Field<&str> {
        self.read(&self.places.token_type)
    }

    pub(crate) fn scope(&self) -> Field<&str> {
        self.read(&self.places.scope)
    }

    pub(crate) fn session_id(&self) -> Field<&str> {
        self.read(&self.places.sid)
    }

    /// Returns the claim `roles` if it is a string or an array of distinct strings.
    pub(crate) fn roles(&self) -> Field<impl Iterator<Item = &str>> {
        self.places.roles.map(|all| self.read_all(all))
    }

    /// Returns this crate's own claim `gen`. In tokens of other issuers it can mean anything.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.places.generation
    }

    /// Returns the keys that the token is bound to, if it has a `cnf`.
    pub(crate) fn confirmation(&self) -> Option<&Confirmation> {
        self.places.cnf.as_deref()
    }

    /// Returns what other claims say about the kind of the token.
    pub(crate) fn marks(&self) -> Marks {
        self.places.marks
    }

    /// Returns whether all required claims are present.
    pub(crate) fn is_complete(&self) -> bool {
        self.places.is_complete
    }

    fn read<'p>(&'p self, field: &'p Field<Text>) -> Field<&'p str> {
        match field {
            Field::Absent => Field::Absent,
            Field::WrongType => Field::WrongType,
            Field::Is(text) => Field::Is(text.read(&self.json)),
        }
    }

    fn read_all<'p>(&'p self, texts: &'p [Text]) -> impl Iterator<Item = &'p str> {
        texts.iter().map(|text| text.read(&self.json))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

// === impl Reader ===

impl Reader<'_, '_> {
    /// Marks a required claim as absent: one that is `null` counts as absent.
    fn is_missing(&mut self, name: &str) {
        for (found, required) in self.found.iter_mut().zip(self.required) {
            *found &= **required != *name;
        }
    }
}

impl<'de> Members<'de> for Reader<'_, 'de> {
    #[inline]
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        for (found, required) in self.found.iter_mut().zip(self.required) {
            *found |= **required == *name;
        }
        let (json, claims) = (self.json, &mut *self.places);
        self.table.add(name, json);
        match name {
            "iss" => {
                claims.iss = string_or_null(json, map)?;
                if matches!(claims.iss, Field::Absent) {
                    self.is_missing(name);
                }
            }
            "sub" => claims.sub = string(json, map)?,
            "jti" => claims.jti = string(json, map)?,
            "type" => {
                claims.token_type = string(json, map)?;
                let said = claims.token_type.value().map(|text| text.read(json));
                claims.marks.set(hinted_kind(said));
            }
            "scope" => claims.scope = string(json, map)?,
            "sid" => claims.sid = string(json, map)?,
            "exp" => claims.exp = date(map)?,
            "nbf" => claims.nbf = date(map)?,
            "iat" => claims.iat = date(map)?,
            "aud" => {
                claims.aud = audience(json, map)?;
                if matches!(claims.aud, Field::Absent) {
                    self.is_missing(name);
                }
            }
            "roles" => claims.roles = roles(json, map)?,
            "gen" => claims.generation = date(map)?.value().map(|number| number.as_secs()),
            // RFC 7800 section 3.1
            "cnf" => {
                claims.cnf = map.next_value_seed(ConfirmationSeed)?;
                if claims.cnf.is_some() {
                    claims.marks.set(Marks::BOUND);
                }
            }
            _ => return mark(name, &mut claims.marks, map),
        }
        Ok(true)
    }
}

/// Notes what a claim outside RFC 7519 says about the kind of the token. It is not inlined, so that the code
/// that reads the registered claims stays short.
#[inline(never)]
fn mark<'de, A: MapAccess<'de>>(
    name: &str,
    marks: &mut Marks,
    map: &mut A,
) -> Result<bool, A::Error> {
    match name {
        // OpenID Connect Core sections 3.1.3.6 and 3.3.2.11, FAPI 1.0 Part 2 (`s_hash`)
        "at_hash" | "c_hash" | "s_hash" => {
            marks.set(Marks::ID_TOKEN);
            return Ok(false);
        }
        // RFC 8417 section 2.2
        "events" => {
            marks.set(Marks::OTHER_KIND);
            if map.next_value_seed(Shape::with(LOGOUT_EVENT))?.has_object {
                marks.set(Marks::LOGOUT);
            }
        }
        // OpenID Connect Back-Channel Logout section 2.4
        "nonce" => {
            marks.set(Marks::NONCE);
            return Ok(false);
        }
        // Spring Security OAuth and UAA put the id of the access token into its refresh token.
        "ati" => {
            marks.set(Marks::OTHER_KIND);
            return Ok(false);
        }
        "token_use" | "typ" => {
            let said = text(map)?;
            marks.set(kind_of(said.as_deref()));
            if said.is_some_and(|text| text.eq_ignore_ascii_case("dpop")) {
                marks.set(Marks::BOUND | Marks::SAYS_DPOP);
            }
        }
        "token_type" | "tokenType" | "token_kind" | "use" => {
            let said = text(map)?;
            marks.set(hinted_kind(said.as_deref()));
            // RFC 9449 section 6.2
            if said.is_some_and(|text| text.eq_ignore_ascii_case("dpop")) {
                marks.set(Marks::BOUND | Marks::SAYS_DPOP);
            }
        }
        "client_id" => {
            if text(map)?.is_none() {
                marks.set(Marks::BAD_CLIENT_ID);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

// === impl Text ===

impl Text {
    /// Keeps `value` as a range of `json` if it is borrowed from there, and otherwise as a copy.
    fn keep(value: Cow<'_, str>, json: &str) -> Self {
        match value {
            Cow::Borrowed(text) => {
                let start = text.as_ptr() as usize - json.as_ptr() as usize;
                Self::In(start..start + text.len())
            }
            Cow::Owned(text) => Self::Own(text.into()),
        }
    }

    fn read<'t>(&'t self, json: &'t str) -> &'t str {
        match self {
            Self::In(range) => json.get(range.clone()).unwrap_or_default(),
            Self::Own(text) => text,
        }
    }
}

/// Reads a string. Returns `None` if the claim has another type.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Some(text),
        _ => None,
    })
}

fn string<'de, A: MapAccess<'de>>(json: &str, map: &mut A) -> Result<Field<Text>, A::Error> {
    Ok(match text(map)? {
        Some(text) => Field::Is(Text::keep(text, json)),
        None => Field::WrongType,
    })
}

/// Reads a string, and treats `null` as absent, because some systems write it for a missing claim.
fn string_or_null<'de, A: MapAccess<'de>>(
    json: &str,
    map: &mut A,
) -> Result<Field<Text>, A::Error> {
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Field::Is(Text::keep(text, json)),
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

/// Reads a string or an array of strings. `null` is treated as absent, because some systems (devise-jwt)
/// write it for a missing claim.
fn audience<'de, A: MapAccess<'de>>(
    json: &str,
    map: &mut A,
) -> Result<Field<SmallVec<[Text; 1]>>, A::Error> {
    let keep = |text| Text::keep(text, json);
    Ok(match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => Field::Is(smallvec![keep(text)]),
        Value::Texts(texts) => Field::Is(texts.into_iter().map(keep).collect()),
        Value::Null => Field::Absent,
        Value::Number(_) | Value::Other => Field::WrongType,
    })
}

/// Reads roles in the form that nearly every issuer writes. Other forms count as the wrong type here, and are
/// read elsewhere.
fn roles<'de, A: MapAccess<'de>>(json: &str, map: &mut A) -> Result<Field<Vec<Text>>, A::Error> {
    let texts = match map.next_value_seed(Loose::ROOT)? {
        Value::Text(text) => vec![text],
        Value::Texts(texts) => texts,
        Value::Null => return Ok(Field::Absent),
        Value::Number(_) | Value::Other => return Ok(Field::WrongType),
    };
    let is_new =
        |(index, text): (usize, &Cow<'_, str>)| !text.is_empty() && !texts[..index].contains(text);
    Ok(if texts.iter().enumerate().all(is_new) {
        // `collect` reuses the allocation of `texts`.
        let keep = |text| Text::keep(text, json);
        Field::Is(texts.into_iter().map(keep).collect())
    } else {
        Field::WrongType
    })
}
