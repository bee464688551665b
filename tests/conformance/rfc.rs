//! RFC 7515 appendix A, RFC 8037 appendix A.4, RFC 7520, as far as the algorithms go.

use tower_jwt_auth::dangerous::decode_unverified;
use tower_jwt_auth::{Algorithm, AuthErrorKind, SigningKey, TokenVerifier, VerifyingKey};

/// The payload of RFC 7515 appendix A: issuer `joe`, and neither a type nor an audience.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// Returns whether the signature is valid: then the next check fails, for the missing type. An invalid
/// signature is another error.
fn signature_is_good(key: VerifyingKey, token: &str) -> bool {
    let verifier = TokenVerifier::builder()
        .keys(key)
        .issuer("joe")
        .dangerous_no_audience()
        .build()
        .unwrap();
    match verifier.verify_local(token).unwrap_err().kind() {
        AuthErrorKind::WrongType => true,
        AuthErrorKind::InvalidSignature => false,
        other => panic!("{other:?}"),
    }
}

/// The vector verifies, and with any changed part of its signature it does not.
fn check(key: &VerifyingKey, token: &str) {
    assert!(signature_is_good(key.clone(), token), "{token}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    for index in [0, signature.len() / 2] {
        let mut changed: Vec<char> = signature.chars().collect();
        changed[index] = if changed[index] == 'A' { 'B' } else { 'A' };
        let changed: String = changed.into_iter().collect();
        assert!(!signature_is_good(
            key.clone(),
            &format!("{message}.{changed}")
        ));
    }
}

#[test]
fn rfc_7515_a_1_hs256() {
    let k =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let jwk = format!(r#"{{"kty":"oct","alg":"HS256","k":"{k}"}}"#);
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    check(&VerifyingKey::from_jwk(&jwk).unwrap(), &token);
    let claims = decode_unverified::<serde_json::Value>(&token)
        .unwrap()
        .into_unverified_claims();
    assert_eq!(claims["http://example.com/is_root"], true);
}

#[test]
fn rfc_7515_a_2_rs256() {
    let jwk = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let key = VerifyingKey::from_jwk(jwk).unwrap();
    assert_eq!(key.algorithm(), Algorithm::RS256);
    check(&key, &token);
}

#[test]
fn rfc_7515_a_3_es256() {
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    check(&VerifyingKey::from_jwk(jwk).unwrap(), &token);
}

#[test]
fn rfc_7515_a_5_unsecured() {
    // RFC 8725 section 3.2: there is no key with which `none` could pass.
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    let key = SigningKey::generate(Algorithm::HS256)
        .unwrap()
        .verifying_key();
    let verifier = TokenVerifier::builder()
        .keys(key)
        .issuer("joe")
        .dangerous_no_audience();
    let error = verifier.build().unwrap().verify_local(&token).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::UnsupportedAlgorithm);
}

#[test]
fn rfc_7515_appendix_e_crit() {
    // The header that appendix E says must be rejected.
    let token = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";
    let error = decode_unverified::<serde_json::Value>(token).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::UnsupportedAlgorithm);
}

#[test]
fn rfc_8037_a_4_eddsa() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = VerifyingKey::from_jwk(jwk).unwrap();
    let verifier = TokenVerifier::builder()
        .keys(key)
        .dangerous_no_issuer()
        .dangerous_no_audience();
    let verifier = verifier.build().unwrap();
    // The payload is text and not claims: a valid signature gets as far as that check.
    let kind = |token: &str| verifier.verify_local(token).unwrap_err().kind();
    assert_eq!(kind(token), AuthErrorKind::MalformedToken);
    assert_eq!(
        kind(&token.replace("hgyY", "hgyZ")),
        AuthErrorKind::InvalidSignature
    );
}
