//! Random requirements and tokens: all ways to use a guard agree.

use std::time::Duration;

use proptest::prelude::*;
use tower_jwt_auth::Require;

use super::ways::{answer, token};
use crate::support::NOW;

/// A rule that random tokens sometimes satisfy, its result for a token, and whether it needs I/O.
#[derive(Debug, Clone)]
enum Tree {
    Scope(u8),
    AnyScope(u8, u8),
    Role(u8),
    Claim(u8),
    Recent(u8),
    Level(u8),
    That(u8),
    Async(u8),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

#[derive(Debug, Clone)]
struct Claims {
    scopes: u8,
    roles: u8,
    number: u8,
    logged_in: Option<u8>,
    level: Option<u8>,
}

// === impl Tree ===

impl Tree {
    fn require(&self) -> Require {
        match self {
            Self::Scope(n) => Require::scope(format!("s{n}")),
            Self::AnyScope(a, b) => Require::any_scope([format!("s{a}"), format!("s{b}")]),
            Self::Role(n) => Require::role(format!("r{n}")),
            Self::Claim(n) => Require::claim("number", *n),
            Self::Recent(n) => Require::recent_login(Duration::from_secs(u64::from(*n) + 1)),
            Self::Level(n) => Require::acr(format!("l{n}")),
            Self::That(n) => {
                let role = format!("r{n}");
                Require::that(move |token| token.has_role(&role))
            }
            Self::Async(n) => Require::that_async(format!("r{n}"), async |role: String, token| {
                tokio::task::yield_now().await;
                Ok::<_, String>(token.has_role(&role))
            }),
            Self::And(a, b) => a.require().and(b.require()),
            Self::Or(a, b) => a.require().or(b.require()),
        }
    }

    /// The same rule, written differently.
    fn is_met_by(&self, claims: &Claims) -> bool {
        let scope = |n: u8| claims.scopes & (1 << n) != 0;
        match self {
            Self::Scope(n) => scope(*n),
            Self::AnyScope(a, b) => scope(*a) || scope(*b),
            Self::Role(n) | Self::That(n) | Self::Async(n) => claims.roles & (1 << n) != 0,
            Self::Claim(n) => claims.number == *n,
            Self::Recent(n) => claims.logged_in.is_some_and(|ago| ago <= *n + 1),
            Self::Level(n) => claims.level == Some(*n),
            Self::And(a, b) => a.is_met_by(claims) && b.is_met_by(claims),
            Self::Or(a, b) => a.is_met_by(claims) || b.is_met_by(claims),
        }
    }

    fn scopes(&self, all: &mut Vec<String>) {
        let mut add = |n: u8| {
            let scope = format!("s{n}");
            if !all.contains(&scope) {
                all.push(scope);
            }
        };
        match self {
            Self::Scope(n) => add(*n),
            Self::AnyScope(a, b) => {
                add(*a);
                add(*b);
            }
            Self::And(a, b) | Self::Or(a, b) => {
                a.scopes(all);
                b.scopes(all);
            }
            _ => {}
        }
    }
}

// === impl Claims ===

impl Claims {
    fn text(&self) -> String {
        let names = |letter: &str, bits: u8| {
            let set = (0..3).filter(|n| bits & (1 << n) != 0);
            set.map(|n| format!("{letter}{n}")).collect::<Vec<_>>()
        };
        let mut text = format!(
            r#","scope":"{}","roles":{:?},"number":{}"#,
            names("s", self.scopes).join(" "),
            names("r", self.roles),
            self.number,
        );
        if let Some(ago) = self.logged_in {
            text += &format!(r#","auth_time":{}"#, NOW - u64::from(ago));
        }
        if let Some(level) = self.level {
            text += &format!(r#","acr":"l{level}""#);
        }
        text
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (0..3u8).prop_map(Tree::Scope),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Tree::AnyScope(a, b)),
        (0..3u8).prop_map(Tree::Role),
        (0..3u8).prop_map(Tree::Claim),
        (0..3u8).prop_map(Tree::Recent),
        (0..3u8).prop_map(Tree::Level),
        (0..3u8).prop_map(Tree::That),
        (0..3u8).prop_map(Tree::Async),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let pair = (inner.clone(), inner);
        prop_oneof![
            pair.clone()
                .prop_map(|(a, b)| Tree::And(Box::new(a), Box::new(b))),
            pair.prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
        ]
    })
}

fn claims() -> impl Strategy<Value = Claims> {
    let optional = || proptest::option::of(0..5u8);
    (0..8u8, 0..8u8, 0..3u8, optional(), optional()).prop_map(
        |(scopes, roles, number, logged_in, level)| Claims {
            scopes,
            roles,
            number,
            logged_in,
            level,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_ways_agree_for_any_requirement_and_token(tree in trees(), claims in claims()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let require = tree.require();
        // `answer` compares the ways with each other.
        let answer = runtime.block_on(answer(&require, Some(&token(&claims.text()))));
        prop_assert_eq!(answer == "200", tree.is_met_by(&claims), "{} {:?}", answer, require);

        let mut scopes = Vec::new();
        tree.scopes(&mut scopes);
        let named = format!(r#"scope="{}""#, scopes.join(" "));
        if answer.contains("insufficient_scope") {
            prop_assert!(answer.ends_with(&named), "{answer}");
        }
        if answer.contains("insufficient_user_authentication") && !scopes.is_empty() {
            prop_assert!(answer.contains(&named), "{answer}");
        }
        let is_refusal = ["200", "401 Bearer", "403 Bearer"].iter().any(|start| answer.starts_with(start));
        prop_assert!(is_refusal, "{answer}");
    }
}
