//! [`ClaimsMismatch`]: says why claims do not fit a type, without the value of any claim.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;

use serde_json::value::RawValue;

use super::{AuthError, AuthErrorKind, Reason};

/// The reason why the claims of a token do not fit a type of the application.
///
/// The messages of serde quote the values that they have found, and a claim may be secret or personal. So
/// only the name of the claim, the JSON types and what the application expects are taken from them.
#[derive(Debug)]
struct ClaimsMismatch {
    type_name: &'static str,
    what: String,
}

/// How serde names the type that it has found, and how JSON does.
const FOUND: [(&str, &str); 9] = [
    ("string", "a string"),
    ("integer", "an integer"),
    ("floating point", "a number with a fraction"),
    ("boolean", "a boolean"),
    ("null", "null"),
    ("unit", "null"),
    ("sequence", "an array"),
    ("map", "an object"),
    ("number", "a number"),
];

/// The most characters of a name or an expectation that are shown.
const MOST_SHOWN: usize = 120;

// === impl AuthError ===

impl AuthError {
    /// Makes the error for a valid token whose claims, the text `payload`, do not fit the type `C`.
    pub(crate) fn claims_mismatch<C>(error: &serde_json::Error, payload: &str) -> Self {
        let error_of = Self::new(AuthErrorKind::ClaimsMismatch);
        let error_of = match is_missing_field(error) {
            true => error_of.because(&Reason {
                code: "claims_lack_field",
                message: "the token is valid, but its claims lack one that the handler's type needs",
            }),
            false => error_of,
        };
        error_of.with_source(ClaimsMismatch {
            type_name: std::any::type_name::<C>(),
            what: describe(error, payload),
        })
    }
}

fn is_missing_field(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("missing field ")
}

fn describe(error: &serde_json::Error, payload: &str) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    let claim = claim_at(error, payload);
    let subject = match &claim {
        Some(name) => format!("the claim `{}`", shown(name)),
        None => "a claim".to_owned(),
    };
    if let Some(name) = quoted_after(text, "missing field ") {
        let within = claim.map(|name| format!(" in the claim `{}`", shown(&name)));
        return format!("`{}` is missing{}", shown(name), within.unwrap_or_default());
    }
    if let Some(name) = quoted_after(text, "unknown field ") {
        return format!("`{}` is not a field of the type", shown(name));
    }
    let found = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    if let Some(found) = found {
        let kind = FOUND.iter().find(|(word, _)| found.starts_with(word));
        let is = kind.map_or("of the wrong type", |(_, json)| json);
        return format!("{subject} is {is}{}", expectation(text));
    }
    if text.starts_with("unknown variant ") {
        return format!(
            "{subject} has a value that is not known{}",
            expectation(text)
        );
    }
    if text.starts_with("invalid length ") {
        return format!("{subject} has the wrong length{}", expectation(text));
    }
    format!("{subject} was refused by the type's own rules, whose message may quote it")
}

/// Returns the name of the outermost claim in which the parser stopped, or `None` if it stopped between two.
fn claim_at(error: &serde_json::Error, payload: &str) -> Option<String> {
    let lines_before = error.line().checked_sub(1)?;
    let line = payload.split_inclusive('\n').take(lines_before);
    let stopped = line.map(str::len).sum::<usize>() + error.column();
    let claims: BTreeMap<String, &RawValue> = serde_json::from_str(payload).ok()?;
    let start_of = |value: &str| (value.as_ptr() as usize).checked_sub(payload.as_ptr() as usize);
    let inside = claims.into_iter().find(|(_, value)| {
        start_of(value.get())
            .is_some_and(|start| (start..=start + value.get().len()).contains(&stopped))
    });
    inside.map(|(name, _)| name)
}

/// Returns what the type expects. Serde writes it last, after the value that it has found.
fn expectation(text: &str) -> String {
    let expected = text.rsplit_once(", expected ");
    expected.map_or_else(String::new, |(_, expected)| {
        format!("; expected {}", shown(expected))
    })
}

fn quoted_after<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (name, _) = text
        .strip_prefix(prefix)?
        .strip_prefix('`')?
        .split_once('`')?;
    Some(name)
}

fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|one| {
            let escaped = one.is_control().then(|| one.escape_default());
            let plain = (!one.is_control()).then_some(one);
            escaped.into_iter().flatten().chain(plain)
        })
        .take(MOST_SHOWN)
        .collect()
}

// === impl ClaimsMismatch ===

impl fmt::Display for ClaimsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.type_name, self.what)
    }
}

impl StdError for ClaimsMismatch {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::describe;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its form matters")]
    struct User {
        tenant: u32,
        #[serde(default)]
        role: Option<Role>,
        #[serde(default)]
        address: Option<Address>,
        #[serde(default)]
        pair: Option<(u8, u8)>,
        #[serde(default)]
        port: Option<std::num::NonZeroU8>,
        #[serde(default)]
        ip: Option<std::net::IpAddr>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Admin,
        Reader,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its form matters")]
    struct Address {
        zip: String,
    }

    fn said(payload: &str) -> String {
        describe(&serde_json::from_str::<User>(payload).unwrap_err(), payload)
    }

    #[test]
    fn each_mismatch_names_the_claim_and_the_types() {
        for (payload, expected) in [
            (r"{}", "`tenant` is missing"),
            (
                r#"{"tenant":"seven, expected nothing"}"#,
                "the claim `tenant` is a string; expected u32",
            ),
            (
                "{\n \"role\": null,\n \"tenant\": \"seven\"\n}",
                "the claim `tenant` is a string; expected u32",
            ),
            (
                r#"{"tenant":-4711}"#,
                "the claim `tenant` is an integer; expected u32",
            ),
            (
                r#"{"tenant":4711.5}"#,
                "the claim `tenant` is a number with a fraction; expected u32",
            ),
            (
                r#"{"tenant":[4711]}"#,
                "the claim `tenant` is an array; expected u32",
            ),
            (
                r#"{"tenant":{"a":4711}}"#,
                "the claim `tenant` is an object; expected u32",
            ),
            (
                r#"{"tenant":null}"#,
                "the claim `tenant` is null; expected u32",
            ),
            (
                r#"{"tenant":true}"#,
                "the claim `tenant` is a boolean; expected u32",
            ),
            (
                r#"{"tenant":1,"role":"4711"}"#,
                "the claim `role` has a value that is not known; expected `admin` or `reader`",
            ),
            (
                r#"{"tenant":1,"address":{"street":"4711"}}"#,
                "`zip` is missing in the claim `address`",
            ),
            (
                r#"{"tenant":1,"address":{"zip":4711}}"#,
                "the claim `address` is an integer; expected a string",
            ),
            (
                r#"{"tenant":1,"pair":[47]}"#,
                "the claim `pair` has the wrong length; expected a tuple of size 2",
            ),
            (
                r#"{"tenant":1,"port":0}"#,
                "the claim `port` is an integer; expected a nonzero u8",
            ),
            (
                r#"{"tenant":1,"ip":"4711"}"#,
                "the claim `ip` was refused by the type's own rules, whose message may quote it",
            ),
            (
                r#"{"tenant":1,"extra":"4711"}"#,
                "`extra` is not a field of the type",
            ),
        ] {
            let said = said(payload);
            assert_eq!(said, expected, "{payload}");
            assert!(!said.contains("4711") && !said.contains("seven"), "{said}");
        }
    }

    #[test]
    fn a_name_with_control_characters_is_escaped_and_cut() {
        let payload = format!("{{\"tenant\":1,\"a\\u001b{}\":1}}", "x".repeat(300));
        let said = said(&payload);
        assert!(said.contains("a\\u{1b}xx") && said.len() < 200, "{said}");
    }

    #[test]
    fn a_mismatch_with_a_type_without_field_names_is_described() {
        let payload = r#"{"a":"4711"}"#;
        let error = serde_json::from_str::<BTreeMap<String, u32>>(payload).unwrap_err();
        assert_eq!(
            describe(&error, payload),
            "the claim `a` is a string; expected u32"
        );
    }
}
