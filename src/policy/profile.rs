//! [`TokenProfile`]: how access tokens are told from other tokens.

use super::wrong_claim;
use crate::claims::TokenType;
use crate::codec::{Field, Marks, Payload, Typ};
use crate::error::{AuthError, AuthErrorKind, Reason};

/// The rules by which an access token is told from other kinds of tokens of the same issuer.
///
/// An issuer may sign ID tokens, refresh tokens and logout tokens with the same key as access tokens.
/// Providers mark access tokens in different ways, and a profile chooses one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenProfile {
    /// Tokens of this crate. The claim `type` must be the expected type. The header's `typ` must be that of the
    /// type (`at+jwt` or `rt+jwt`), `JWT` or missing. This is the default of
    /// [`TokenVerifier::builder`](crate::TokenVerifier::builder).
    #[default]
    Own,
    /// Access tokens of a provider that follows RFC 9068. `typ` must be `at+jwt`, and `iss`, `exp`, `aud`,
    /// `sub`, `client_id`, `iat` and `jti` must be present (section 2.2).
    ///
    /// # Security
    ///
    /// This is the safest choice for a provider that follows the RFC: no other kind of token has this `typ`.
    Rfc9068,
    /// Access tokens of a provider that issues them with `typ: JWT`, or without `typ`. The `typ` `at+jwt` is
    /// accepted as well.
    ///
    /// # Security
    ///
    /// Nothing in such a token proves that it is an access token. Tokens that are recognizably of another
    /// kind are refused:
    ///
    /// - by a `typ` header of another kind;
    /// - by `token_use` (Cognito) other than `access`;
    /// - by a claim `typ` (Keycloak) that no access token has, such as `ID` or `Refresh`;
    /// - by `token_type` (Simple JWT), `tokenType`, `token_kind`, `use` or `type` that names a refresh token,
    ///   an ID token or a logout token;
    /// - by the claims of ID tokens (`at_hash`, `c_hash`, `s_hash`), of refresh tokens (`ati`, Spring and UAA),
    ///   and of logout and event tokens (`events`).
    ///
    /// All others can only be told apart by the audience: give the API an audience of its own that is not the
    /// id of a client. If your provider marks tokens by another claim, add
    /// [`claim_one_of`](crate::verifier::TokenVerifierBuilder::claim_one_of).
    Compatible,
    /// OpenID Connect ID tokens, for a service that accepts logins at another provider: it registers or logs
    /// in the user, and issues tokens of its own. `iss`, `aud`, `iat` and `sub` must be present, and the
    /// header's `typ` must be `JWT` or missing.
    ///
    /// # Security
    ///
    /// An ID token is not an access token: never accept it for API calls. The audience is your client id. If
    /// the token has several audiences, each must be one of yours (OpenID Connect Core section 3.1.3.7). The
    /// code that started the login must compare the `nonce`.
    IdToken,
    /// JWT-SVIDs of SPIFFE, which authenticate workloads. The header's `typ` is `JWT`, `JOSE` or missing,
    /// `aud` and `sub` must be present, and `sub` begins with `spiffe://` (JWT-SVID, sections 2 and 3).
    ///
    /// # Security
    ///
    /// Other tokens that were signed with the same keys are told apart only by the audience and the form of
    /// the subject.
    JwtSvid,
    /// Logout tokens of OpenID Connect Back-Channel Logout 1.0, for
    /// [`BackchannelLogout`](crate::backchannel_logout::BackchannelLogout). `iss`, `aud`, `iat`, `exp`,
    /// `jti`, `sub` or `sid`, and `events` with the logout event must be present; `nonce` must not. The
    /// header's `typ` may be `logout+jwt`, `JWT` or missing (sections 2.4 and 2.6).
    ///
    /// # Security
    ///
    /// A logout token comes from the provider and does not authenticate anybody, so a
    /// [`JwtAuthLayer`](crate::JwtAuthLayer) refuses it even if its verifier accepts it. The audience is your
    /// client id, as in an ID token.
    LogoutToken,
}

// === impl TokenProfile ===

impl TokenProfile {
    /// Returns the claims that must be present, besides `exp` (RFC 9068 section 2.2; OpenID Connect Core
    /// section 2).
    pub(crate) const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Own | Self::Compatible => &[],
            Self::Rfc9068 => &["iss", "aud", "sub", "client_id", "iat", "jti"],
            Self::IdToken => &["iss", "aud", "sub", "iat"],
            Self::JwtSvid => &["aud", "sub"],
            Self::LogoutToken => &["iss", "aud", "iat", "jti"],
        }
    }

    /// Checks the header's `typ`.
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
                message: "the token's header has another type (`typ`) than the expected one",
            }))
        }
    }

    /// Checks the claims that say what kind of token it is (RFC 8725 section 3.12).
    pub(super) fn check_type(self, due: TokenType, claims: &Payload) -> Result<(), AuthError> {
        let says = |one: TokenType| claims.token_type().text() == Some(one.as_str());
        let fits = match self {
            Self::Own => says(due),
            Self::Rfc9068 | Self::Compatible | Self::JwtSvid => {
                // Refuses the other `type` of this crate. Any other value belongs to another provider, and
                // can mean anything.
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
                        message: "the token has no `events` with the logout event, so it is not a logout token",
                    }));
                }
                !claims.marks().has(Marks::ACCESS_TOKEN | Marks::ID_TOKEN)
                    && !says(TokenType::Access)
                    && !says(TokenType::Refresh)
            }
        };
        if !fits {
            let error = AuthError::new(AuthErrorKind::WrongType);
            let is_foreign = self == Self::Own && matches!(claims.token_type(), Field::Absent);
            return Err(if is_foreign {
                error.with_source(
                    "the token has no claim `type`, as tokens of this crate have: for tokens of another program, \
                     set `TokenVerifierBuilder::profile`",
                )
            } else {
                error
            });
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

    /// Checks further claims, besides the [`required`](Self::required) ones.
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
        // PostgreSQL cannot store these strings, and its error would look like an outage.
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
