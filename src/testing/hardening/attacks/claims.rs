//! Tokens with a valid signature and wrong claims, such as those that the same issuer makes for other
//! services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::List;
use crate::testing::hardening::forge::{Forge, changed};
use crate::testing::hardening::kit::Hardening;
use crate::testing::hardening::weakness::Weakness;

const DAY: i64 = 86_400;

pub(super) fn add<B>(list: &mut List, kit: &Hardening<B>) {
    let forge = &kit.forge;
    missing(list, kit);
    mistyped(list, kit);
    times(list, forge);
    names(list, forge);
    types(list, kit);
}

fn missing<B>(list: &mut List, kit: &Hardening<B>) {
    let usual = ["exp", "iss", "aud"].into_iter();
    let required = kit.required.iter().map(String::as_str);
    let kind = type_counts(kit).then_some("type");
    let all: BTreeSet<_> = usual.chain(kind).chain(required).collect();
    for claim in all {
        if kit.forge.claims.contains_key(claim) {
            let token = kit.forge.with_claims(&[(claim, Value::Null)]);
            list.token(Weakness::MissingClaim, format!("no `{claim}`"), &token);
            let mut claims = kit.forge.claims.clone();
            claims.insert(claim.to_owned(), Value::Null);
            let token = kit.forge.signed(&kit.forge.header, &claims);
            list.token(Weakness::MissingClaim, format!("`{claim}: null`"), &token);
        }
    }
}

fn mistyped<B>(list: &mut List, kit: &Hardening<B>) {
    let forge = &kit.forge;
    let text_of = |claim: &str| forge.claims.get(claim).cloned().unwrap_or_default();
    let [iss, aud, kind] = ["iss", "aud", "type"].map(text_of);
    for (claim, values) in [
        (
            "exp",
            vec![
                json!("never"),
                json!(true),
                json!([i64::MAX]),
                json!({"at": 1}),
                json!(-1),
            ],
        ),
        ("nbf", vec![json!("soon"), json!([0]), json!({"at": 1})]),
        ("iat", vec![json!("now"), json!([0]), json!({"at": 1})]),
        (
            "iss",
            vec![json!([iss]), json!({"name": iss}), json!(7), json!(true)],
        ),
        (
            "aud",
            vec![
                json!({"name": aud}),
                json!(7),
                json!(true),
                json!([]),
                json!([[aud]]),
            ],
        ),
        (
            "sub",
            vec![json!(7), json!(["alice"]), json!({"name": "alice"})],
        ),
        ("type", vec![json!([kind]), json!({"name": kind}), json!(7)]),
    ] {
        let is_free = claim == "type" && !type_counts(kit);
        if is_free || (claim != "nbf" && !forge.claims.contains_key(claim)) {
            continue;
        }
        for value in values {
            let kind = match &value {
                Value::Array(items) if items.is_empty() => "an empty array",
                Value::Array(_) => "an array",
                Value::Object(_) => "an object",
                Value::String(_) => "a text",
                Value::Bool(_) => "a boolean",
                _ => "a wrong number",
            };
            let token = forge.with_claims(&[(claim, value)]);
            list.token(
                Weakness::MalformedClaim,
                format!("{kind} as `{claim}`"),
                &token,
            );
        }
    }
}

fn times(list: &mut List, forge: &Forge) {
    let now = forge.issued_at();
    let at = |days: i64| json!(now + days * DAY);
    let life = |days: i64| json!(now + days * DAY + 900);
    let has_iat = forge.claims.contains_key("iat");
    let iat = |value: Value| ("iat", if has_iat { value } else { Value::Null });
    if forge.claims.contains_key("exp") {
        for (name, changes) in [
            ("expired yesterday", vec![iat(at(-2)), ("exp", life(-1))]),
            (
                "expired an hour before it was issued",
                vec![("exp", json!(now - 3600))],
            ),
            (
                "expired last year",
                vec![iat(at(-366)), ("exp", life(-366))],
            ),
            ("expired in 1970", vec![("exp", json!(0))]),
        ] {
            let nbf = forge.claims.contains_key("nbf").then(|| ("nbf", at(-400)));
            let changes: Vec<_> = changes.into_iter().chain(nbf).collect();
            list.token(
                Weakness::Expired,
                format!("a token that {name}"),
                &forge.with_claims(&changes),
            );
        }
    }
    for (name, changes) in [
        ("from tomorrow on", vec![("nbf", at(1)), ("exp", life(1))]),
        (
            "from tomorrow on, with the usual `exp`",
            vec![("nbf", at(1))],
        ),
        (
            "from next hour on",
            vec![("nbf", json!(now + 3600)), ("exp", json!(now + 4500))],
        ),
    ] {
        list.token(
            Weakness::NotYetValid,
            format!("a token that is valid {name}"),
            &forge.with_claims(&changes),
        );
    }
    if has_iat {
        for (name, changes) in [
            ("tomorrow", vec![("iat", at(1)), ("exp", life(1))]),
            (
                "in a hundred years",
                vec![("iat", at(36_500)), ("exp", life(36_500))],
            ),
        ] {
            let token = forge.with_claims(&changes);
            list.token(
                Weakness::IssuedInFuture,
                format!("a token that was issued {name}"),
                &token,
            );
        }
    }
}

fn names(list: &mut List, forge: &Forge) {
    if let Some(ours) = forge.claims.get("iss").and_then(Value::as_str) {
        for (name, other) in others(ours) {
            let token = forge.with_claims(&[("iss", json!(other))]);
            list.token(Weakness::Issuer, format!("{name} as the issuer"), &token);
        }
    }
    let ours = match forge.claims.get("aud") {
        Some(Value::Array(all)) => all.first(),
        one => one,
    };
    if let Some(ours) = ours.and_then(Value::as_str) {
        for (name, other) in others(ours) {
            let token = forge.with_claims(&[("aud", json!(other))]);
            list.token(
                Weakness::Audience,
                format!("{name} as the audience"),
                &token,
            );
            let token = forge.with_claims(&[("aud", json!([other, "another-audience"]))]);
            list.token(
                Weakness::Audience,
                format!("{name} among two audiences"),
                &token,
            );
        }
    }
}

/// Returns names that a careless comparison takes for this one.
fn others(ours: &str) -> Vec<(&'static str, String)> {
    let capitals = ours.to_uppercase();
    let swapped = if capitals == ours {
        ours.to_lowercase()
    } else {
        capitals
    };
    let mut others = vec![
        ("another name", "https://another.example".to_owned()),
        ("an empty name", String::new()),
        ("`*`", "*".to_owned()),
        ("a longer name", format!("{ours}.attacker.example")),
        ("a name that ends with ours", format!("attacker-{ours}")),
        ("a name with a slash at its end", format!("{ours}/")),
        ("a name with a space at its end", format!("{ours} ")),
    ];
    if swapped != ours {
        others.push(("the name in another case", swapped));
    }
    let mut shorter = ours.to_owned();
    if shorter.pop().is_some() {
        others.push(("a shorter name", shorter));
    }
    others
}

/// Returns whether the claim `type` decides what a token is. The header's `typ` may do so instead.
fn type_counts<B>(kit: &Hardening<B>) -> bool {
    let is_required = kit.required.iter().any(|claim| claim == "type");
    kit.forge.claims.contains_key("type") && (is_required || !kit.forge.says_access())
}

/// Adds tokens that the same issuer signs for other purposes.
fn types<B>(list: &mut List, kit: &Hardening<B>) {
    let forge = &kit.forge;
    let says_access = forge.says_access();
    let has_type = forge.claims.contains_key("type");
    if !says_access && !has_type {
        return; // nothing in the good token says of which type it is
    }
    let mut send = |name: &str, typ: &str, claims: &[(&str, Value)]| {
        let typ = if says_access {
            json!(typ)
        } else {
            json!(forge.header.get("typ"))
        };
        let header = changed(&forge.header, &[("typ", typ)]);
        let claims: Vec<_> = claims
            .iter()
            .filter(|(claim, value)| *claim != "type" || value.is_null() || has_type)
            .cloned()
            .collect();
        let token = forge.signed(&header, &changed(&forge.claims, &claims));
        list.token(Weakness::TokenType, name, &token);
    };
    send("a refresh token", "rt+jwt", &[("type", json!("refresh"))]);
    send(
        "a refresh token with `typ: JWT`",
        "JWT",
        &[("type", json!("refresh")), ("token_use", json!("refresh"))],
    );
    send(
        "an ID token",
        "JWT",
        &[
            ("type", Value::Null),
            ("nonce", json!("n-0S6_WzA2Mj")),
            ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
            ("email", json!("alice@example.com")),
        ],
    );
    send(
        "a logout token",
        "logout+jwt",
        &[
            ("type", Value::Null),
            (
                "events",
                json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            ),
        ],
    );
    if type_counts(kit) {
        for other in ["id_token", "", "ACCESS", "access ", "reset_password"] {
            let token = forge.with_claims(&[("type", json!(other))]);
            list.token(Weakness::TokenType, format!("`type: {other:?}`"), &token);
        }
    }
}
