//! A table of requirements: each is met by some claims, and refused for others.

use std::time::Duration;

use tower_jwt_auth::Require;

use super::ways::{answer, answer_to};
use crate::support::NOW;

const FORBIDDEN: &str = r#"403 Bearer realm="shop""#;

fn scopes(names: &str) -> String {
    format!(r#"403 Bearer realm="shop", error="insufficient_scope", scope="{names}""#)
}

fn login(needed: &str) -> String {
    format!(r#"401 Bearer realm="shop", error="insufficient_user_authentication", {needed}"#)
}

/// A requirement, claims that satisfy it, claims that do not, and the refusal.
type Row = (Require, Vec<String>, Vec<String>, String);

fn row(require: Require, good: &[&str], bad: &[&str], refusal: impl Into<String>) -> Row {
    let texts = |claims: &[&str]| claims.iter().map(|text| (*text).to_owned()).collect();
    (require, texts(good), texts(bad), refusal.into())
}

fn rows() -> Vec<Row> {
    let minute = Duration::from_secs(60);
    let recent = |ago: u64| format!(r#","auth_time":{}"#, NOW - ago);
    let mut rows = vec![
        row(
            Require::scope("read"),
            &[r#","scope":"write read""#],
            &["", r#","scope":"reading""#, r#","scope":"Read""#],
            scopes("read"),
        ),
        row(
            Require::all_scopes("read write"),
            &[r#","scope":"read x write""#],
            &["", r#","scope":"read""#, r#","scope":"read writer""#],
            scopes("read write"),
        ),
        row(
            Require::any_scope(["read", "admin"]),
            &[r#","scope":"read""#, r#","scope":"x admin""#],
            &["", r#","scope":"write""#],
            scopes("read admin"),
        ),
        row(
            Require::role("domain user"),
            &[
                r#","roles":["x","domain user"]"#,
                r#","roles":"domain user""#,
            ],
            &["", r#","roles":["user"]"#, r#","scope":"domain user""#],
            FORBIDDEN,
        ),
        row(
            Require::all_roles(["a", "b"]),
            &[r#","roles":["b","a"]"#],
            &["", r#","roles":["a"]"#, r#","roles":"a b""#],
            FORBIDDEN,
        ),
        row(
            Require::any_role(["a", "b"]),
            &[r#","roles":["b"]"#],
            &["", r#","roles":["c"]"#],
            FORBIDDEN,
        ),
        row(
            Require::claim("org.id", "acme"),
            &[r#","org":{"id":"acme"}"#, r#","org.id":"acme""#],
            &["", r#","org":{"id":"other"}"#, r#","org":{"id":["acme"]}"#],
            FORBIDDEN,
        ),
        row(
            Require::claim("level", 3),
            &[r#","level":3"#],
            &["", r#","level":"3""#, r#","level":30"#, r#","level":3.5"#],
            FORBIDDEN,
        ),
        row(
            Require::claim("email_verified", true),
            &[r#","email_verified":true"#],
            &[
                "",
                r#","email_verified":"true""#,
                r#","email_verified":false"#,
            ],
            FORBIDDEN,
        ),
        row(
            Require::claim_one_of("plan", ["gold", "silver"]),
            &[r#","plan":"silver""#],
            &["", r#","plan":"bronze""#, r#","plan":null"#],
            FORBIDDEN,
        ),
        row(
            Require::claim_contains("amr", "otp"),
            &[r#","amr":["pwd","otp"]"#, r#","amr":"otp""#],
            &["", r#","amr":["pwd"]"#, r#","amr":{"otp":true}"#],
            FORBIDDEN,
        ),
        row(
            Require::acr(["gold", "silver"]),
            &[r#","acr":"silver""#],
            &["", r#","acr":"bronze""#, r#","acr":["gold"]"#],
            login(r#"acr_values="gold silver""#),
        ),
        row(
            Require::that(|token| token.subject() == Some("alice")),
            &[""],
            &[],
            FORBIDDEN,
        ),
        row(Require::that(|_| false), &[], &[""], FORBIDDEN),
        row(Require::token(), &[""], &[], FORBIDDEN),
        row(
            Require::that_async("alice", async |name: &'static str, token| {
                Ok::<_, String>(token.subject() == Some(name))
            }),
            &[""],
            &[],
            FORBIDDEN,
        ),
        row(
            Require::that_async((), async |(), _| Ok::<_, String>(false)),
            &[],
            &[""],
            FORBIDDEN,
        ),
        // One challenge names everything that is needed, whatever is missing.
        row(
            Require::scope("read").and(Require::scope("write").or(Require::role("admin"))),
            &[
                r#","scope":"read write""#,
                r#","scope":"read","roles":["admin"]"#,
            ],
            &["", r#","scope":"read""#, r#","roles":["admin"]"#],
            scopes("read write"),
        ),
        row(
            Require::scope("read").and(Require::role("admin")),
            &[],
            &["", r#","roles":["admin"]"#],
            scopes("read"),
        ),
        row(
            Require::scope("read").and(Require::role("admin")),
            &[r#","scope":"read","roles":["admin"]"#],
            &[r#","scope":"read""#],
            FORBIDDEN,
        ),
    ];
    rows.push((
        Require::recent_login(minute),
        vec![
            recent(0),
            recent(60),
            format!(r#","auth_time":{}.5"#, NOW - 59),
        ],
        vec![String::new(), recent(61), recent(NOW)],
        login(r#"max_age="60""#),
    ));
    let step_up = Require::recent_login(minute * 2)
        .and(Require::acr("gold"))
        .and(Require::scope("pay"))
        .and(Require::recent_login(minute));
    rows.push((
        step_up,
        vec![format!(r#"{},"acr":"gold","scope":"pay""#, recent(5))],
        vec![
            String::new(),
            r#","scope":"pay""#.into(),
            format!(r#"{},"scope":"pay""#, recent(5)),
            format!(r#"{},"acr":"gold","scope":"pay""#, recent(90)),
        ],
        login(r#"scope="pay", acr_values="gold", max_age="60""#),
    ));
    rows
}

#[tokio::test]
async fn every_guard_decides_the_same_in_every_way() {
    for (require, good, bad, refusal) in rows() {
        assert!(require.clone().checked().is_ok(), "{require}");
        for claims in good {
            let seen = answer_to(&require, &claims).await;
            assert_eq!(seen, "200", "{require}: {claims}");
        }
        for claims in bad {
            let seen = answer_to(&require, &claims).await;
            assert_eq!(seen, refusal, "{require}: {claims}");
        }
    }
}

#[tokio::test]
async fn without_a_token_every_guard_responds_with_401() {
    for (require, ..) in rows() {
        let seen = answer(&require, None).await;
        assert_eq!(seen, r#"401 Bearer realm="shop""#, "{require}");
    }
}

#[tokio::test]
async fn a_synchronous_guard_by_hand_decides_as_the_async_one() {
    for (require, good, bad, _) in rows() {
        for claims in good.into_iter().chain(bad) {
            let token = super::ways::token(&claims);
            let token = super::ways::verifier().verify(&token).await.unwrap();
            let waited = token.require_async(&require).await.map_err(|e| e.kind());
            let at_once = token.require(&require).map_err(|error| error.to_string());
            match at_once {
                // Whatever the other parts say, so that the error is found at the first call.
                Err(text) if text.contains("require_async") => {
                    assert!(require.to_string().contains("a permission"), "{require}");
                }
                at_once => assert_eq!(at_once.is_ok(), waited.is_ok(), "{require}: {claims}"),
            }
        }
    }
}
