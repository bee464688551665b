//! Claims that a guard cannot use, and requirements that are too large.

use std::time::Duration;

use tower_jwt_auth::Require;

use super::ways::{answer_to, token, verifier};
use crate::support::NOW;

const FORBIDDEN: &str = r#"403 Bearer realm="shop""#;

#[tokio::test]
async fn a_scope_claim_of_another_type_grants_nothing() {
    let read = Require::scope("read");
    // The verifier refuses it before any guard.
    for claims in [
        r#","scope":{"read":true}"#,
        r#","scope":["read"]"#,
        r#","scope":5"#,
        r#","scope":true"#,
    ] {
        let seen = answer_to(&read, claims).await;
        assert!(
            seen.starts_with("401 ") || seen.starts_with("403 "),
            "{claims}: {seen}"
        );
    }
    for claims in [
        r#","scope":null"#,
        r#","scope":"""#,
        r#","scope":"read,write""#,
    ] {
        let seen = answer_to(&read, claims).await;
        assert!(
            seen.starts_with("401 ") || seen.starts_with("403 "),
            "{claims}: {seen}"
        );
    }
}

#[tokio::test]
async fn a_scope_that_occurs_twice_is_named_once() {
    let twice = Require::all_scopes(["read", "read"]).and(Require::any_scope(["read", "write"]));
    let refused = r#"403 Bearer realm="shop", error="insufficient_scope", scope="read write""#;
    assert_eq!(answer_to(&twice, "").await, refused);
    assert_eq!(answer_to(&twice, r#","scope":"read read""#).await, "200");
}

#[tokio::test]
async fn a_login_time_of_another_type_or_in_the_future_is_not_recent() {
    let recent = Require::recent_login(Duration::from_secs(300));
    let mut bad: Vec<String> = ["\"now\"", "null", "true", "[]", "{}", "-1", "1e400", "0"]
        .map(String::from)
        .into();
    bad.push(format!("\"{NOW}\""));
    bad.push(format!("[{NOW}]"));
    bad.push((NOW + 31).to_string());
    bad.push((NOW + 1_000_000).to_string());
    bad.push(u64::MAX.to_string());
    bad.push("9".repeat(60));
    for auth_time in bad {
        let seen = answer_to(&recent, &format!(r#","auth_time":{auth_time}"#)).await;
        // A payload that is not JSON for any parser is refused as a token.
        assert!(seen.starts_with("401 "), "{auth_time}: {seen}");
    }
    // The login may be ahead by as much as clocks may differ.
    let ahead = format!(r#","auth_time":{}"#, NOW + 30);
    assert_eq!(answer_to(&recent, &ahead).await, "200");
    // The largest possible age, but not an infinite one.
    let ever = Require::recent_login(Duration::MAX);
    assert_eq!(answer_to(&ever, r#","auth_time":0"#).await, "200");
}

#[tokio::test]
async fn claims_of_other_types_satisfy_no_guard() {
    let claims = [
        r#","x":null"#,
        r#","x":{}"#,
        r#","x":{"y":{"y":"v"}}"#,
        r#","x":[["v"]]"#,
        r#","x":[{"v":true}]"#,
        r#","x":"V""#,
        r#","x":"v ""#,
        r#","x":0"#,
        r#","x.y":["v"]"#,
        r#","x":"\u0000v""#,
    ];
    for claims in claims {
        for require in [
            Require::claim("x", "v"),
            Require::claim("x", 1),
            Require::claim("x", true),
            Require::claim_contains("x", "v"),
            Require::claim("x.y", "v"),
        ] {
            assert_eq!(
                answer_to(&require, claims).await,
                FORBIDDEN,
                "{require} {claims}"
            );
        }
    }
    // An escape means the same as the character that it stands for.
    let escaped = r#","x":"\u0076""#;
    assert_eq!(answer_to(&Require::claim("x", "v"), escaped).await, "200");
    let escaped = r#","\u0078":"v""#;
    assert_eq!(answer_to(&Require::claim("x", "v"), escaped).await, "200");
}

#[tokio::test]
async fn a_number_is_compared_as_it_is_written() {
    let big = Require::claim("n", u64::MAX);
    assert_eq!(answer_to(&big, r#","n":18446744073709551615"#).await, "200");
    for other in [
        "18446744073709551616",
        "18446744073709551614",
        "1.8446744073709552e19",
        "-1",
    ] {
        let seen = answer_to(&big, &format!(r#","n":{other}"#)).await;
        assert_eq!(seen, FORBIDDEN, "{other}");
    }
    let negative = Require::claim("n", i64::MIN);
    assert_eq!(
        answer_to(&negative, r#","n":-9223372036854775808"#).await,
        "200"
    );
}

#[tokio::test]
async fn a_huge_requirement_is_refused_and_does_not_grow() {
    let mut nested = Require::scope("read");
    let mut wide = Require::scope("read");
    for _ in 0..100_000 {
        nested = nested
            .and(Require::scope("read"))
            .or(Require::scope("read"));
        wide = wide.and(Require::scope("read"));
    }
    let many: Vec<_> = (0..1025).map(|n| format!("s{n}")).collect();
    for huge in [
        nested,
        wide,
        Require::all_scopes(&many),
        Require::any_role(&many),
    ] {
        assert!(huge.to_string().len() < 20_000);
        let error = huge.clone().checked().unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
        assert_eq!(answer_to(&huge, r#","scope":"read""#).await, "500");
    }
    // It works up to the limits.
    let mut nested = Require::scope("read");
    for _ in 0..15 {
        nested = nested
            .and(Require::scope("read"))
            .or(Require::scope("other"));
    }
    let wide = (1..1024).fold(Require::scope("read"), |wide, _| {
        wide.and(Require::scope("read"))
    });
    for large in [nested, wide] {
        assert!(large.clone().checked().is_ok());
        assert_eq!(answer_to(&large, r#","scope":"read""#).await, "200");
    }
}

#[tokio::test]
async fn logs_show_what_was_required_and_no_values_of_claims() {
    let token = verifier().verify(&token("")).await.unwrap();
    let require = Require::role("auditor").and(Require::claim("tenant", "from-a-request"));
    let error = token.require(&require).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("role `auditor` and a certain value of the claim `tenant`"),
        "{shown}"
    );
    assert!(!shown.contains("from-a-request"), "{shown}");
    // A token without any role suggests that the verifier does not read roles.
    assert!(error.to_string().contains("role_claim"), "{error}");
    let token = super::ways::token(r#","roles":["other"]"#);
    let token = verifier().verify(&token).await.unwrap();
    let error = token.require(&Require::role("auditor")).unwrap_err();
    assert!(!error.to_string().contains("role_claim"), "{error}");
}
