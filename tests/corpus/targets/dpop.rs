//! DPoP proofs: each proof that is accepted also passes an independent check of RFC 9449 section 4.3.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Method, Uri};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use serde_json::{Map, Value};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::dpop::{Dpop, MemoryReplays};

use super::first_line;
use super::signer::{ED_X, EDDSA};

/// The time at which all proofs are verified.
const NOW: u64 = 1_800_000_000;

static DPOP: LazyLock<Dpop> = LazyLock::new(|| {
    Dpop::builder("https://api.example/v1", MemoryReplays::new())
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap()
});

/// Reads a header, a line feed, and claims, and signs them with the key of RFC 8037.
pub(super) fn run(data: &[u8]) {
    let (header, claims) = first_line(data);
    let proof = EDDSA.token(header, claims);
    let mut headers = HeaderMap::new();
    headers.insert("dpop", HeaderValue::from_str(&proof).unwrap());
    let uri = Uri::from_static("/orders/%7ealice?page=2");
    let Ok(accepted) = DPOP.verify_proof(&Method::POST, &uri, &headers) else {
        return;
    };
    let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    let claims: Map<String, Value> = serde_json::from_slice(claims).unwrap();
    let text = |map: &Map<String, Value>, name| map[name].as_str().unwrap().to_owned();
    assert!(text(&header, "typ").eq_ignore_ascii_case("dpop+jwt"));
    assert_eq!(text(&header, "alg"), "EdDSA");
    assert!(header.get("crit").is_none());
    let jwk = &header["jwk"];
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["x"]),
        (&"OKP".into(), &"Ed25519".into(), &ED_X.into())
    );
    assert!(jwk.get("d").is_none());
    let jwk: Jwk =
        serde_json::from_value(serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": ED_X}))
            .unwrap();
    assert_eq!(
        accepted.thumbprint(),
        jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
    );
    assert!(!text(&claims, "jti").is_empty());
    assert_eq!(text(&claims, "htm"), "POST");
    assert_eq!(
        normal(&text(&claims, "htu")),
        "https://api.example/v1/orders/~alice"
    );
    let age = NOW as f64 - claims["iat"].as_f64().unwrap();
    assert!((-300.0..=300.0).contains(&age), "{age}");
}

/// Returns an address without query and fragment, normalized by RFC 3986 section 6.2.2 with another parser.
fn normal(htu: &str) -> String {
    let end = htu.find(['?', '#']).unwrap_or(htu.len());
    let (scheme, rest) = htu[..end].split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    assert!(port.is_empty() || port.parse() == Ok(443_u16), "{htu}");
    let authority = host.to_ascii_lowercase();
    let mut segments: Vec<String> = Vec::new();
    for segment in path[1..].split('/') {
        let segment = unescaped(segment);
        match &*segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    format!(
        "{}://{authority}/{}",
        scheme.to_ascii_lowercase(),
        segments.join("/")
    )
}

/// Decodes escapes of unreserved characters (RFC 3986 section 2.3), and leaves the others.
fn unescaped(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.map(char::from) {
            Some(one) if one.is_ascii_alphanumeric() || "-._~".contains(one) => {
                text.push(one);
                text.push_str(&part[2..]);
            }
            _ => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    text
}
