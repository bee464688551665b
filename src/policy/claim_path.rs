//! [`ClaimPath`]: names a claim, or a value inside one, such as the scopes or roles of a provider.

use serde_json::Value;

/// The name of a claim, or several names joined by dots: `scp`, `realm_access.roles`.
///
/// A claim whose full name equals the path takes precedence, so that a name may contain dots, as in
/// `https://example.com/roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(Box<str>);

// === impl ClaimPath ===

impl ClaimPath {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// Whether neither the path nor a name in it is empty.
    pub(crate) fn is_valid(&self) -> bool {
        !self.0.is_empty() && (self.0.contains("//") || !self.0.split('.').any(str::is_empty))
    }

    /// Whether the path is this single name.
    pub(super) fn is(&self, name: &str) -> bool {
        *self.0 == *name
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn find<'v>(&self, claims: &'v Value) -> Option<&'v Value> {
        let whole = claims.get(&*self.0);
        whole.or_else(|| self.0.split('.').try_fold(claims, Value::get))
    }
}

/// Reads the scopes at these paths. Each is a string, which is split at spaces, or an array of strings.
/// Anything else grants nothing: the member names of an object, for example, are not known to be scopes.
pub(crate) fn scopes_at(paths: &[ClaimPath], claims: &Value) -> Box<[Box<str>]> {
    let mut scopes = Texts::default();
    for value in paths.iter().filter_map(|path| path.find(claims)) {
        match value {
            Value::String(text) => scopes.extend(text.split(' ')),
            Value::Array(items) => scopes.extend(items.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    scopes.0.into()
}

/// Reads the roles at these paths. Each is a string, an array of strings or of objects whose `value` is the
/// role (RFC 7643 section 2.4), or an object whose member names are the roles, as Zitadel writes them. A
/// member that is `false` or `null` grants nothing.
pub(crate) fn roles_at(paths: &[ClaimPath], claims: &Value) -> Box<[Box<str>]> {
    let mut roles = Texts::default();
    for value in paths.iter().filter_map(|path| path.find(claims)) {
        match value {
            Value::String(text) => roles.extend([text.as_str()]),
            Value::Array(items) => {
                roles.extend(items.iter().filter_map(|item| match item {
                    Value::Object(role) => role.get("value")?.as_str(),
                    _ => item.as_str(),
                }));
            }
            Value::Object(members) => {
                let granted = members
                    .iter()
                    .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
                roles.extend(granted.map(|(name, _)| name.as_str()));
            }
            _ => {}
        }
    }
    roles.0.into()
}

/// A list of distinct strings that are not empty.
#[derive(Default)]
struct Texts(Vec<Box<str>>);

// === impl Texts ===

impl Texts {
    fn extend<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        for text in texts {
            if !text.is_empty() && !self.0.iter().any(|known| **known == *text) {
                self.0.push(text.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ClaimPath, roles_at, scopes_at};

    fn texts(path: &str, split: bool) -> Vec<String> {
        let claims = json!({
            "scp": "read write  read",
            "permissions": ["read:all", 5, "write:all"],
            "realm_access": {"roles": ["admin", "domain user"]},
            "https://example.com/roles": ["editor"],
            "a.b": "whole", "a": {"b": "nested"},
            "urn:zitadel:iam:org:project:roles": {
                "owner": {"1": "x.example"}, "admin": false, "auditor": null,
            },
            "number": 5, "nothing": null,
        });
        let paths = [ClaimPath::new(path)];
        let texts = if split {
            scopes_at(&paths, &claims)
        } else {
            roles_at(&paths, &claims)
        };
        texts.iter().map(|text| text.to_string()).collect()
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
            "urn:zitadel:iam:org:project:roles",
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
