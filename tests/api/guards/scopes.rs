//! Scopes as types.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Response;
use tower::ServiceExt as _;
use tower_jwt_auth::Require;
use tower_jwt_auth::guard::{AnyOf, Scoped, Scopes};

use super::ways::{answer, auth, token, verifier};
use crate::support::{Seen, bearer, request};

tower_jwt_auth::scopes! {
    /// Reads.
    struct Read = "read";
    struct Write = "write";
    struct Admin = "admin";
}

type MayEdit = AnyOf<(Admin, (Read, Write))>;
type Nested = (AnyOf<(Read, Admin)>, AnyOf<(Write, Admin)>);

async fn extracted<S: Scopes>(token: Option<&str>) -> Seen {
    let handler = async |user: Scoped<S>| user.subject().unwrap_or_default().to_owned();
    let app = Router::new().route("/", get(handler)).route_layer(auth());
    let request = token.map_or_else(|| request(&[]), bearer).map(Body::from);
    let (parts, _) = app.oneshot(request).await.unwrap().into_parts();
    Seen::of(Response::from_parts(parts, String::new()))
}

/// Returns whether the type decides like these alternatives, and like the layer.
async fn check<S: Scopes>(alternatives: &[&[&str]]) {
    assert_eq!(S::alternatives(), alternatives);
    let all = ["read", "write", "admin"];
    for bits in 0..8u8 {
        let granted: Vec<_> = (0..3)
            .filter(|n| bits & (1 << n) != 0)
            .map(|n| all[n])
            .collect();
        let token = token(&format!(r#","scope":"{}""#, granted.join(" ")));
        let by_layer = answer(&Require::scoped::<S>(), Some(&token)).await;
        let by_type = extracted::<S>(Some(&token)).await.verdict();
        assert_eq!(by_layer, by_type, "{granted:?}");
        let suffices = |set: &&[&str]| set.iter().all(|scope| granted.contains(scope));
        assert_eq!(
            by_type == "200",
            alternatives.iter().any(suffices),
            "{granted:?}"
        );
        let verified = verifier().verify(&token).await.unwrap();
        assert_eq!(Scoped::<S>::new(verified).is_ok(), by_type == "200");
    }
    let missing = r#"401 Bearer realm="shop""#;
    assert_eq!(extracted::<S>(None).await.verdict(), missing);
}

#[tokio::test]
async fn scopes_as_types_decide_as_the_layer_does() {
    check::<Read>(&[&["read"]]).await;
    check::<(Read, Write)>(&[&["read", "write"]]).await;
    check::<(Read, Write, Admin)>(&[&["read", "write", "admin"]]).await;
    check::<AnyOf<(Read, Admin)>>(&[&["read"], &["admin"]]).await;
    check::<MayEdit>(&[&["admin"], &["read", "write"]]).await;
    check::<Nested>(&[
        &["read", "write"],
        &["read", "admin"],
        &["admin", "write"],
        &["admin"],
    ])
    .await;
    check::<(Read, (Read, Write))>(&[&["read", "write"]]).await;
}

#[test]
fn a_scope_knows_its_name() {
    assert_eq!(Read::NAME, "read");
    assert_eq!(
        Require::scoped::<MayEdit>().to_string(),
        "scope `admin` or (scope `read` and scope `write`)"
    );
}
