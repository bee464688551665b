//! [`AuthErrorKind`]: the reasons of refusals, their names, and the tables of statuses, RFC 6750 error codes and gRPC codes.

use http::StatusCode;

/// The error code of RFC 9470 section 3.
const STEP_UP: &str = "insufficient_user_authentication";

/// Defines the enum, its names and its list from one table, so that none of them can lack a kind.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal,)+) => {
        /// The distinct reasons behind an [`AuthError`](super::AuthError). The guide says for each
        /// [what usually causes it, and the cure](crate::_guide::why_401).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AuthErrorKind {
            $($(#[$doc])+ $kind,)+
        }

        impl AuthErrorKind {
            /// All kinds, for example to register one metric label for each.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Returns the stable, lower-case name of the kind, for logs and metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// The request carries no credentials that this layer reads.
    MissingToken = "missing_token",
    /// The request carries credentials twice, or a header that is no credential (RFC 6750 section 3.1).
    MalformedRequest = "malformed_request",
    /// The token is not a signed token in compact form, or is too large.
    MalformedToken = "malformed_token",
    /// The header names an algorithm that no configured key has, or demands an extension (`crit`).
    UnsupportedAlgorithm = "unsupported_algorithm",
    /// No configured key fits the token's key id and algorithm.
    UnknownKey = "unknown_key",
    /// The signature does not verify.
    InvalidSignature = "invalid_signature",
    /// The token has expired.
    Expired = "expired",
    /// The token is not valid yet (`nbf`), or was issued in the future (`iat`).
    NotYetValid = "not_yet_valid",
    /// `iss` is missing, of the wrong type, or another one.
    InvalidIssuer = "invalid_issuer",
    /// `aud` is missing, of the wrong type, or names others only.
    InvalidAudience = "invalid_audience",
    /// A claim that is needed is missing, or one has the wrong type.
    InvalidClaim = "invalid_claim",
    /// The token is of another type, for example a refresh token where an access token is due.
    WrongType = "wrong_type",
    /// The token, its session, or all tokens of its subject were revoked.
    Revoked = "revoked",
    /// An API key or an opaque token is not known, or is not active any more.
    InvalidCredential = "invalid_credential",
    /// The DPoP proof of the request is missing or refused (RFC 9449).
    InvalidProof = "invalid_proof",
    /// The DPoP proof lacks a nonce of this server, or its nonce has expired. The response has a new one in
    /// `DPoP-Nonce`, with which the client repeats the request (RFC 9449 section 9).
    NonceNeeded = "nonce_needed",
    /// The token lacks a scope that the resource needs.
    InsufficientScope = "insufficient_scope",
    /// The login is too old, or its authentication level too low, for the resource (RFC 9470).
    InsufficientAuthentication = "insufficient_authentication",
    /// The token is valid, but its subject may not do this: a role, a permission or a value of a claim
    /// is missing. Other scopes would not help. The challenge has the realm alone.
    Forbidden = "forbidden",
    /// The token is valid, but its claims do not have the form that this handler reads, such as
    /// `JwtClaims<User>`.
    ///
    /// The status is 403, with no challenge and no error code. It is not 401 `invalid_token`, because
    /// a client then fetches another token of the same form, is refused again, and never stops. It is
    /// not 500, because the token decides: a client with a valid token of another kind, such as that
    /// of a machine without `email`, must not cause server errors. RFC 6750 has no code for it, and
    /// 403 says what is true: the token is understood and does not suffice here (RFC 9110 section
    /// 15.5.4). The source of the error names the claim, the type and the cause, and no value.
    ClaimsMismatch = "claims_mismatch",
    /// An extractor or guard runs without a [`JwtAuthLayer`](crate::JwtAuthLayer) in front of it.
    LayerMissing = "layer_missing",
    /// The token cannot be judged now: a key server or store is unavailable.
    Unavailable = "unavailable",
    /// A fault of this crate or of its back end.
    Internal = "internal",
}

// === impl AuthErrorKind ===

impl AuthErrorKind {
    /// The status and, where RFC 6750 section 3.1 has one, the error code: the only such table.
    pub(super) const fn verdict(self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::MissingToken => (StatusCode::UNAUTHORIZED, None),
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::MalformedToken
            | Self::UnsupportedAlgorithm
            | Self::UnknownKey
            | Self::InvalidSignature
            | Self::Expired
            | Self::NotYetValid
            | Self::InvalidIssuer
            | Self::InvalidAudience
            | Self::InvalidClaim
            | Self::WrongType
            | Self::Revoked
            | Self::InvalidCredential => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            // RFC 9449 section 12.2
            Self::InvalidProof => (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof")),
            Self::NonceNeeded => (StatusCode::UNAUTHORIZED, Some("use_dpop_nonce")),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::InsufficientAuthentication => (StatusCode::UNAUTHORIZED, Some(STEP_UP)),
            Self::Forbidden | Self::ClaimsMismatch => (StatusCode::FORBIDDEN, None),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
            Self::LayerMissing | Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
        }
    }

    /// The status code of gRPC: the only such table. 16 is for credentials that are missing or bad in
    /// whatever way, 7 for those that are good and do not suffice, 14 for what may pass later.
    pub(super) const fn grpc_code(self) -> i32 {
        const PERMISSION_DENIED: i32 = 7;
        const INTERNAL: i32 = 13;
        const UNAVAILABLE: i32 = 14;
        const UNAUTHENTICATED: i32 = 16;
        match self {
            Self::MissingToken
            | Self::MalformedRequest
            | Self::MalformedToken
            | Self::UnsupportedAlgorithm
            | Self::UnknownKey
            | Self::InvalidSignature
            | Self::Expired
            | Self::NotYetValid
            | Self::InvalidIssuer
            | Self::InvalidAudience
            | Self::InvalidClaim
            | Self::WrongType
            | Self::Revoked
            | Self::InvalidCredential
            | Self::InvalidProof
            | Self::NonceNeeded
            | Self::InsufficientAuthentication => UNAUTHENTICATED,
            Self::InsufficientScope | Self::Forbidden | Self::ClaimsMismatch => PERMISSION_DENIED,
            Self::Unavailable => UNAVAILABLE,
            Self::LayerMissing | Self::Internal => INTERNAL,
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::MissingToken => "the request carries no bearer token",
            Self::MalformedRequest => "the request's credentials are malformed or given twice",
            Self::MalformedToken => "the token is malformed",
            Self::UnsupportedAlgorithm => "the token's algorithm is not supported",
            Self::UnknownKey => "the token names a key that is not known",
            Self::InvalidSignature => "the token's signature is invalid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::InvalidIssuer => "the token is from another issuer",
            Self::InvalidAudience => "the token is for another audience",
            Self::InvalidClaim => "a claim of the token is missing or has the wrong type",
            Self::WrongType => {
                "the token is not of the type that is due (`type` claim, `typ` header)"
            }
            Self::Revoked => "the token has been revoked",
            Self::InvalidCredential => {
                "the API key or opaque token is not known, or is not active any more"
            }
            Self::InvalidProof => "the DPoP proof is missing or refused",
            Self::NonceNeeded => "the DPoP proof needs a nonce of this server",
            Self::InsufficientScope => "the token lacks a scope that is needed",
            Self::InsufficientAuthentication => {
                "the login is not recent enough, or its authentication level is too low"
            }
            Self::Forbidden => {
                "the token's subject may not do this: a role, a permission or a value of a claim is missing"
            }
            Self::ClaimsMismatch => {
                "the token is valid, but its claims do not fit the type that the handler reads"
            }
            Self::LayerMissing => {
                "no `JwtAuthLayer` has seen this request: add \
                 `.route_layer(JwtAuthLayer::new(verifier))` to the router, after the routes and the \
                 guards that need it"
            }
            Self::Unavailable => "the token cannot be judged at the moment",
            Self::Internal => "the token could not be processed",
        }
    }
}
