//! Tokens without a signature, with a wrong one, and under another algorithm.

use serde_json::{Value, json};

use super::List;
use crate::keys::Algorithm;
use crate::testing::hardening::forge::{Forge, changed, text, with_signature};
use crate::testing::hardening::kit::Hardening;
use crate::testing::hardening::weakness::Weakness;

pub(super) fn add<B>(list: &mut List, kit: &Hardening<B>) {
    unsigned(list, &kit.forge);
    wrong(list, &kit.forge);
    confused(list, kit);
    spelled(list, &kit.forge);
}

fn unsigned(list: &mut List, forge: &Forge) {
    let (_, good) = forge.halves();
    let names = [
        "none", "None", "NONE", "nOnE", "NoNe", " none", "none ", "", "null",
    ];
    let mut algorithms: Vec<(String, Value)> = names
        .map(|name| (format!("`alg: {name:?}`"), json!(name)))
        .into();
    algorithms.push(("no `alg`".to_owned(), Value::Null)); // takes it out
    algorithms.push(("`alg` in an array".to_owned(), json!(["none"])));
    algorithms.push(("`alg: 0`".to_owned(), json!(0)));
    for (name, alg) in algorithms {
        let changes = [("alg", alg)];
        let empty = forge.with(&changes, b"");
        let no_dot = empty.trim_end_matches('.');
        list.token(
            Weakness::Unsigned,
            format!("{name} with an empty signature"),
            &empty,
        );
        list.token(
            Weakness::Unsigned,
            format!("{name} without a third part"),
            no_dot,
        );
        let kept = forge.with(&changes, &good);
        list.token(
            Weakness::Unsigned,
            format!("{name} with another token's signature"),
            &kept,
        );
    }
    let alg = forge.alg();
    let twice = text(&changed(&forge.header, &[("alg", Value::Null)]));
    let rest = twice.strip_prefix('{').unwrap_or_default();
    let joint = if rest == "}" { "" } else { "," };
    let header = format!(r#"{{"alg":"{alg}","alg":"none"{joint}{rest}"#);
    let token = forge.text_of_stranger(&header, &text(&forge.claims));
    let message = token.rsplit_once('.').unwrap_or_default().0;
    list.token(
        Weakness::Unsigned,
        "`alg` twice, the last `none`",
        &format!("{message}."),
    );
}

fn wrong(list: &mut List, forge: &Forge) {
    let (message, good) = forge.halves();
    let stranger = forge.of_stranger(&[]);
    list.token(
        Weakness::SignatureNotVerified,
        "a token signed with another key",
        &stranger,
    );
    let mut flipped = good.clone();
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    let half = &good[..good.len() / 2];
    for (name, signature) in [
        ("no signature", Vec::new()),
        (
            "one byte of its signature",
            good.iter().take(1).copied().collect(),
        ),
        ("half of its signature", half.to_vec()),
        (
            "all but the last byte of its signature",
            good[..good.len().saturating_sub(1)].to_vec(),
        ),
        ("a changed bit in its signature", flipped),
        ("its signature twice", [good.as_slice(), &good].concat()),
        ("a signature of zeros", vec![0; good.len()]),
        ("a signature of 64 zeros", vec![0; 64]),
    ] {
        let token = with_signature(message, &signature);
        list.token(
            Weakness::SignatureNotVerified,
            format!("a good token with {name}"),
            &token,
        );
    }
    list.token(
        Weakness::SignatureNotVerified,
        "a good token without its third part",
        message,
    );
    let admin = changed(
        &forge.claims,
        &[("sub", json!("admin")), ("admin", json!(true))],
    );
    let other = forge.signed(&forge.header, &admin);
    let (other, _) = other.rsplit_once('.').unwrap_or_default();
    let token = with_signature(other, &good);
    list.token(
        Weakness::SignatureNotVerified,
        "other claims with a good token's signature",
        &token,
    );
    let token = forge.with(&[("x", json!("y"))], &good);
    list.token(
        Weakness::SignatureNotVerified,
        "another header with a good token's signature",
        &token,
    );
}

/// Adds tokens that are signed with a known key, under an algorithm that the service did not choose.
fn confused<B>(list: &mut List, kit: &Hardening<B>) {
    let forge = &kit.forge;
    for (form, secret) in &kit.public {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let name = format!("{algorithm:?} with the public key as the secret ({form})");
            let token = forge.by_secret(algorithm, secret, &[]);
            list.token(Weakness::AlgorithmConfusion, name, &token);
        }
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for (name, secret) in [
            ("an empty secret", b"".as_slice()),
            ("the secret `secret`", b"secret"),
        ] {
            let token = forge.by_secret(algorithm, secret, &[]);
            let name = format!("{algorithm:?} with {name}");
            list.token(Weakness::AlgorithmConfusion, name, &token);
        }
    }
    // The signature is valid, but the header names another algorithm.
    let own = forge.alg();
    let lower = own.to_ascii_lowercase();
    for alg in [
        "HS256", "HS384", "RS256", "PS256", "ES256", "ES384", "ES256K", "XX256", &lower,
    ] {
        let is_own = alg == own || (alg.starts_with("Ed") && own.starts_with("Ed"));
        if !is_own {
            let token = forge.with_header(&[("alg", json!(alg))]);
            let name = format!("a good signature under `alg: {alg:?}`");
            list.token(Weakness::AlgorithmConfusion, name, &token);
        }
    }
    if own != "ES256" {
        let token = forge.of_attacker(&[]);
        list.token(
            Weakness::AlgorithmConfusion,
            "ES256 with another key",
            &token,
        );
    }
}

/// Adds the good token in other spellings.
fn spelled(list: &mut List, forge: &Forge) {
    let good = &forge.good;
    let (message, signature) = forge.halves();
    let (header, rest) = good.split_once('.').unwrap_or_default();
    let mut spellings = vec![
        ("padding at its end", format!("{good}=")),
        ("two characters of padding", format!("{good}==")),
        ("padding after its header", format!("{header}=.{rest}")),
        ("a point at its end", format!("{good}.")),
        ("a point at its start", format!(".{good}")),
        ("a fourth part", format!("{good}.x")),
        ("a space inside", format!("{header} .{rest}")),
        ("a tab inside", format!("{header}.\t{rest}")),
        ("an escaped point", good.replacen('.', "%2e", 1)),
        ("quotes around it", format!("\"{good}\"")),
        ("a comma at its end", format!("{good},")),
    ];
    // One of the spare bits of the last character (RFC 4648 section 3.5).
    if signature.len() % 3 != 0 {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = good.bytes().last().unwrap_or_default();
        if let Some(place) = ALPHABET.iter().position(|one| *one == last) {
            let next = char::from(ALPHABET[place ^ 1]);
            let start = &good[..good.len() - 1];
            spellings.push((
                "a spare bit set in its last character",
                format!("{start}{next}"),
            ));
        }
    }
    let plain = with_signature(message, &signature)
        .replace('-', "+")
        .replace('_', "/");
    if plain != *good {
        spellings.push(("the alphabet of plain base64", plain));
    }
    for (name, token) in spellings {
        list.token(
            Weakness::Encoding,
            format!("a good token with {name}"),
            &token,
        );
    }
}
