//! [`ClaimPath`]: where in its claims a provider writes scopes and roles.

use serde_json::Value;

/// A claim by its name, or by names joined with dots: `scp`, `realm_access.roles`.
///
/// A claim whose whole name is the path comes first, so that a name may hold dots, as
/// `https://example.com/roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(Box<str>);

// === impl ClaimPath ===

impl ClaimPath {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// An empty path, or an empty name in it, can never be meant.
    pub(crate) fn is_valid(&self) -> bool {
        !self.0.is_empty() && (self.0.contains("//") || !self.0.split('.').any(str::is_empty))
    }

    pub(super) fn find<'v>(&self, claims: &'v Value) -> Option<&'v Value> {
        let whole = claims.get(&*self.0);
        whole.or_else(|| self.0.split('.').try_fold(claims, Value::get))
    }
}

/// The texts at these paths: each an array of strings, or one string, which `split_text` takes apart.
/// What is neither is no text, and gives nobody anything.
pub(crate) fn texts_at(paths: &[ClaimPath], claims: &Value, split_text: bool) -> Box<[Box<str>]> {
    let mut texts: Vec<Box<str>> = Vec::new();
    let mut add = |text: &str| {
        if !text.is_empty() && !texts.iter().any(|known| **known == *text) {
            texts.push(text.into());
        }
    };
    for value in paths.iter().filter_map(|path| path.find(claims)) {
        match value {
            Value::String(text) if split_text => text.split(' ').for_each(&mut add),
            Value::String(text) => add(text),
            Value::Array(items) => items.iter().filter_map(Value::as_str).for_each(&mut add),
            // Zitadel's roles are the members' names; what they hold is where the role is from.
            Value::Object(members) => members.keys().map(String::as_str).for_each(&mut add),
            _ => {}
        }
    }
    texts.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ClaimPath, texts_at};

    fn texts(path: &str, split: bool) -> Vec<String> {
        let claims = json!({
            "scp": "read write  read",
            "permissions": ["read:all", 5, "write:all"],
            "realm_access": {"roles": ["admin", "domain user"]},
            "https://example.com/roles": ["editor"],
            "a.b": "whole", "a": {"b": "nested"},
            "urn:zitadel:iam:org:project:roles": {"owner": {"1": "x.example"}},
            "number": 5, "nothing": null,
        });
        texts_at(&[ClaimPath::new(path)], &claims, split)
            .iter()
            .map(|text| text.to_string())
            .collect()
    }

    #[test]
    fn a_path_names_a_claim_or_leads_to_one() {
        assert_eq!(texts("scp", true), ["read", "write"]);
        assert_eq!(texts("scp", false), ["read write  read"]);
        assert_eq!(texts("permissions", true), ["read:all", "write:all"]);
        assert_eq!(texts("realm_access.roles", false), ["admin", "domain user"]);
        assert_eq!(texts("https://example.com/roles", false), ["editor"]);
        assert_eq!(texts("a.b", false), ["whole"]);
        assert_eq!(texts("urn:zitadel:iam:org:project:roles", false), ["owner"]);
        for none in [
            "number",
            "nothing",
            "missing",
            "realm_access.roles.0",
            "scp.x",
            "",
        ] {
            assert!(texts(none, true).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_path_with_an_empty_name_is_refused() {
        for good in [
            "scp",
            "realm_access.roles",
            "https://example.com/roles",
            "urn:a:b",
        ] {
            assert!(ClaimPath::new(good).is_valid(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert!(!ClaimPath::new(bad).is_valid(), "{bad}");
        }
    }
}
