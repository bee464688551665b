//! [`AuthErrorKind`]: the kinds of refusals, with their names, HTTP statuses, error codes and gRPC codes.

use http::StatusCode;

/// The error code of RFC 9470 section 3.
const STEP_UP: &str = "insufficient_user_authentication";

/// Defines the enum, its names and its list from one table, so that each contains every kind.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal,)+) => {
        /// The kinds of [`AuthError`](super::AuthError). The guide says for each
        /// [what usually causes it, and how to fix it](crate::guide::why_401).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AuthErrorKind {
            $($(#[$doc])+ $kind,)+
        }

        impl AuthErrorKind {
            /// All kinds, for example to register a metric label for each.
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
    /// The request carries two credentials, or a malformed header (RFC 6750 section 3.1).
    MalformedRequest = "malformed_request",
    /// The token is not a signed token in compact form, or is too large.
    MalformedToken = "malformed_token",
    /// The token's header names an algorithm that no configured key has, requires an extension (`crit`), or
    /// says that the token is encrypted, compressed or nested.
    UnsupportedAlgorithm = "unsupported_algorithm",
    /// No configured key fits the token's key id and algorithm, several do, or the key id is longer than 256
    /// bytes.
    UnknownKey = "unknown_key",
    /// The signature does not verify.
    InvalidSignature = "invalid_signature",
    /// The token has expired.
    Expired = "expired",
    /// The token is not valid yet (`nbf`), or was issued in the future (`iat`).
    NotYetValid = "not_yet_valid",
    /// `iss` is missing, has the wrong type, or names an issuer that is not trusted.
    InvalidIssuer = "invalid_issuer",
    /// `aud` is missing, has the wrong type, or names only other audiences.
    InvalidAudience = "invalid_audience",
    /// A required claim is missing, or a claim has the wrong type or a value that is not allowed.
    InvalidClaim = "invalid_claim",
    /// The token has the wrong type, for example a refresh token where an access token is expected.
    WrongType = "wrong_type",
    /// The token, its session, or all tokens of its subject were revoked.
    Revoked = "revoked",
    /// An API key or an opaque token is unknown or no longer active.
    InvalidCredential = "invalid_credential",
    /// The DPoP proof of the request is missing or invalid (RFC 9449).
    InvalidProof = "invalid_proof",
    /// The DPoP proof has no nonce of this server, or an expired one. The response has a new nonce in
    /// `DPoP-Nonce`, with which the client can repeat the request (RFC 9449 section 9).
    NonceRequired = "nonce_required",
    /// The token lacks a scope that the resource needs.
    InsufficientScope = "insufficient_scope",
    /// The login is too old for the resource, or its authentication level does not suffice (RFC 9470).
    InsufficientAuthentication = "insufficient_authentication",
    /// The token is valid, but its subject may not do this: a role, a permission or the value of a claim is
    /// missing. Other scopes would not help, so the challenge names only the realm.
    Forbidden = "forbidden",
    /// The token is valid, but its claims do not fit the type that the handler reads, such as `User` in
    /// `JwtClaims<User>`.
    ///
    /// The status is 403, without a challenge or an error code:
    ///
    /// - It is not 401 `invalid_token`, because then a client would fetch another token of the same form, be
    ///   refused again, and never stop.
    /// - It is not 500, because a client must not be able to cause server errors with a valid token of
    ///   another kind, such as that of a machine without an `email`.
    /// - 403 means that the token is understood but does not suffice here (RFC 9110 section 15.5.4).
    ///
    /// The source of the error names the claim, the type and the cause, but contains no value.
    ClaimsMismatch = "claims_mismatch",
    /// An extractor or guard runs without a [`JwtAuthLayer`](crate::JwtAuthLayer) in front of it.
    MissingLayer = "missing_layer",
    /// The token cannot be judged now, because a key server or a store is unavailable.
    Unavailable = "unavailable",
    /// The service has a fault, such as a guard with an empty requirement or a predicate that panics.
    Internal = "internal",
}

// === impl AuthErrorKind ===

impl AuthErrorKind {
    /// Returns the status and the error code, if there is one. No other table maps kinds to statuses.
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
            Self::NonceRequired => (StatusCode::UNAUTHORIZED, Some("use_dpop_nonce")),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::InsufficientAuthentication => (StatusCode::UNAUTHORIZED, Some(STEP_UP)),
            Self::Forbidden | Self::ClaimsMismatch => (StatusCode::FORBIDDEN, None),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
            Self::MissingLayer | Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
        }
    }

    /// Returns the status code of gRPC: 16 if other credentials or another login may help, 7 if the credentials
    /// are valid but do not suffice, 14 if the same request may be accepted later, and 13 for a fault.
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
            | Self::NonceRequired
            | Self::InsufficientAuthentication => UNAUTHENTICATED,
            Self::InsufficientScope | Self::Forbidden | Self::ClaimsMismatch => PERMISSION_DENIED,
            Self::Unavailable => UNAVAILABLE,
            Self::MissingLayer | Self::Internal => INTERNAL,
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::MissingToken => "the request carries no bearer token",
            Self::MalformedRequest => "the request's credentials are malformed or given twice",
            Self::MalformedToken => "the token is malformed",
            Self::UnsupportedAlgorithm => "the token's algorithm is not supported",
            Self::UnknownKey => "no configured key fits the token",
            Self::InvalidSignature => "the token's signature is invalid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::InvalidIssuer => "the token is from another issuer",
            Self::InvalidAudience => "the token is for another audience",
            Self::InvalidClaim => "a claim of the token is missing or has the wrong type",
            Self::WrongType => "the token has the wrong type (`type` claim or `typ` header)",
            Self::Revoked => "the token has been revoked",
            Self::InvalidCredential => "the API key or opaque token is unknown or no longer active",
            Self::InvalidProof => "the DPoP proof is missing or invalid",
            Self::NonceRequired => "the DPoP proof needs a nonce of this server",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InsufficientAuthentication => {
                "the login is not recent enough, or its authentication level is too low"
            }
            Self::Forbidden => {
                "the token's subject may not do this: a role, a permission or a value of a claim is missing"
            }
            Self::ClaimsMismatch => {
                "the token is valid, but its claims do not fit the type that the handler reads"
            }
            Self::MissingLayer => {
                "no `JwtAuthLayer` has seen this request: add \
                 `.route_layer(JwtAuthLayer::new(verifier))` to the router, after the routes and the \
                 guards that need it"
            }
            Self::Unavailable => {
                "the token cannot be judged now, because a key server or store is unavailable"
            }
            Self::Internal => "the token could not be processed",
        }
    }
}
