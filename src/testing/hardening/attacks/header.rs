//! Attacks by the header: keys that a token names or brings along, and extensions that it requires.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{List, Right};
use crate::keys::Algorithm;
use crate::testing::hardening::forge::{ATTACKER_SECRET, Forge, changed, text};
use crate::testing::hardening::public_key::spki;
use crate::testing::hardening::weakness::Weakness;

/// Nothing listens there, so the attacks reach no other host.
const URL: &str = "http://127.0.0.1:9/jwks.json";

pub(super) fn add(list: &mut List, forge: &Forge) {
    key_ids(list, forge);
    keys(list, forge);
    extensions(list, forge);
    twice(list, forge);
    deep(list, forge);
}

fn key_ids(list: &mut List, forge: &Forge) {
    let secret = String::from_utf8_lossy(ATTACKER_SECRET);
    let kids = [
        ("no `kid`", Value::Null),
        (
            "the right `kid`",
            forge.header.get("kid").cloned().unwrap_or_default(),
        ),
        ("an empty `kid`", json!("")),
        ("an unknown `kid`", json!("no-such-key")),
        ("a number as `kid`", json!(0)),
        ("a boolean as `kid`", json!(true)),
        ("an array as `kid`", json!(["a", "b"])),
        ("an object as `kid`", json!({"$ne": ""})),
        ("a very long `kid`", json!("k".repeat(10_000))),
        (
            "a path to an empty file as `kid`",
            json!("../../../../../../dev/null"),
        ),
        ("an absolute path as `kid`", json!("/dev/null")),
        (
            "a path to a known file as `kid`",
            json!("../../../../../../proc/sys/kernel/ostype"),
        ),
        ("a file URL as `kid`", json!("file:///dev/null")),
        ("a URL as `kid`", json!(URL)),
        (
            "SQL as `kid`",
            json!(format!("x' UNION SELECT '{secret}' -- ")),
        ),
        ("SQL that is always true as `kid`", json!("' OR '1'='1")),
        ("a shell command as `kid`", json!("key.pem | true")),
        ("a `kid` with a zero byte", json!("key\0.pem")),
        ("a `kid` with line breaks", json!("key\r\nx-admin: 1")),
        (
            "a `kid` that is not ASCII",
            json!("schl\u{fc}ssel\u{1F511}"),
        ),
    ];
    for (name, kid) in kids {
        let changes = [("kid", kid)];
        for (signed, token) in [
            ("signed with another key", forge.of_stranger(&changes)),
            (
                "HMAC with an empty secret",
                forge.by_secret(Algorithm::HS256, b"", &changes),
            ),
            (
                "HMAC with a secret that it yields",
                forge.by_secret(Algorithm::HS256, ATTACKER_SECRET, &changes),
            ),
            (
                "HMAC with the content of the file",
                forge.by_secret(Algorithm::HS256, b"Linux\n", &changes),
            ),
        ] {
            list.token(Weakness::KeyIdTrusted, format!("{name}, {signed}"), &token);
        }
    }
}

/// Adds tokens that contain keys, or say where to find them.
fn keys(list: &mut List, forge: &Forge) {
    let jwk = forge.attacker.verifying_key().to_jwk().unwrap_or_default();
    let kid = json!(forge.attacker.key_id());
    let der = STANDARD.encode(spki(&jwk).unwrap_or_default());
    let url = json!(URL);
    for (name, member, value) in [
        ("`jwk`", "jwk", jwk.clone()),
        ("`jku`", "jku", url.clone()),
        ("`x5u`", "x5u", url),
        ("`x5c`", "x5c", json!([der])),
        ("`jwks`", "jwks", json!({"keys": [jwk]})),
        ("`x5t`", "x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let own = forge.header.get("kid").cloned().unwrap_or_default();
        for (kid_name, kid) in [
            ("its own", kid.clone()),
            ("the service's", own),
            ("no", Value::Null),
        ] {
            let token = forge.of_attacker(&[(member, value.clone()), ("kid", kid)]);
            let name = format!("the attacker's key in {name}, with {kid_name} `kid`");
            list.token(Weakness::KeyFromToken, name, &token);
        }
    }
    let oct = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(ATTACKER_SECRET)});
    let token = forge.by_secret(Algorithm::HS256, ATTACKER_SECRET, &[("jwk", oct)]);
    list.token(
        Weakness::KeyFromToken,
        "the attacker's secret in `jwk`",
        &token,
    );
    for (member, value) in [
        ("jwk", json!(7)),
        ("x5c", json!("x")),
        ("jku", json!([])),
        ("x5c", json!([])),
    ] {
        let name = format!("`{member}: {value}`");
        let token = forge.of_attacker(&[(member, value)]);
        list.token(Weakness::KeyFromToken, name, &token);
    }
}

/// Adds extensions that change what the token means. The signature is valid.
fn extensions(list: &mut List, forge: &Forge) {
    for (name, crit, more) in [
        (
            "an unknown extension in `crit`",
            json!(["x-unknown"]),
            ("x-unknown", json!(true)),
        ),
        (
            "`b64: false` in `crit`",
            json!(["b64"]),
            ("b64", json!(false)),
        ),
        ("`exp` in `crit`", json!(["exp"]), ("exp", json!(0))),
        ("an empty `crit`", json!([]), ("x", json!(0))),
        ("a text as `crit`", json!("exp"), ("exp", json!(0))),
        (
            "a missing extension in `crit`",
            json!(["x-missing"]),
            ("x", json!(0)),
        ),
    ] {
        let token = forge.with_header(&[("crit", crit), more]);
        list.token(Weakness::CriticalHeaderIgnored, name, &token);
    }
    // A compressed payload: one stored block (RFC 1951 section 3.2.4).
    let claims = text(&forge.claims);
    if let Ok(length) = u16::try_from(claims.len()) {
        let (low, not) = (length.to_le_bytes(), (!length).to_le_bytes());
        let deflated = [&[1], low.as_slice(), &not, claims.as_bytes()].concat();
        let header = text(&changed(&forge.header, &[("zip", json!("DEF"))]));
        let token = forge.signed_text(&header, deflated);
        list.token(
            Weakness::CriticalHeaderIgnored,
            "a compressed payload (`zip`)",
            &token,
        );
    }
    for (name, changes) in [
        ("`b64: false`", vec![("b64", json!(false))]),
        ("`zip`", vec![("zip", json!("DEF"))]),
        (
            "`enc`",
            vec![("enc", json!("A256GCM")), ("alg", json!("dir"))],
        ),
        ("`cty: JWT`", vec![("cty", json!("JWT"))]),
    ] {
        let token = forge.of_stranger(&changes);
        list.token(
            Weakness::SignatureNotVerified,
            format!("{name}, signed with another key"),
            &token,
        );
    }
    let Some(typ) = forge.header.get("typ").and_then(Value::as_str) else {
        return;
    };
    for other in [
        "rt+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "application/rt+jwt",
    ] {
        if !typ.eq_ignore_ascii_case(other) {
            // A service that looks only at the claim `type` is right, too.
            let kind = forge.claims.get("type").map(|_| ("type", json!("other")));
            let claims = changed(&forge.claims, kind.as_slice());
            let header = changed(&forge.header, &[("typ", json!(other))]);
            let token = forge.signed(&header, &claims);
            list.token(
                Weakness::TokenType,
                format!("`typ: {other}` in the header"),
                &token,
            );
        }
    }
}

/// Adds tokens with duplicate members. A parser that uses the last one, as RFC 7519 section 4 allows, must
/// refuse them as well.
fn twice(list: &mut List, forge: &Forge) {
    let past = json!(forge.issued_at() - 30 * 86_400);
    for (member, bad) in [
        ("exp", past),
        ("aud", json!("another-audience")),
        ("iss", json!("https://another-issuer.example")),
    ] {
        if forge.claims.contains_key(member) {
            let claims = text(&forge.claims);
            let claims = claims.strip_suffix('}').unwrap_or_default();
            let claims = format!(r#"{claims},"{member}":{bad}}}"#);
            let token = forge.signed_text(&text(&forge.header), claims);
            list.token(
                Weakness::DuplicateMember,
                format!("`{member}` twice, the last one bad"),
                &token,
            );
        }
    }
}

/// Adds JSON that is nested too deeply for a recursive parser, and long tokens.
fn deep(list: &mut List, forge: &Forge) {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let alg = forge.alg();
    for depth in [200, 24_000] {
        let header = format!(r#"{{"alg":"{alg}","x":{}}}"#, nested(depth));
        let claims = format!(r#"{{"x":{}}}"#, nested(depth));
        for (name, token) in [
            (
                "header",
                forge.text_of_stranger(&header, &text(&forge.claims)),
            ),
            (
                "payload",
                forge.text_of_stranger(&text(&forge.header), &claims),
            ),
        ] {
            let name = format!("a {name} that nests {depth} deep");
            list.token(Weakness::Oversized, name, &token).right = Right::RefusalOrTooLarge;
        }
    }
    let token = forge.of_stranger(&[("x", json!("A".repeat(48 << 10)))]);
    list.token(Weakness::Oversized, "a forged token of 64 KiB", &token)
        .right = Right::RefusalOrTooLarge;
}
