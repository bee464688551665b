//! The guide's page about refusals lists every kind of error.

use tower_jwt_auth::{AuthError, AuthErrorKind};

const PAGE: &str = include_str!("../../src/guide/why_401.md");

#[test]
fn every_kind_is_on_the_page_with_its_status() {
    for &kind in AuthErrorKind::ALL {
        let heading = PAGE.lines().find(|line| {
            line.starts_with("## ") && line.ends_with(&format!("`{}`", kind.as_str()))
        });
        assert!(
            heading.is_some(),
            "no heading ends with `{}`",
            kind.as_str()
        );
        let section = PAGE.split("\n## ").find(|section| {
            let heading = section.lines().next().unwrap_or_default();
            heading.ends_with(&format!("`{}`", kind.as_str()))
        });
        let section = section.unwrap();
        for part in [
            "- **The client sees** ",
            "- **Usual cause**: ",
            "- **Cure**: ",
        ] {
            assert!(section.contains(part), "{}: no {part}", kind.as_str());
        }
        let error = AuthError::new(kind);
        let mut sees = error.status().as_u16().to_string();
        if let Some(code) = error.code() {
            sees = format!("{sees} `{code}`");
        }
        let line = format!("- **The client sees** {sees}");
        assert!(section.contains(&line), "{}: {line}", kind.as_str());
        assert!(section.contains(&kind_link(kind)), "{kind:?} has no link");
    }
}

fn kind_link(kind: AuthErrorKind) -> String {
    format!("](crate::AuthErrorKind::{kind:?})")
}

#[test]
fn the_wrong_audience_comes_first() {
    let first = PAGE.lines().find(|line| line.starts_with("## "));
    assert!(first.unwrap().ends_with("`invalid_audience`"), "{first:?}");
}
