//! [`Policy`]: decides by the claims of a token whether it is accepted now, without I/O or cryptography.

mod claim_path;
mod claim_rule;
mod claim_value;
mod further;
mod issuer_pattern;
mod possession;
mod profile;

pub(crate) use claim_path::ClaimPath;
pub(crate) use claim_rule::ClaimRule;
pub(crate) use claim_value::{Among, Scalar, claim_passes};
pub(crate) use further::{Further, Roles};
pub(crate) use issuer_pattern::CheckedPattern;
pub use issuer_pattern::IssuerPattern;
pub(crate) use possession::{Bound, Possession, check_binding};
pub use profile::TokenProfile;

use std::time::Duration;

use crate::claims::{NumericDate, TokenType};
use crate::codec::{Field, Payload, Typ};
use crate::error::{AuthError, AuthErrorKind, Reason};
use further::Found;

/// The default leeway, by which clocks may differ: 30 seconds, which is enough for hosts that use NTP.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// The largest leeway that can be set: 300 seconds ("no more than a few minutes", RFC 9068 section 4).
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The claim that roles are read from by default (RFC 9068 section 2.2.3.1, RFC 7643 section 4.1.2).
pub(crate) const ROLES: &str = "roles";

/// The rules of one verifier.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The trusted issuers. If there is neither an issuer nor a pattern, every issuer is trusted, which only
    /// `dangerous_no_issuer` allows.
    pub(crate) issuers: Box<[Box<str>]>,
    /// The trusted issuers that differ in one part.
    pub(crate) issuer_patterns: Box<[CheckedPattern]>,
    /// The accepted audiences. If there are none, any audience is accepted, which only
    /// `dangerous_no_audience` allows.
    pub(crate) audiences: Box<[Box<str>]>,
    /// The claim with the audience, if it is not `aud`.
    pub(crate) audience_claim: Option<ClaimPath>,
    pub(crate) token_type: TokenType,
    pub(crate) profile: TokenProfile,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    /// Claims that must be present, with any value.
    pub(crate) required: Box<[Box<str>]>,
    /// Claims that must have certain values.
    pub(crate) claim_rules: Box<[ClaimRule]>,
    /// Whether a token that is bound to a key is accepted without a proof that the client has the key.
    pub(crate) takes_bound_tokens: bool,
    /// Whether a token must have an expiry. It may be missing only in the answers of an authorization server,
    /// which can be asked again at any time.
    pub(crate) needs_expiry: bool,
    /// The claims with the scopes; empty for `scope` (RFC 9068 section 2.2.3).
    pub(crate) scope_claims: Box<[ClaimPath]>,
    pub(crate) role_claims: Box<[ClaimPath]>,
}

// === impl Policy ===

impl Policy {
    /// Checks a token whose signature is valid by every rule that needs no store, at the time `now`, in
    /// seconds since the Unix epoch. Together with [`check_binding`](Self::check_binding), it decides about
    /// new and cached tokens alike.
    pub(crate) fn check(
        &self,
        typ: Typ,
        claims: &Payload,
        further: &Further,
        now: f64,
    ) -> Result<(), AuthError> {
        self.check_typ(typ)?;
        self.profile.check_type(self.token_type, claims)?;
        self.check_issuer(claims, further)?;
        self.check_audience(claims)?;
        self.check_times(claims, now)?;
        let wrong = claims.subject().is_wrong()
            || claims.token_id().is_wrong()
            || (claims.scope().is_wrong() && self.profile == TokenProfile::Own)
            || claims.session_id().is_wrong();
        if wrong {
            return Err(wrong_claim(&Reason {
                code: "claim_of_wrong_type",
                message: "a registered claim has the wrong type",
            }));
        }
        if !claims.is_complete() {
            return Err(wrong_claim(&Reason {
                code: "claim_missing",
                message: "a required claim is missing",
            }));
        }
        self.profile.check_claims(claims)?;
        if further.is_unreadable {
            return Err(AuthErrorKind::MalformedToken.into());
        }
        self.check_audience_claim(&further.audience)?;
        // A value that was read for another policy grants nothing.
        let mut found = further.ruled.iter();
        self.claim_rules
            .iter()
            .try_for_each(|rule| rule.check(found.next().unwrap_or(&Found::Other)))
    }

    /// Checks the header's `typ`. A verifier also does so before it looks up the key.
    pub(crate) fn check_typ(&self, typ: Typ) -> Result<(), AuthError> {
        self.profile.check_typ(self.token_type, typ)
    }

    /// Checks only the issuer, which decides whose keys are used.
    pub(crate) fn check_issuer(
        &self,
        claims: &Payload,
        further: &Further,
    ) -> Result<(), AuthError> {
        let issuer = claims.issuer();
        let any = self.issuers.is_empty() && self.issuer_patterns.is_empty();
        let trusted = match &issuer {
            Field::Is(iss) => any || self.issuers.iter().any(|one| **one == **iss),
            Field::WrongType => false,
            Field::Absent => any,
        };
        if let (false, Field::Is(iss)) = (trusted, &issuer) {
            // A value that was read for another policy proves nothing.
            let mut found = further.tenants.iter();
            for pattern in &self.issuer_patterns {
                let claim = found.next().unwrap_or(&Found::Other);
                if let Some(verdict) = pattern.check(iss, claim) {
                    return verdict;
                }
            }
        }
        if trusted {
            Ok(())
        } else {
            Err(self.wrong_issuer(issuer.text()))
        }
    }

    /// Makes the error for another issuer. If they differ only by a slash at the end, the error names both,
    /// because then it contains nothing that an attacker can choose.
    fn wrong_issuer(&self, found: Option<&str>) -> AuthError {
        let error = AuthError::from(AuthErrorKind::InvalidIssuer);
        let bare = |issuer: &str| issuer.strip_suffix('/').unwrap_or(issuer).to_owned();
        let close = found.and_then(|found| {
            let mut issuers = self.issuers.iter();
            let trusted = issuers.find(|one| bare(one) == bare(found))?;
            Some((found, trusted))
        });
        match close {
            Some((found, trusted)) => error
                .because(&Reason { code: "issuer_differs_by_slash", message: "the token's issuer differs from the trusted one by a slash at the end" })
                .with_source(format!(
                    "expected issuer `{trusted}`, but the token says `{found}`: configure it exactly \
                     as in the token"
                )),
            None if found.is_none() => error.because(&Reason { code: "issuer_missing", message: "the token has no issuer, or one that is not a string" }),
            None => expecting(error, "issuer", &self.issuers),
        }
    }

    fn check_audience(&self, claims: &Payload) -> Result<(), AuthError> {
        let meant = match claims.audiences() {
            Field::Is(mut aud) => {
                self.audiences.is_empty()
                    || match self.profile {
                        // No further audience is trusted (OpenID Connect Core section 3.1.3.7).
                        TokenProfile::IdToken | TokenProfile::LogoutToken => {
                            let mut aud = aud.peekable();
                            aud.peek().is_some() && aud.all(|one| self.is_ours(one))
                        }
                        _ => aud.any(|one| self.is_ours(one)),
                    }
            }
            Field::WrongType => false,
            // `check_audience_claim` checks the claim that replaces it.
            Field::Absent => self.audiences.is_empty() || self.audience_claim.is_some(),
        };
        if meant {
            return Ok(());
        }
        let error = self.wrong_audience();
        Err(match claims.audiences() {
            Field::Is(_) => error,
            Field::WrongType | Field::Absent => error.because(&Reason {
                code: "audience_missing",
                message: "the token has no audience, or one that is neither a string nor an array of strings",
            }),
        })
    }

    /// Checks the claim that replaces `aud`, if there is one.
    fn check_audience_claim(&self, found: &Found) -> Result<(), AuthError> {
        if self.audience_claim.is_none() {
            return Ok(());
        }
        let meant = self.audiences.is_empty()
            || match found {
                Found::Text(text) => self.is_ours(text),
                Found::Texts(texts) => texts.iter().any(|text| self.is_ours(text)),
                Found::Absent | Found::Other => false,
            };
        if meant {
            Ok(())
        } else {
            Err(self.wrong_audience())
        }
    }

    fn wrong_audience(&self) -> AuthError {
        let error = AuthError::new(AuthErrorKind::InvalidAudience);
        expecting(error, "audience", &self.audiences)
    }

    fn is_ours(&self, audience: &str) -> bool {
        self.audiences.iter().any(|ours| **ours == *audience)
    }

    fn check_times(&self, claims: &Payload, now: f64) -> Result<(), AuthError> {
        let leeway = self.leeway.as_secs_f64();
        let seconds = |field: &Field<NumericDate>| match field {
            Field::Is(date) => Ok(Some(date.as_secs_f64())),
            Field::Absent => Ok(None),
            Field::WrongType => Err(wrong_claim(&Reason {
                code: "malformed_date",
                message: "a date of the token is not a number of seconds since 1970",
            })),
        };
        let exp = seconds(claims.expires_at())?;
        if exp.is_none() && self.needs_expiry {
            return Err(wrong_claim(&Reason {
                code: "no_expiry",
                message: "the token has no expiry",
            }));
        }
        let (nbf, iat) = (seconds(claims.not_before())?, seconds(claims.issued_at())?);
        if exp.is_some_and(|exp| now >= exp + leeway) {
            return Err(AuthErrorKind::Expired.into());
        }
        if nbf.is_some_and(|nbf| nbf > now + leeway) {
            return Err(AuthErrorKind::NotYetValid.into());
        }
        if iat.is_some_and(|iat| iat > now + leeway) {
            return Err(AuthError::new(AuthErrorKind::NotYetValid).because(&Reason {
                code: "issued_in_the_future",
                message: "the token was issued in the future, by the clock of this verifier",
            }));
        }
        if let Some(limit) = self.max_lifetime {
            let Some(iat) = iat else {
                return Err(wrong_claim(&Reason {
                    code: "no_issue_date",
                    message: "the token has no issue date (`iat`), so its lifetime is unknown",
                }));
            };
            if exp.is_none_or(|exp| exp - iat > limit.as_secs_f64()) {
                return Err(wrong_claim(&Reason {
                    code: "lifetime_too_long",
                    message: "the lifetime of the token is longer than the verifier allows",
                }));
            }
        }
        Ok(())
    }
}

/// Names what the verifier was configured with, for the log. What the token says instead is not named, because
/// anybody can write it.
fn expecting(error: AuthError, what: &str, names: &[Box<str>]) -> AuthError {
    if names.is_empty() {
        return error;
    }
    error.with_source(format!("expected {what} `{}`", names.join("` or `")))
}

fn wrong_claim(reason: &'static Reason) -> AuthError {
    AuthError::new(AuthErrorKind::InvalidClaim).because(reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Policy, TokenProfile};
    use crate::claims::TokenType;
    use crate::codec::{Payload, Typ};
    use crate::error::AuthErrorKind::{
        self, Expired, InvalidAudience, InvalidClaim, InvalidIssuer, NotYetValid, WrongType,
    };

    fn policy() -> Policy {
        Policy {
            issuers: ["me".into()].into(),
            issuer_patterns: Box::default(),
            audiences: ["api".into(), "admin".into()].into(),
            audience_claim: None,
            token_type: TokenType::Access,
            profile: TokenProfile::Own,
            leeway: Duration::from_secs(30),
            max_lifetime: None,
            required: Box::default(),
            claim_rules: Box::default(),
            takes_bound_tokens: false,
            needs_expiry: true,
            scope_claims: Box::default(),
            role_claims: Box::default(),
        }
    }

    fn check_with(policy: &Policy, payload: &str) -> Result<(), AuthErrorKind> {
        let claims = Payload::parse(payload.to_owned(), &policy.required);
        let claims = claims.map_err(|error| error.kind())?;
        let further = policy.read_further(&claims);
        let verdict = policy.check(Typ::Absent, &claims, &further, 1000.0);
        verdict.map_err(|error| error.kind())
    }

    /// Checks a valid payload in which the member `name` was replaced by this value, or removed.
    fn check(name: &str, value: Option<&str>) -> Result<(), AuthErrorKind> {
        let good = [
            ("iss", "\"me\""),
            ("aud", "\"api\""),
            ("type", "\"access\""),
            ("exp", "1500"),
            ("sub", "\"u\""),
        ];
        let mut members: Vec<String> = good
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        members.extend(value.map(|value| format!("\"{name}\":{value}")));
        check_with(&policy(), &format!("{{{}}}", members.join(",")))
    }

    #[test]
    fn times_are_exact_to_the_second() {
        assert_eq!(check("exp", Some("971")), Ok(())); // 1000 < 971 + 30
        assert_eq!(check("exp", Some("970")), Err(Expired));
        assert_eq!(check("exp", Some("970.5")), Ok(()));
        assert_eq!(check("exp", None), Err(InvalidClaim));
        assert_eq!(check("nbf", Some("1030")), Ok(()));
        assert_eq!(check("nbf", Some("1030.25")), Err(NotYetValid));
        assert_eq!(check("iat", Some("1030")), Ok(()));
        assert_eq!(check("iat", Some("1031")), Err(NotYetValid));
        for date in ["exp", "nbf", "iat"] {
            for bad in [
                "\"1500\"",
                "-1",
                "null",
                "9007199254740993",
                "1e300",
                "[]",
                "{}",
                "true",
            ] {
                assert_eq!(check(date, Some(bad)), Err(InvalidClaim), "{date} {bad}");
            }
        }
    }

    #[test]
    fn issuer_and_audience_are_required_exact_and_strings() {
        for bad in [
            "\"ME\"", "\"me/\"", "\"m\"", "\"mee\"", "[\"me\"]", "5", "null", "\"\"",
        ] {
            assert_eq!(check("iss", Some(bad)), Err(InvalidIssuer), "{bad}");
        }
        assert_eq!(check("iss", None), Err(InvalidIssuer));
        for good in ["\"api\"", "[\"api\"]", "[\"x\",\"admin\"]"] {
            assert_eq!(check("aud", Some(good)), Ok(()), "{good}");
        }
        for bad in [
            "\"API\"",
            "[]",
            "[\"x\"]",
            "[\"api\",5]",
            "{\"api\":1}",
            "5",
            "[[\"api\"]]",
        ] {
            assert_eq!(check("aud", Some(bad)), Err(InvalidAudience), "{bad}");
        }
        assert_eq!(check("aud", None), Err(InvalidAudience));
    }

    #[test]
    fn the_type_is_required_and_exact() {
        for bad in ["\"refresh\"", "\"Access\"", "[\"access\"]", "null"] {
            assert_eq!(check("type", Some(bad)), Err(WrongType), "{bad}");
        }
        assert_eq!(check("type", None), Err(WrongType));
    }

    #[test]
    fn a_wrong_json_type_is_never_ignored() {
        for name in ["sub", "jti", "scope", "sid"] {
            for bad in ["5", "null", "[\"a\"]", "{}"] {
                assert_eq!(check(name, Some(bad)), Err(InvalidClaim), "{name} {bad}");
            }
        }
    }

    #[test]
    fn an_optional_expiry_is_checked_if_present() {
        let policy = Policy {
            needs_expiry: false,
            ..policy()
        };
        let with = |more: &str| {
            let base = r#""iss":"me","aud":"api","type":"access""#;
            check_with(&policy, &format!("{{{base}{more}}}"))
        };
        assert_eq!(with(""), Ok(()));
        assert_eq!(with(r#","exp":1500"#), Ok(()));
        assert_eq!(with(r#","exp":970"#), Err(Expired));
        assert_eq!(with(r#","exp":null"#), Err(InvalidClaim));
    }

    #[test]
    fn lifetime_and_required_claims_are_checked_if_configured() {
        let policy = Policy {
            max_lifetime: Some(Duration::from_secs(500)),
            required: ["tenant".into()].into(),
            ..policy()
        };
        let with = |more: &str| {
            let base = r#""iss":"me","aud":"api","type":"access","exp":1500"#;
            check_with(&policy, &format!("{{{base}{more}}}"))
        };
        assert_eq!(with(r#","iat":1000,"tenant":1"#), Ok(()));
        assert_eq!(with(r#","iat":999,"tenant":1"#), Err(InvalidClaim));
        assert_eq!(with(r#","tenant":1"#), Err(InvalidClaim));
        assert_eq!(with(r#","iat":1000"#), Err(InvalidClaim));
    }
}
