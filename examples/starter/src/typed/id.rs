//! [`PathId`]: the id of a user or of a session in the path of a request.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::problem::Problem;

/// The longest subject of a token, in bytes (OpenID Connect Core 1.0 section 2).
const MAX_BYTES: usize = 255;

/// An id from a path, in visible ASCII like the ids in tokens. Anything else is not found, without a query
/// to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathId(String);

// === impl PathId ===

impl PathId {
    fn parse(text: String) -> Option<Self> {
        let good = (1..=MAX_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then_some(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // An id that is not UTF-8 does not exist either.
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(text)| Self::parse(text));
        id.ok_or_else(|| {
            let detail = "There is nothing with this id.";
            Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_visible_ascii_of_bounded_length() {
        for id in [
            "x",
            "248289761001",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            &"x".repeat(255),
        ] {
            assert!(PathId::parse(id.to_owned()).is_some(), "{id}");
        }
        for id in ["", "a b", "\0", "caf\u{e9}", "a\n", &"x".repeat(256)] {
            assert!(PathId::parse(id.to_owned()).is_none(), "{id}");
        }
    }
}
