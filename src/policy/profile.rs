//! [`TokenProfile`]: by which marks an access token is told from every other kind of token.

use super::wrong_claim;
use crate::claims::TokenType;
use crate::codec::{Marks, Payload, Typ};
use crate::error::{AuthError, AuthErrorKind, Reason};

/// By which marks an access token is told from every other kind of token that its issuer signs.
///
/// An issuer signs ID tokens, refresh tokens and logout tokens with the same key. Which of them
/// is an access token, providers say in different ways; what is said is never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenProfile {
    /// Tokens of this crate: the claim `type` must name the type that is due; the header's `typ`
    /// may be missing, and must fit if it is there. The default of
    /// [`TokenVerifier::builder`](crate::TokenVerifier::builder).
    #[default]
    Own,
    /// The profile of RFC 9068: `typ` must be `at+jwt`, and `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti` must be there (section 2.2).
    ///
    /// # Security
    ///
    /// The safest choice for a provider that follows it: no other kind of token has this `typ`.
    Rfc9068,
    /// For providers that issue access tokens with `typ: JWT`, or with none.
    ///
    /// # Security
    ///
    /// Nothing in such a token proves what it is. What can be told is refused: a `typ` of another
    /// kind; `token_use` (Cognito) other than `access`; a claim `typ` (Keycloak) that
    /// is no access token's, as `ID` or `Refresh`; `token_type` (Simple JWT), `tokenType`,
    /// `token_kind`, `use` or `type` that names a refresh, ID or logout token; the marks of ID
    /// tokens (`at_hash`, `c_hash`), of refresh tokens (`ati`, Spring and UAA) and of logout and
    /// event tokens (`events`). What remains is told by the audience alone: give the API an
    /// audience of its own, one that is no client's id. For a mark of your own provider, see
    /// [`claim_one_of`](crate::verifier::TokenVerifierBuilder::claim_one_of).
    Compatible,
    /// OpenID Connect ID tokens, for a service that takes the proof of a login at another
    /// provider: it registers or logs in the user, and issues tokens of its own. `iat` and `sub` must be there.
    ///
    /// # Security
    ///
    /// An ID token is no access token: never take it for API calls. The audience is your client
    /// id; where there are several, each must be one of yours (OpenID Connect Core section 3.1.3.7).
    /// Comparing the `nonce` is up to whoever started the login.
    IdToken,
    /// JWT-SVIDs of SPIFFE, which prove a workload: the header's `typ` is `JWT`, `JOSE` or missing, `aud` and `sub`
    /// must be there, and `sub` begins with `spiffe://` (JWT-SVID, sections 2 and 3).
    ///
    /// # Security
    ///
    /// What else the keys sign is told by the audience and the form of the subject alone.
    JwtSvid,
    /// Logout tokens of OpenID Connect Back-Channel Logout 1.0, for
    /// [`BackchannelLogout`](crate::backchannel_logout::BackchannelLogout). `iss`, `aud`, `iat`, `exp` and
    /// `jti` must be there, `sub` or `sid` or both, and `events` with the event of a log-out; `nonce` must
    /// not. The header's `typ` may be `logout+jwt`, `JWT` or missing (sections 2.4 and 2.6).
    ///
    /// # Security
    ///
    /// A logout token is an order of the provider, and proves nobody's presence: a
    /// [`JwtAuthLayer`](crate::JwtAuthLayer) refuses it, whatever its verifier says. The audience is your
    /// client id, as in an ID token.
    LogoutToken,
}

// === impl TokenProfile ===

impl TokenProfile {
    /// The claims that must be there, besides `exp` (RFC 9068 section 2.2; OpenID Connect Core section 2).
    pub(crate) const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Own | Self::Compatible => &[],
            Self::Rfc9068 => &["iss", "aud", "sub", "client_id", "iat", "jti"],
            Self::IdToken => &["iss", "aud", "sub", "iat"],
            Self::JwtSvid => &["aud", "sub"],
            Self::LogoutToken => &["iss", "aud", "iat", "jti"],
        }
    }

    /// The header's `typ`.
    pub(super) fn check_typ(self, due: TokenType, typ: Typ) -> Result<(), AuthError> {
        let fits = match self {
            Self::Own | Self::Compatible => typ.fits(due),
            Self::Rfc9068 => typ == Typ::Names(due),
            Self::IdToken => matches!(typ, Typ::Absent | Typ::Jwt),
            Self::JwtSvid => matches!(typ, Typ::Absent | Typ::Jwt | Typ::Jose),
            Self::LogoutToken => {
                matches!(
                    typ,
                    Typ::Absent | Typ::Jwt | Typ::MediaTypeJwt | Typ::Logout
                )
            }
        };
        if fits {
            Ok(())
        } else {
            Err(AuthError::new(AuthErrorKind::WrongType).because(&Reason {
                code: "header_of_wrong_type",
                message: "the token's header says another type than the one that is due (`typ`)",
            }))
        }
    }

    /// The claims that say what kind of token it is (RFC 8725 section 3.12).
    pub(super) fn check_type(self, due: TokenType, claims: &Payload) -> Result<(), AuthError> {
        let says = |one: TokenType| claims.token_type().text() == Some(one.as_str());
        let fits = match self {
            Self::Own => says(due),
            Self::Rfc9068 | Self::Compatible | Self::JwtSvid => {
                // `type` may be one of this crate's, and not the one that is due; other providers
                // may mean anything else by it.
                let other = match due {
                    TokenType::Access => TokenType::Refresh,
                    TokenType::Refresh => TokenType::Access,
                };
                !claims.marks().has(Marks::ID_TOKEN | Marks::OTHER_KIND) && !says(other)
            }
            Self::IdToken => {
                !claims.marks().has(Marks::ACCESS_TOKEN | Marks::OTHER_KIND)
                    && !says(TokenType::Access)
                    && !says(TokenType::Refresh)
            }
            Self::LogoutToken => {
                if !claims.marks().has(Marks::LOGOUT) {
                    return Err(AuthError::new(AuthErrorKind::WrongType).because(&Reason {
                        code: "no_logout_event",
                        message: "the token has no `events` with the event of a log-out, so it is no logout \
                                  token",
                    }));
                }
                !claims.marks().has(Marks::ACCESS_TOKEN | Marks::ID_TOKEN)
                    && !says(TokenType::Access)
                    && !says(TokenType::Refresh)
            }
        };
        if !fits {
            return Err(AuthErrorKind::WrongType.into());
        }
        let is_workload = |sub: &str| sub.starts_with("spiffe://");
        if self == Self::JwtSvid && !claims.subject().text().is_some_and(is_workload) {
            return Err(wrong_claim(&Reason {
                code: "subject_not_spiffe",
                message: "the token's subject is not a SPIFFE id, which begins with `spiffe://`",
            }));
        }
        if self == Self::Rfc9068 && claims.marks().has(Marks::BAD_CLIENT_ID) {
            return Err(wrong_claim(&Reason {
                code: "claim_of_wrong_type",
                message: "a registered claim has the wrong type",
            }));
        }
        Ok(())
    }

    /// What must or must not be among the claims, besides [`required`](Self::required) ones.
    pub(super) fn check_claims(self, claims: &Payload) -> Result<(), AuthError> {
        if self != Self::LogoutToken {
            return Ok(());
        }
        let ids = [claims.subject(), claims.session_id(), claims.token_id()];
        let [subject, session, token] = ids.map(|id| id.text().filter(|id| !id.is_empty()));
        // OpenID Connect Back-Channel Logout sections 2.4 and 2.6
        if claims.marks().has(Marks::NONCE) {
            return Err(wrong_claim(&Reason {
                code: "nonce_in_logout_token",
                message: "the logout token has a `nonce`, which only ID tokens may have",
            }));
        }
        if subject.or(session).is_none() {
            return Err(wrong_claim(&Reason {
                code: "logout_of_nobody",
                message: "the logout token has neither `sub` nor `sid`, so it does not say who is logged out",
            }));
        }
        if token.is_none() {
            return Err(wrong_claim(&Reason {
                code: "claim_missing",
                message: "a required claim is missing",
            }));
        }
        // PostgreSQL stores no such text: a store that refuses it would look like an outage.
        if [subject, session, token]
            .iter()
            .flatten()
            .any(|id| id.contains('\0'))
        {
            return Err(wrong_claim(&Reason {
                code: "claim_of_wrong_type",
                message: "a registered claim has the wrong type",
            }));
        }
        Ok(())
    }
}
