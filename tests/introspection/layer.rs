//! JWTs and opaque tokens on the same routes.

use http::{Request, StatusCode};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::credential::{CredentialVerifier as _, Introspection};
use tower_jwt_auth::layer::TokenSource;
use tower_jwt_auth::verifier::CredentialKind;
use tower_jwt_auth::{JwtAuthLayer, Require, SigningKey, TokenIssuer, VerifiedToken};

use crate::authority::Authority;

fn issuer() -> TokenIssuer {
    TokenIssuer::builder(SigningKey::generate(Algorithm::ES256).unwrap())
        .issuer("me")
        .audience("api")
        .build()
        .unwrap()
}

/// The status, and what kind of credential the caller was verified by.
async fn get(
    layer: &JwtAuthLayer,
    headers: &[(&str, &str)],
) -> (StatusCode, Option<CredentialKind>) {
    let guarded = Require::scope("reports:read").layer(service_fn(async |request: Request<()>| {
        let kind = request.extensions().get::<VerifiedToken>().unwrap().kind();
        let mut response = http::Response::new(String::new());
        response.extensions_mut().insert(kind);
        Ok::<_, std::convert::Infallible>(response)
    }));
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = layer
        .layer(guarded)
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap();
    (response.status(), response.extensions().get().copied())
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_jwt_and_an_opaque_token_pass_on_the_same_route() {
    let (authority, issuer) = (Authority::new(), issuer());
    let layer = JwtAuthLayer::new(issuer.verifier()).credentials(authority.introspection());
    let jwt = issuer.access("bob").scope("reports:read").issue().unwrap();
    let (name, value) = bearer(&jwt);
    let passed = get(&layer, &[(name, &value)]).await;
    assert_eq!(passed, (StatusCode::OK, Some(CredentialKind::OwnToken)));
    assert_eq!(authority.count(), 0, "nobody is asked about a JWT");
    for _ in 0..2 {
        let (name, value) = bearer("good");
        let passed = get(&layer, &[(name, &value)]).await;
        assert_eq!(
            passed,
            (StatusCode::OK, Some(CredentialKind::IntrospectedToken))
        );
    }
    // A guard treats all kinds of credentials alike.
    let without_scope = issuer.access("bob").issue().unwrap();
    for token in [&*without_scope, "weak"] {
        authority.says(
            "weak",
            crate::authority::active_with(serde_json::json!({"scope": "x"})),
        );
        let (name, value) = bearer(token);
        assert_eq!(
            get(&layer, &[(name, &value)]).await.0,
            StatusCode::FORBIDDEN
        );
    }
    let (name, value) = bearer("unknown");
    assert_eq!(
        get(&layer, &[(name, &value)]).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn two_credentials_are_a_400_without_an_introspection() {
    let (authority, issuer) = (Authority::new(), issuer());
    let source = TokenSource::header("x-token").unwrap();
    let layer =
        JwtAuthLayer::new(issuer.verifier()).credentials_in(source, authority.introspection());
    let jwt = issuer.access("bob").scope("reports:read").issue().unwrap();
    let (name, value) = bearer(&jwt);
    let refused = get(&layer, &[(name, &value), ("x-token", "good")]).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, None));
    assert_eq!(authority.count(), 0);
    let passed = get(&layer, &[("x-token", "good")]).await;
    assert_eq!(
        passed,
        (StatusCode::OK, Some(CredentialKind::IntrospectedToken))
    );
}

#[test]
fn jwts_are_introspected_only_if_configured() {
    let authority = Authority::new();
    let handles = |judge: &Introspection, text: &str| judge.handles(text);
    let (judge, all) = (
        authority.introspection(),
        authority.builder().accept_all().build().unwrap(),
    );
    assert!(handles(&judge, "opaque") && handles(&all, "opaque"));
    assert!(!handles(&judge, "eyJhbGci.eyJzdWIi.c2ln") && handles(&all, "eyJhbGci.eyJzdWIi.c2ln"));
}

/// RFC 9449 section 6.2: the response says which key the token is bound to, and each request must prove it.
#[cfg(feature = "testing")]
#[tokio::test]
async fn an_opaque_token_is_bound_to_the_key_in_the_answer() {
    use tower_jwt_auth::dpop::{Dpop, MemoryReplays};
    use tower_jwt_auth::testing::ProofKey;

    let authority = Authority::new();
    let key = ProofKey::generate(Algorithm::EdDSA).unwrap();
    let thief = ProofKey::generate(Algorithm::EdDSA).unwrap();
    let bound = serde_json::json!({"token_type": "DPoP", "cnf": {"jkt": key.thumbprint()}});
    authority.says("bound", crate::authority::active_with(bound));
    authority.says("free", crate::authority::active());
    let dpop = Dpop::builder("https://api.example", MemoryReplays::new());
    let layer = JwtAuthLayer::for_credentials(authority.introspection());
    let layer = layer.dpop(dpop.build().unwrap());
    let status = async |scheme: &str, token: &str, key: &ProofKey| {
        let proof = key.proof("GET", "https://api.example/").token(token).sign();
        let authorization = format!("{scheme} {token}");
        let headers = [("authorization", &*authorization), ("dpop", &*proof)];
        get(&layer, &headers).await.0.as_u16()
    };
    // The token is introspected once, and the proof is verified each time.
    for _ in 0..2 {
        assert_eq!(status("DPoP", "bound", &key).await, 200);
        assert_eq!(status("DPoP", "bound", &thief).await, 401);
        assert_eq!(status("Bearer", "bound", &key).await, 401);
        assert_eq!(status("Bearer", "free", &key).await, 200);
        assert_eq!(status("DPoP", "free", &key).await, 401);
    }
    if cfg!(feature = "cache") {
        assert_eq!(authority.count(), 2);
    }
}
