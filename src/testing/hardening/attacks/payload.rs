//! Payloads with a valid signature that are not a JSON object.

use serde_json::Value;

use super::List;
use crate::testing::hardening::forge::{Forge, changed, text};
use crate::testing::hardening::weakness::Weakness;

pub(super) fn add(list: &mut List, forge: &Forge) {
    for (name, claims) in [
        ("an array", "[]"),
        ("a text", "\"x\""),
        ("null", "null"),
        ("a number", "1"),
        ("nothing", ""),
        ("an empty object", "{}"),
        ("half of an object", "{\"sub\":"),
        ("two objects", "{}{}"),
    ] {
        let token = forge.signed_text(&text(&forge.header), claims);
        list.token(
            Weakness::MalformedClaim,
            format!("{name} as the claims"),
            &token,
        );
    }
    let claims = text(&changed(&forge.claims, &[("exp", Value::Null)]));
    let claims = claims.strip_prefix('{').unwrap_or_default();
    let token = forge.signed_text(&text(&forge.header), format!(r#"{{"exp":1e999,{claims}"#));
    list.token(
        Weakness::MalformedClaim,
        "a number that is out of range as `exp`",
        &token,
    );
    let token = forge.signed_text(&text(&forge.header), b"{\"sub\":\"\xff\xfe\"}");
    list.token(
        Weakness::MalformedClaim,
        "claims that are not UTF-8",
        &token,
    );
}
