//! Requirements that are empty or malformed: they let nobody pass, and are reported at startup.

use std::collections::BTreeSet;
use std::time::Duration;

use tower_jwt_auth::guard::ClaimValue;
use tower_jwt_auth::{AuthError, Require};

use super::ways::{answer, answer_to, token, verifier};

/// Requirements that are empty or malformed, and the text of the error.
fn broken() -> Vec<(Require, &'static str)> {
    let none = Vec::<String>::new();
    let mut broken = vec![
        (Require::scope(""), "a required scope is empty"),
        (Require::scope(" \t\n"), "a required scope is empty"),
        (Require::scope(&none), "a required scope is empty"),
        (Require::role(""), "a required role is empty"),
        (Require::role("  "), "a required role is empty"),
        (Require::acr(""), "a required authentication level is empty"),
        (Require::claim("", "x"), "the path of a required claim"),
        (Require::claim("a..b", "x"), "the path of a required claim"),
        (Require::claim(".a", "x"), "the path of a required claim"),
        (Require::recent_login(Duration::ZERO), "at least 1 second"),
        (
            Require::recent_login(Duration::from_millis(999)),
            "at least 1 second",
        ),
    ];
    for names in [&[][..], &[""], &["read", ""], &["", "read"], &["", ""]] {
        for require in [Require::all_scopes, Require::any_scope] {
            broken.push((require(names), "a required scope is empty"));
        }
        for require in [Require::all_roles, Require::any_role] {
            broken.push((require(names), "a required role is empty"));
        }
        broken.push((
            Require::acr(names),
            "a required authentication level is empty",
        ));
    }
    broken
}

#[tokio::test]
async fn an_empty_requirement_lets_nobody_pass() {
    let all =
        r#","scope":"read write admin","roles":["read",""],"acr":"","auth_time":1767225600,"":"x""#;
    let token = token(all);
    for (require, _) in broken() {
        for combined in [
            require.clone(),
            require.clone().and(Require::scope("read")),
            require.clone().or(Require::scope("read")),
            Require::scope("read").or(require.clone()),
            Require::that(|_| true).or(Require::that(|_| true).and(require)),
        ] {
            assert_eq!(answer(&combined, Some(&token)).await, "500", "{combined}");
            assert_eq!(answer(&combined, None).await, "500", "{combined}");
        }
    }
}

#[test]
fn an_empty_requirement_is_reported_at_startup() {
    for (require, expected) in broken() {
        let shown = require.to_string();
        let error = require.clone().checked().unwrap_err().to_string();
        assert!(error.contains(expected), "{shown}: {error}");
        let combined = Require::scope("read").or(require);
        let error = combined.checked().unwrap_err().to_string();
        assert!(error.contains(expected), "{shown}: {error}");
    }
}

#[tokio::test]
async fn the_error_of_an_empty_requirement_says_what_to_do() {
    let token = verifier().verify(&token("")).await.unwrap();
    for (require, expected) in broken() {
        let error: AuthError = token.require(&require).unwrap_err();
        assert!(
            error.to_string().contains("nobody is let through"),
            "{error}"
        );
        assert!(error.to_string().contains("checked"), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{source}");
    }
}

#[tokio::test]
async fn an_empty_value_equals_no_claim_and_is_reported_at_startup() {
    // The value may come from a request, which is then refused with 403 and not with 500.
    for require in [
        Require::claim("tenant", ""),
        Require::claim_contains("tenant", ""),
        Require::claim_one_of("tenant", [""]),
        Require::claim_one_of("tenant", Vec::<ClaimValue>::new()),
    ] {
        for claims in [
            "",
            r#","tenant":"""#,
            r#","tenant":[""]"#,
            r#","tenant":null"#,
        ] {
            let refused = r#"403 Bearer realm="shop""#;
            assert_eq!(answer_to(&require, claims).await, refused, "{claims}");
        }
        let error = require.checked().unwrap_err().to_string();
        assert!(
            error.contains("the required value of the claim `tenant` is empty"),
            "{error}"
        );
    }
}

/// Requirements that no token can satisfy because a name is malformed, and the text of the error.
fn malformed() -> Vec<(Require, &'static str)> {
    vec![
        (Require::scope("re\"ad"), "is not a scope"),
        (Require::scope("l\u{e9}"), "is not a scope"),
        (Require::any_scope(["a\\b", "read write"]), "is not a scope"),
        (Require::any_scope("read write"), "names several scopes"),
        (
            Require::any_scope(["read write", "x"]),
            "names several scopes",
        ),
        (
            Require::any_scope(["read\twrite", "x"]),
            "names several scopes",
        ),
        (Require::acr("\u{7f}"), "is not an authentication level"),
    ]
}

#[tokio::test]
async fn a_malformed_name_fits_nobody_and_is_reported_at_startup() {
    // The value may come from a request, as in `format!("tenant:{tenant}")`, so it is not a 500.
    for (require, expected) in malformed() {
        let seen = answer_to(&require, r#","scope":"read write","acr":"gold""#).await;
        assert!(
            seen.starts_with("401 ") || seen.starts_with("403 "),
            "{require}: {seen}"
        );
        let both = require.clone().or(Require::token());
        assert_eq!(answer_to(&both, "").await, "200", "{require}");
        let worse = require.clone().or(Require::scope(""));
        assert_eq!(answer_to(&worse, "").await, "500", "{require}");
        let error = require.checked().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let other = Require::any_scope(["read write", "admin"]);
    assert_eq!(answer_to(&other, r#","scope":"admin""#).await, "200");
}

#[test]
fn an_empty_value_does_not_hide_a_worse_problem() {
    let empty = || Require::claim("tenant", "");
    for both in [
        empty().and(Require::scope("")),
        Require::scope("").and(empty()),
    ] {
        let error = both.checked().unwrap_err().to_string();
        assert!(error.contains("a required scope is empty"), "{error}");
    }
}

#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "references are among what people write"
)]
#[test]
fn scopes_are_accepted_in_every_common_spelling() {
    let text = String::from("a b");
    let pair = ["a", "b"];
    let list = vec![String::from("a"), String::from("b")];
    let expected = "all of the scopes `a b`";
    for require in [
        Require::all_scopes("a b"),
        Require::all_scopes(&text),
        Require::all_scopes(text.clone()),
        Require::all_scopes(["a", "b"]),
        Require::all_scopes([String::from("a"), String::from("b")]),
        Require::all_scopes(&pair),
        Require::all_scopes(list.as_slice()),
        Require::all_scopes(&list),
        Require::all_scopes(list.clone()),
        Require::all_scopes(list.iter().cloned().collect::<BTreeSet<_>>()),
        Require::scope("a b"),
    ] {
        assert_eq!(require.to_string(), expected);
        assert!(require.checked().is_ok());
    }
    assert_eq!(Require::scope("admin").to_string(), "scope `admin`");
}
