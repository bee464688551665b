//! The JOSE header (RFC 7515 section 4), read strictly: it may name a key and an algorithm, but may not
//! require any extension.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::json;

use super::json::{CowStr, Members, read_object};
use crate::claims::TokenType;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::keys::{MAX_KEY_ID_BYTES, SigningKey};

/// The members of a header that matter.
///
/// `jwk`, `jku`, `x5u` and `x5c` are ignored: a key is never taken from a token (RFC 8725 section 3.10).
#[derive(Default)]
pub(crate) struct Header<'a> {
    pub(crate) alg: Cow<'a, str>,
    pub(crate) kid: Option<Cow<'a, str>>,
    pub(crate) typ: Option<Cow<'a, str>>,
    /// The kind of token according to `typ`.
    pub(crate) kind: Typ,
    /// Why a member makes the token unacceptable even with a valid signature.
    unsupported: Option<&'static Reason>,
}

/// The kind of token according to the header's `typ`, with or without `application/`, in upper or lower case
/// (RFC 7515 section 4.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Typ {
    #[default]
    Absent,
    /// `JWT`, which every kind of token may have.
    Jwt,
    /// `application/JWT`.
    MediaTypeJwt,
    /// `JOSE`, which only says that the token is in compact form.
    Jose,
    /// A type of token that this crate issues.
    Names(TokenType),
    /// `logout+jwt` (OpenID Connect Back-Channel Logout section 2.4).
    Logout,
    Other,
}

// === impl Typ ===

impl Typ {
    fn of(typ: &str) -> Self {
        const PREFIX: &str = "application/";
        let (bare, is_whole) = match typ.get(..PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(PREFIX) => (&typ[PREFIX.len()..], false),
            _ => (typ, true),
        };
        let is = |name: &str| bare.eq_ignore_ascii_case(name);
        if is("JWT") {
            return if is_whole {
                Self::Jwt
            } else {
                Self::MediaTypeJwt
            };
        }
        if is("JOSE") {
            return Self::Jose;
        }
        if is("logout+jwt") {
            return Self::Logout;
        }
        [TokenType::Access, TokenType::Refresh]
            .into_iter()
            .find(|one| is(one.header_typ()))
            .map_or(Self::Other, Self::Names)
    }

    /// Whether a token of the type `due` may have this `typ`.
    pub(crate) fn fits(self, due: TokenType) -> bool {
        match self {
            Self::Absent | Self::Jwt | Self::MediaTypeJwt => true,
            Self::Names(named) => named == due,
            Self::Jose | Self::Logout | Self::Other => false,
        }
    }
}

// === impl Header ===

impl<'a> Header<'a> {
    pub(crate) fn parse(json: &'a str) -> Result<Self, AuthError> {
        let mut header = Self::default();
        read_object(json, &mut header).map_err(|_| {
            AuthError::new(AuthErrorKind::MalformedToken).because(&Reason {
                code: "token_header_not_json",
                message: "the token's header is not a valid JSON object",
            })
        })?;
        if let Some(reason) = header.unsupported {
            return Err(AuthError::new(AuthErrorKind::UnsupportedAlgorithm).because(reason));
        }
        if header.alg.is_empty() {
            return Err(
                AuthError::new(AuthErrorKind::MalformedToken).because(&Reason {
                    code: "no_algorithm",
                    message: "the token's header names no algorithm",
                }),
            );
        }
        if header
            .kid
            .as_ref()
            .is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES)
        {
            return Err(AuthError::new(AuthErrorKind::UnknownKey).because(&Reason {
                code: "key_id_too_long",
                message: "the token's key id is too long",
            }));
        }
        Ok(header)
    }
}

impl<'de> Members<'de> for Header<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.alg = map.next_value::<CowStr<'de>>()?.0,
            "kid" => self.kid = Some(map.next_value::<CowStr<'de>>()?.0),
            "typ" => {
                let typ = map.next_value::<CowStr<'de>>()?.0;
                self.kind = Typ::of(&typ);
                self.typ = Some(typ);
            }
            "cty" => self.check_cty(&map.next_value::<CowStr<'de>>()?.0),
            // This crate supports no extension, so `crit` is an error even if its list is empty.
            "crit" => self.refuse(&Reason {
                code: "critical_extension",
                message: "the token demands an extension (`crit`)",
            }),
            "b64" => self.refuse(&Reason {
                code: "unencoded_payload",
                message: "the token's payload is unencoded (`b64`)",
            }),
            "zip" => self.refuse(&Reason {
                code: "compressed_token",
                message: "the token is compressed (`zip`)",
            }),
            "enc" => self.refuse(&Reason {
                code: "encrypted_token",
                message: "the token is encrypted (`enc`)",
            }),
            _ => {}
        }
        Ok(matches!(name, "alg" | "kid" | "typ" | "cty"))
    }
}

impl Header<'_> {
    fn check_cty(&mut self, cty: &str) {
        if cty.eq_ignore_ascii_case("JWT") {
            self.refuse(&Reason {
                code: "nested_token",
                message: "the token is nested, which is not supported",
            });
        }
    }

    /// Copies the header, so that it borrows nothing.
    pub(crate) fn to_owned(&self) -> Header<'static> {
        let own = |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| text.to_owned().into());
        Header {
            alg: self.alg.to_string().into(),
            kid: own(&self.kid),
            typ: own(&self.typ),
            kind: self.kind,
            unsupported: self.unsupported,
        }
    }

    fn refuse(&mut self, reason: &'static Reason) {
        self.unsupported = Some(reason);
    }
}

/// Returns the header of a token that `key` signs.
pub(crate) fn header_json(key: &SigningKey, typ: &str) -> String {
    json!({ "alg": key.algorithm().as_str(), "kid": key.key_id(), "typ": typ }).to_string()
}

#[cfg(test)]
mod tests {
    use super::Typ;
    use crate::claims::TokenType::{Access, Refresh};

    #[test]
    fn typ_is_compared_without_case_and_media_type_prefix() {
        for (typ, read) in [
            ("at+jwt", Typ::Names(Access)),
            ("AT+JWT", Typ::Names(Access)),
            ("Application/At+Jwt", Typ::Names(Access)),
            ("application/rt+jwt", Typ::Names(Refresh)),
            ("JWT", Typ::Jwt),
            ("jwt", Typ::Jwt),
            ("application/jwt", Typ::MediaTypeJwt),
            ("logout+jwt", Typ::Logout),
            ("Application/Logout+JWT", Typ::Logout),
            ("dpop+jwt", Typ::Other),
            ("at+jwt ", Typ::Other),
            ("application/", Typ::Other),
            ("", Typ::Other),
            ("\u{e9}pplication/at+jwt", Typ::Other),
        ] {
            assert_eq!(Typ::of(typ), read, "{typ}");
            assert_eq!(
                read.fits(Access),
                !matches!(read, Typ::Other | Typ::Logout | Typ::Names(Refresh))
            );
        }
    }
}
