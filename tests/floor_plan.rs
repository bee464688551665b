//! The floor plan: a file imports only from lower floors, or from those listed before it on its own.
//!
//! A folder counts as one file. Unit tests inside `src/` keep the same rules.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Each floor from the ground up, and on it each file after the ones that it may import.
static FLOORS: LazyLock<Vec<Vec<&str>>> =
    LazyLock::new(|| read_table(include_str!("../CONTRIBUTING.md")));

/// Reads the table of floors: rows such as "| 0 words | `body`, `grpc` |", the highest floor first.
fn read_table(page: &str) -> Vec<Vec<&str>> {
    let mut floors: Vec<Vec<&str>> = Vec::new();
    for (number, files) in page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split('|');
        let number: usize = cells.next()?.split(' ').next()?.parse().ok()?;
        Some((number, cells.next()?))
    }) {
        floors.insert(0, files.split('`').skip(1).step_by(2).collect());
        assert!(number + floors.len() == 6, "floor {number} is out of order");
    }
    assert_eq!(floors.len(), 6, "CONTRIBUTING.md has a row for each floor");
    floors
}

/// The names that only some files may use, and which files those are.
const KEPT_TO: [(&[&[&str]], &[&str]); 3] = [
    (
        &[
            &["jsonwebtoken"],
            &["aws_lc_rs"],
            &["ed25519_dalek"],
            &["hmac"],
            &["p256"],
            &["p384"],
            &["rand_core"],
            &["rsa"],
            &["sha2"],
        ],
        &["keys", "codec"],
    ),
    (&[&["std", "env"]], &["config"]),
    (
        &[
            &["SystemTime", "now"],
            &["std", "time", "SystemTime", "now"],
        ],
        &["clock"],
    ),
];

#[test]
fn the_crate_root_has_only_what_most_services_need() {
    let expected = "Algorithm AuthError AuthErrorKind Claims ConfigError JwtAuthLayer JwtClaims KeyRing \
        PasswordService Require Sessions SigningKey TokenIssuer TokenVerifier VerifiedToken VerifyingKey";
    let root = fs::read_to_string("src/lib.rs").unwrap();
    let exported = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub use "));
    let mut names: Vec<&str> = exported
        .flat_map(|path| path.rsplit("::").next().unwrap_or_default().split(','))
        .map(|name| name.trim_matches(|c: char| !c.is_alphanumeric()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn src_keeps_to_the_floor_plan() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    read_folder(&src, "", &mut files);
    assert!(files.len() > 20, "found only {} files", files.len());
    let broken: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| check(path, text))
        .collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files);
        } else if path.ends_with(".rs") {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// Returns the errors of one file, whose path is relative to `src/`.
fn check(path: &str, text: &str) -> Vec<String> {
    let modules: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let own = modules[0];
    let is_root = path == "lib.rs";
    let place = place_of(own);
    if place.is_none() && !is_root {
        return vec![format!(
            "src/{path}: `{own}` is on no floor: add it to the table of floors in CONTRIBUTING.md"
        )];
    }
    // The distance of the module from the root.
    let depth = match modules.last() {
        Some(&("mod" | "lib")) => modules.len() - 1,
        _ => modules.len(),
    };

    let mut broken = Vec::new();
    for Found { path: names, depth } in paths(text, depth) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let import = names.join("::");
        for (kept, files) in KEPT_TO {
            let named = kept.iter().any(|kept| starts_with(&names, kept));
            if named && !files.contains(&own) {
                broken.push(format!(
                    "src/{path}: names `{import}`, which is kept to {}",
                    files.join(" and ")
                ));
            }
        }
        let Some(target) = from_root(&names, depth).filter(|_| !is_root) else {
            continue;
        };
        match (place, place_of(target)) {
            (Some(here), Some(there)) if there > here => broken.push(format!(
                "src/{path}: imports `{import}`: `{target}` (floor {}) is above `{own}` (floor {}); \
                 a file imports only from lower floors, or from those listed before it on its own",
                there.0, here.0
            )),
            (_, None) => broken.push(format!(
                "src/{path}: imports `{import}`: `{target}` is on no floor; name the module that \
                 defines it, not the re-export in the root"
            )),
            _ => {}
        }
    }
    broken
}

/// Returns the floor of a file, and its place there.
fn place_of(file: &str) -> Option<(usize, usize)> {
    let on = |floor: &Vec<&str>| floor.iter().position(|one| *one == file);
    FLOORS
        .iter()
        .enumerate()
        .find_map(|(floor, files)| Some((floor, on(files)?)))
}

/// Returns the file in the root folder that a path leads to, if it begins at the root or climbs up to it.
fn from_root<'n>(names: &[&'n str], depth: usize) -> Option<&'n str> {
    if *names.first()? == "crate" {
        return names.get(1).copied();
    }
    let climb = names.iter().take_while(|name| is_up(name)).count();
    let ups = names[..climb]
        .iter()
        .filter(|name| **name == "super")
        .count();
    let reaches_root = ups > 0 && ups >= depth;
    reaches_root.then(|| names.get(climb).copied())?
}

fn is_up(name: &str) -> bool {
    matches!(name, "super" | "self")
}

fn starts_with(names: &[&str], start: &[&str]) -> bool {
    names.len() >= start.len() && names.iter().zip(start).all(|(a, b)| a == b)
}

// === Reading Rust, as far as it is needed ===

/// A path with two or more names, and the distance of its module from the root.
struct Found {
    path: Vec<String>,
    depth: usize,
}

/// Returns every path in a text, with groups `a::{b, c::d}` expanded, and single names after `use`.
fn paths(text: &str, file_depth: usize) -> Vec<Found> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    // The open braces, and whether each belongs to a `mod`.
    let mut open = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let depth = file_depth + open.iter().filter(|is_module| **is_module).count();
        match &*tokens[at] {
            "{" => {
                open.push(at >= 2 && tokens[at - 2] == "mod");
                at += 1;
            }
            "}" => {
                open.pop();
                at += 1;
            }
            "use" => {
                at += 1;
                let mut all = Vec::new();
                // `use ::name` and `use name` are equal. A group may also stand alone.
                at = read_tree(&tokens, at, &[], &mut all);
                found.extend(all.into_iter().map(|path| Found { path, depth }));
            }
            name if is_name(name) && tokens.get(at + 1).is_some_and(|next| next == "::") => {
                let mut all = Vec::new();
                at = read_tree(&tokens, at, &[], &mut all);
                found.extend(all.into_iter().map(|path| Found { path, depth }));
            }
            _ => at += 1,
        }
    }
    found
}

/// Reads a path, or a group of paths, that follows `before`. Returns the position after it.
fn read_tree(
    tokens: &[String],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    let token = |at: usize| tokens.get(at).map(String::as_str);
    loop {
        match token(at) {
            Some("::") => at += 1,
            Some("{") if path.is_empty() || token(at - 1) == Some("::") => {
                at += 1;
                while !matches!(token(at), None | Some("}")) {
                    let next = read_tree(tokens, at, &path, found);
                    at = next.max(at + usize::from(next == at));
                }
                return at + 1;
            }
            Some(name)
                if is_name(name) && (path.len() == before.len() || token(at - 1) == Some("::")) =>
            {
                path.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    if path.len() > before.len() {
        found.push(path);
    }
    if token(at) == Some("as") {
        at += 2;
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Returns names, `::` and other signs. Of literals and documentation, only the signs around them are left.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    read_tokens(text.parse().unwrap(), &mut tokens);
    tokens
}

fn read_tokens(stream: TokenStream, tokens: &mut Vec<String>) {
    let mut begins_path = false;
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    _ => ("(", ")"),
                };
                tokens.push(open.to_owned());
                read_tokens(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' => {
                if begins_path {
                    tokens.push("::".to_owned());
                }
                begins_path = sign.spacing() == Spacing::Joint && !begins_path;
            }
            TokenTree::Literal(_) => tokens.push("\"".to_owned()),
            other => tokens.push(other.to_string()),
        }
    }
}

// === The checker itself ===

#[test]
fn an_upward_import_is_found_in_each_of_its_forms() {
    let upward = [
        ("claims.rs", "use crate::verifier::TokenVerifier;"),
        (
            "policy.rs",
            "use crate::{\n    error::AuthError,\n    layer::{self, JwtAuth},\n};",
        ),
        ("keys/set.rs", "fn f() { crate::revocation::go(); }"),
        ("keys/set.rs", "use super::super::policy::Policy;"),
        ("keys/mod.rs", "use super::policy::Policy;"),
        ("keys/backend/mod.rs", "use super::{super::policy::Policy};"),
        ("jti.rs", "use super::issuer;"),
        ("jti.rs", "mod tests { use super::super::issuer; }"),
        ("keys/jwk.rs", "pub(crate) use crate::codec::Compact;"),
        ("claims.rs", "use crate::clock::Clock;"),
        (
            "jti.rs",
            "const QUOTE: char = '\"'; use crate::config::AuthConfig; // \"",
        ),
    ];
    for (path, text) in upward {
        let broken = check(path, text);
        assert!(!broken.is_empty(), "{path}: {text}");
        assert!(broken[0].contains("is above"), "{broken:?}");
    }
    assert_eq!(
        check("claims.rs", "use crate::verifier::TokenVerifier;"),
        [
            "src/claims.rs: imports `crate::verifier::TokenVerifier`: `verifier` (floor 3) is above \
          `claims` (floor 0); a file imports only from lower floors, or from those listed before \
          it on its own"
        ]
    );
}

#[test]
fn names_that_belong_to_one_file_are_found_elsewhere() {
    for (path, text) in [
        ("issuer.rs", "use jsonwebtoken;"),
        ("issuer.rs", "use jsonwebtoken as jwt;"),
        ("policy.rs", "use sha2::{Digest, Sha256};"),
        (
            "layer/layer.rs",
            "let tag = ::aws_lc_rs::hmac::sign(&key, b\"\");",
        ),
        ("issuer.rs", "use std::{env, fmt};"),
        ("issuer.rs", "let home = std::env::var(\"HOME\");"),
        ("issuer.rs", "let now = SystemTime::now();"),
        ("issuer.rs", "let now = std::time::SystemTime::now();"),
    ] {
        let broken = check(path, text);
        assert!(!broken.is_empty(), "{path}: {text}");
        assert!(broken[0].contains("kept to"), "{broken:?}");
    }
}

#[test]
fn a_file_on_no_floor_and_a_name_from_the_root_are_found() {
    assert!(check("helpers.rs", "")[0].contains("`helpers` is on no floor"));
    assert!(check("util/mod.rs", "")[0].contains("`util` is on no floor"));
    assert!(check("layer/layer.rs", "use crate::VerifiedToken;")[0].contains("name the module"));
}

#[test]
fn allowed_imports_pass() {
    for (path, text) in [
        (
            "lib.rs",
            "pub use verifier::TokenVerifier; use crate::extract::JwtClaims;",
        ),
        ("clock.rs", "fn now() { SystemTime::now() }"),
        ("config.rs", "use std::env; fn f() { std::env::vars_os(); }"),
        (
            "keys/backend/aws_lc.rs",
            "use aws_lc_rs::rsa::KeySize; pub(in crate::keys) enum Signer {}",
        ),
        ("issuer.rs", "use crate::{keys as k, jti}; let x = 1 as u8;"),
        (
            "keys/jwk.rs",
            "use super::super::error::AuthError; use super::set::KeySet;",
        ),
        (
            "extract.rs",
            "use crate::{claims::Claims, layer::{EmptyBody, reject}, verifier};",
        ),
        (
            "policy.rs",
            "#[cfg(test)] mod tests { use super::Policy; use crate::policy::check; }",
        ),
        (
            "claims.rs",
            "/// [x](crate::VerifiedToken) use crate::layer;\n/* crate::layer::X */",
        ),
        (
            "claims.rs",
            "const A: &str = \"\\\"crate::layer::X\"; const B: &str = r#\"use \"crate::layer::X\"#;",
        ),
        (
            "claims.rs",
            "fn f<'a>(x: &'a str) -> char { let c = '\\''; let d = 'd'; c } // '",
        ),
        (
            "issuer.rs",
            "let rsa = 1; Self::hmac(rsa); key.hmac(); pub(crate) fn p256() {}",
        ),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
