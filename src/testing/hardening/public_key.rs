//! The forms in which a service may have loaded its public key. Each may be misused as an HMAC secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04";
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Returns the name and the bytes of each form.
pub(super) fn forms(jwk: &Value) -> Vec<(String, Vec<u8>)> {
    let mut forms = vec![("the JWK".to_owned(), jwk.to_string().into_bytes())];
    let set = serde_json::json!({ "keys": [jwk] });
    forms.push(("the JWK set".to_owned(), set.to_string().into_bytes()));
    if let Some(pkcs1) = rsa_numbers(jwk) {
        forms.push(("PKCS #1 DER".to_owned(), pkcs1.clone()));
        forms.extend(pem("PKCS #1 ", "RSA PUBLIC KEY", &pkcs1));
    }
    if let Some(der) = spki(jwk) {
        forms.extend(pem("", "PUBLIC KEY", &der));
        forms.push(("DER".to_owned(), der));
    }
    for name in ["x", "n"] {
        if let Some(bytes) = member(jwk, name) {
            forms.push(("the bare number".to_owned(), bytes));
        }
    }
    forms
}

fn pem(kind: &str, label: &str, der: &[u8]) -> [(String, Vec<u8>); 3] {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    let trimmed = text.trim_end().to_owned();
    [
        (format!("{kind}PEM"), text.into_bytes()),
        (
            format!("{kind}PEM without its last line break"),
            trimmed.into_bytes(),
        ),
        (format!("the base64 of {kind}DER"), base64.into_bytes()),
    ]
}

/// Encodes a key as `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
pub(super) fn spki(jwk: &Value) -> Option<Vec<u8>> {
    let numbers = |prefix: &[u8], names: &[&str]| {
        let mut der = prefix.to_vec();
        for name in names {
            der.extend(member(jwk, name)?);
        }
        Some(der)
    };
    match (
        jwk.get("kty")?.as_str()?,
        jwk.get("crv").and_then(Value::as_str),
    ) {
        ("EC", Some("P-256")) => numbers(P256, &["x", "y"]),
        ("EC", Some("P-384")) => numbers(P384, &["x", "y"]),
        ("OKP", Some("Ed25519")) => numbers(ED25519, &["x"]),
        ("RSA", _) => {
            let bits = [&[0], rsa_numbers(jwk)?.as_slice()].concat();
            Some(element(0x30, &[RSA, &element(0x03, &bits)].concat()))
        }
        _ => None,
    }
}

/// Encodes a key as `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa_numbers(jwk: &Value) -> Option<Vec<u8>> {
    let number = |name| {
        let bytes = member(jwk, name)?;
        let sign: &[u8] = if bytes.first()? & 0x80 == 0 {
            &[]
        } else {
            &[0]
        };
        Some(element(0x02, &[sign, &bytes].concat()))
    };
    Some(element(0x30, &[number("n")?, number("e")?].concat()))
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![tag];
    match digits {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        _ => {
            der.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            der.extend(digits);
        }
    }
    der.extend(content);
    der
}

fn member(jwk: &Value, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::forms;
    use crate::keys::{Algorithm, SigningKey, VerifyingKey};

    #[test]
    fn pem_and_der_are_those_of_the_key() {
        use Algorithm::{ES256, ES384, EdDSA, RS256};
        for algorithm in [ES256, ES384, EdDSA, RS256] {
            let key = SigningKey::generate(algorithm).unwrap().verifying_key();
            let jwk = key.to_jwk().unwrap();
            let mut read = 0;
            for (name, bytes) in forms(&jwk) {
                let same = match name.as_str() {
                    "DER" => VerifyingKey::from_der(algorithm, &bytes).unwrap(),
                    "PEM" => VerifyingKey::from_pem(algorithm, &bytes).unwrap(),
                    _ => continue,
                };
                assert_eq!(same.to_jwk(), key.to_jwk(), "{algorithm:?} {name}");
                read += 1;
            }
            assert!(read >= 2, "{algorithm:?}");
        }
    }
}
