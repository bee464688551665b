//! [`Weakness`] and [`Finding`]: what an attack has shown, what it means and what to do.

use std::fmt;

use http::StatusCode;

/// The weakness of a service that responds to an attack wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Weakness {
    /// A good token was refused, so refusing the bad ones proves nothing.
    NothingProven,
    /// A request without credentials was let through.
    OpenRoute,
    /// Text that is not a token was let through.
    NotAToken,
    /// A token without a signature was let through (RFC 8725 section 2.1).
    Unsigned,
    /// The token chose the algorithm that it was verified with (RFC 8725 section 3.1).
    AlgorithmConfusion,
    /// A token with a wrong signature was let through.
    SignatureNotVerified,
    /// A token chose its own key by a tampered `kid` (RFC 8725 section 3.10).
    KeyIdTrusted,
    /// A token brought its own key along, in `jwk`, `jku`, `x5u` or `x5c` (RFC 8725 section 3.10).
    KeyFromToken,
    /// A token that demands an extension was let through (RFC 7515 section 4.1.11).
    CriticalHeaderIgnored,
    /// A token with a duplicate member was let through (RFC 7519 section 4).
    DuplicateMember,
    /// A token of another type, such as a refresh token, was let through (RFC 8725 section 3.11).
    TokenType,
    /// A token without a required claim was let through.
    MissingClaim,
    /// A token with a claim of the wrong JSON type, or with claims that are not an object, was let through.
    MalformedClaim,
    /// An expired token was let through.
    Expired,
    /// A token was let through before its time (`nbf`).
    NotYetValid,
    /// A token that was issued in the future (`iat`) was let through.
    IssuedInFuture,
    /// A token of another issuer was let through (RFC 8725 section 3.8).
    Issuer,
    /// A token for another audience was let through (RFC 8725 section 3.9).
    Audience,
    /// A token that was encoded differently than its issuer wrote it was let through.
    Encoding,
    /// An oversized or deeply nested token was let through.
    Oversized,
    /// A request with two credentials was let through (RFC 6750 section 2).
    TwoTokens,
    /// A token with another scheme than `Bearer` was let through.
    Scheme,
    /// A token in the URL was let through (RFC 6750 section 5.3).
    TokenInQuery,
    /// A token in a form was let through.
    TokenInBody,
    /// A token in a cookie was let through.
    TokenInCookie,
    /// A token in a header other than `Authorization` was let through.
    TokenInHeader,
    /// A header that names the user, as a proxy may add it, was accepted as proof.
    IdentityHeader,
    /// Another spelling of the path, another method or an unknown path was let through.
    Bypass,
    /// A client's mistake caused a server error, or no response at all.
    ServerError,
    /// A 401 had no `WWW-Authenticate` header with a `Bearer` challenge (RFC 6750 section 3).
    MissingChallenge,
    /// The response was neither a success nor one of 400, 401 and 403.
    UnexpectedStatus,
}

// === impl Weakness ===

impl Weakness {
    /// Returns what the weakness means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.texts().0
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        self.texts().1
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::NothingProven => (
                "a good token is refused, so the attacks prove nothing",
                "give the kit a token, a method, a body and headers with which the route responds with 2xx or 3xx, build \
                 the service with the verifier of the same issuer, and turn rate limits off in this test",
            ),
            Self::OpenRoute => (
                "anyone can call the route without credentials",
                "put the layer around this route: routes that are added after `route_layer` are open, and \
                 `optional` lets requests without a token pass",
            ),
            Self::NotAToken => (
                "anything counts as a token",
                "verify the token, instead of only checking that there is one",
            ),
            Self::Unsigned => (
                "anyone can write their own tokens, because unsigned ones are accepted",
                "verify every signature, and never accept the algorithm `none`",
            ),
            Self::AlgorithmConfusion => (
                "the token chooses the algorithm: whoever knows a public key may sign with it",
                "bind each key to one algorithm, and refuse tokens whose `alg` is not exactly this one",
            ),
            Self::SignatureNotVerified => (
                "anyone can change a token or write their own, because its signature is not verified",
                "verify the signature before you read the claims; decoding alone proves nothing",
            ),
            Self::KeyIdTrusted => (
                "a token finds a key that the attacker knows, by its `kid`",
                "use `kid` only to choose among the keys that are already loaded, never as a path, a URL or SQL",
            ),
            Self::KeyFromToken => (
                "anyone can sign tokens with a key of their own, because the token brings the key along",
                "ignore `jwk`, `jku`, `x5u` and `x5c`: use only keys from your configuration",
            ),
            Self::CriticalHeaderIgnored => (
                "a token is read differently than its issuer meant it",
                "refuse tokens with `crit` unless every extension in it is implemented",
            ),
            Self::DuplicateMember => (
                "two parsers read different values from the same token",
                "refuse tokens in which a member occurs twice",
            ),
            Self::TokenType => (
                "tokens for other purposes, such as refresh tokens or ID tokens, open the API",
                "compare the claim `type` or the header's `typ` with what an access token has",
            ),
            Self::MissingClaim => (
                "a check is skipped if the token lacks the claim",
                "require each claim that you check: `exp`, `iss` and `aud` at least",
            ),
            Self::MalformedClaim => (
                "a check is skipped if the claim has the wrong JSON type",
                "refuse tokens whose claims do not have the type that RFC 7519 section 4.1 names",
            ),
            Self::Expired => (
                "a stolen token works forever",
                "compare `exp` with the clock, with a few minutes of leeway at most",
            ),
            Self::NotYetValid => (
                "tokens work before their time",
                "compare `nbf` with the clock",
            ),
            Self::IssuedInFuture => (
                "tokens from the future are accepted, and revoking all tokens issued until now does not cover them",
                "refuse tokens whose `iat` is in the future, beyond the leeway",
            ),
            Self::Issuer => (
                "tokens of other issuers are accepted",
                "compare `iss` with the expected issuer, character by character",
            ),
            Self::Audience => (
                "tokens that were issued for another service open this one",
                "require that `aud` contains the name of this service, character by character",
            ),
            Self::Encoding => (
                "one token has several spellings, which defeats lists of revoked tokens and caches",
                "decode base64url strictly: without padding, white space or spare bits",
            ),
            Self::Oversized => (
                "oversized tokens are accepted",
                "limit the length of a token and the depth of its JSON before you parse it",
            ),
            Self::TwoTokens => (
                "one of two credentials is chosen, perhaps not the one that a proxy in front has checked",
                "respond with 400 if a request has more than one `Authorization` header or token",
            ),
            Self::Scheme => (
                "a token is accepted under another scheme, perhaps without the proof that this scheme demands",
                "accept only the scheme `Bearer`",
            ),
            Self::TokenInQuery => (
                "tokens are read from the URL, which ends up in logs, histories and `Referer` headers",
                "read tokens only from the `Authorization` header; if it is intended, accept this weakness in the test",
            ),
            Self::TokenInBody => (
                "tokens are read from forms",
                "read tokens only from the `Authorization` header; if it is intended, accept this weakness in the test",
            ),
            Self::TokenInCookie => (
                "tokens are read from a cookie, which browsers send with requests that other sites cause",
                "read tokens only from the `Authorization` header; if a cookie is intended, check the `Origin`, and \
                 accept this weakness in the test",
            ),
            Self::TokenInHeader => (
                "tokens are read from another header than `Authorization`",
                "read tokens only from the `Authorization` header; if it is intended, accept this weakness in the test",
            ),
            Self::IdentityHeader => (
                "anyone can act as any user, with a header that names the user",
                "take the user only from the verified token",
            ),
            Self::Bypass => (
                "a request that goes around the protected path is let through",
                "protect the whole router, and respond with 404 to unknown paths; if a page for unknown paths is intended, \
                 accept this weakness in the test",
            ),
            Self::ServerError => (
                "a client can cause server errors at will",
                "respond with 401 to a bad token, and use no `unwrap` on what a client sends",
            ),
            Self::MissingChallenge => (
                "clients are not told how to authenticate",
                "send `WWW-Authenticate: Bearer` with each 401",
            ),
            Self::UnexpectedStatus => (
                "the response depends on something other than the token, or the request reached the handler",
                "respond with 401 before the request is routed any further; turn rate limits off in this test",
            ),
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning())
    }
}

/// One attack to which a service responded wrongly. It contains neither a token nor a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The method and the path, such as `GET /orders`.
    pub route: String,
    /// The name of the attack.
    pub attack: String,
    /// The weakness that it shows.
    pub weakness: Weakness,
    /// The status of the response, or `None` if the service failed to respond.
    pub status: Option<StatusCode>,
}

// === impl Finding ===

impl Finding {
    pub(super) fn answer(&self) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => "an error of the service instead of a response".to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answer, weakness) = (self.answer(), self.weakness);
        let (route, attack, remedy) = (&self.route, &self.attack, weakness.remedy());
        write!(
            f,
            "{route}: {attack}: answered {answer}: {weakness}. Remedy: {remedy}"
        )
    }
}
