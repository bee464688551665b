//! The kinds of errors: their status codes, challenges and messages.

use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use tower_jwt_auth::AuthErrorKind::*;
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{AuthError, AuthErrorKind, ConfigError};

#[test]
fn every_kind_has_its_status_code_and_challenge() {
    // The whole table of RFC 6750 section 3.1 and RFC 9470 section 3, once.
    let invalid = Some(r#"Bearer realm="api", error="invalid_token""#);
    let table = [
        (
            MissingToken,
            "missing_token",
            401,
            Some(r#"Bearer realm="api""#),
        ),
        (
            MalformedRequest,
            "malformed_request",
            400,
            Some(r#"Bearer realm="api", error="invalid_request""#),
        ),
        (MalformedToken, "malformed_token", 401, invalid),
        (UnsupportedAlgorithm, "unsupported_algorithm", 401, invalid),
        (UnknownKey, "unknown_key", 401, invalid),
        (InvalidSignature, "invalid_signature", 401, invalid),
        (Expired, "expired", 401, invalid),
        (NotYetValid, "not_yet_valid", 401, invalid),
        (InvalidIssuer, "invalid_issuer", 401, invalid),
        (InvalidAudience, "invalid_audience", 401, invalid),
        (InvalidClaim, "invalid_claim", 401, invalid),
        (WrongType, "wrong_type", 401, invalid),
        (Revoked, "revoked", 401, invalid),
        (InvalidCredential, "invalid_credential", 401, invalid),
        // RFC 9449 section 7.1
        (
            InvalidProof,
            "invalid_proof",
            401,
            Some(r#"DPoP realm="api", error="invalid_dpop_proof""#),
        ),
        (
            NonceRequired,
            "nonce_required",
            401,
            Some(r#"DPoP realm="api", error="use_dpop_nonce""#),
        ),
        (
            InsufficientScope,
            "insufficient_scope",
            403,
            Some(r#"Bearer realm="api", error="insufficient_scope""#),
        ),
        (
            InsufficientAuthentication,
            "insufficient_authentication",
            401,
            Some(r#"Bearer realm="api", error="insufficient_user_authentication""#),
        ),
        (Forbidden, "forbidden", 403, Some(r#"Bearer realm="api""#)),
        (ClaimsMismatch, "claims_mismatch", 403, None),
        (MissingLayer, "missing_layer", 500, None),
        (Unavailable, "unavailable", 503, None),
        (Internal, "internal", 500, None),
    ];
    assert_eq!(table.map(|(kind, ..)| kind), AuthErrorKind::ALL);
    for (kind, name, status, challenge) in table {
        let error = AuthError::new(kind);
        assert_eq!(kind.as_str(), name);
        assert_eq!(error.status().as_u16(), status, "{kind:?}");
        assert_eq!(error.www_authenticate().as_deref(), challenge, "{kind:?}");
        assert_eq!(error.retry_after().is_some(), kind == Unavailable);
        let text = error.to_string();
        assert!(
            !text.ends_with('.') && text.starts_with(|c: char| c.is_lowercase()),
            "{text}"
        );
        assert!(!error.client_message().is_empty());
    }
}

#[test]
fn an_error_keeps_its_source_and_is_cheap_to_clone() {
    let error: AuthError = StoreError::new("connection refused").into();
    assert_eq!(error.kind(), Unavailable);
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "the store is unavailable");
    assert_eq!(source.source().unwrap().to_string(), "connection refused");

    let later = error.clone().with_retry_after(Duration::from_secs(7));
    assert_eq!(later.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(AuthError::from(Expired).retry_after(), None);
    // The message is stored inline, so a refusal does not allocate for it.
    assert!(size_of::<AuthError>() <= 32);
}

#[test]
fn configuration_errors_say_what_to_do() {
    let many = ConfigError::Multiple(vec![ConfigError::MissingIssuer, ConfigError::NoKeys]);
    assert_eq!(
        many.to_string(),
        "2 problems in the configuration:\n  \
         - no issuer is set, or it is empty: call `.issuer(..)`, or `.dangerous_no_issuer()` to accept any\n  \
         - there is no key to verify tokens with: give the builder at least one, as `TokenVerifier::builder().keys(..)`"
    );
    let odd = ConfigError::UnknownAlgorithm("\u{1b}[31mnone\n".into()).to_string();
    assert!(!odd.contains('\u{1b}') && !odd.contains('\n'), "{odd}"); // OWASP ASVS 5.0 V16.4.1
}

#[test]
fn a_configuration_error_prints_its_text_from_main() {
    // If `main` returns an error, Rust prints its `Debug` output.
    for error in [
        ConfigError::MissingIssuer,
        ConfigError::Invalid("JWT_ISSUER is not set".into()),
        ConfigError::Multiple(vec![ConfigError::MissingIssuer, ConfigError::NoKeys]),
    ] {
        let boxed: Box<dyn std::error::Error> = error.clone().into();
        assert_eq!(format!("{boxed:?}"), error.to_string());
        assert_eq!(format!("{error:#?}"), error.to_string());
    }
}
