use tower::ServiceBuilder;
use tower_jwt_auth::error::AuthErrorKind;
use tower_jwt_auth::layer::ProblemJson;
use tower_jwt_auth::{AuthError, JwtAuthLayer, RequireScopeLayer};

use crate::support::{bearer, request, send, tokens, verifier};

#[tokio::test]
async fn all_of_and_any_of_decide_by_the_scopes_of_the_token() {
    let all = RequireScopeLayer::all_of(["read", "write"]);
    let any = RequireScopeLayer::any_of(["read", "admin"]);
    let refused_all = r#"403 Bearer realm="api", error="insufficient_scope", scope="read write""#;
    let refused_any = r#"403 Bearer realm="api", error="insufficient_scope", scope="read admin""#;
    for (scopes, by_all, by_any) in [
        (vec!["read", "write"], "200", "200"),
        (vec!["write", "x", "read"], "200", "200"),
        (vec!["read"], refused_all, "200"),
        (vec!["admin"], refused_all, "200"),
        (vec!["reading", "write"], refused_all, refused_any), // never a prefix
        (vec!["Read", "Write"], refused_all, refused_any),
        (vec![], refused_all, refused_any),
    ] {
        let token = tokens().access("alice").scopes(&scopes).issue().unwrap();
        let auth = || JwtAuthLayer::new(verifier());
        let layer = ServiceBuilder::new()
            .layer(auth())
            .layer(all.clone())
            .into_inner();
        assert_eq!(
            send(&layer, bearer(&token)).await.verdict(),
            by_all,
            "{scopes:?}"
        );
        let layer = ServiceBuilder::new()
            .layer(auth())
            .layer(any.clone())
            .into_inner();
        assert_eq!(
            send(&layer, bearer(&token)).await.verdict(),
            by_any,
            "{scopes:?}"
        );
    }
}

#[tokio::test]
async fn several_scopes_may_stand_in_one_text() {
    let token = tokens()
        .access("alice")
        .scope("read write")
        .issue()
        .unwrap();
    let rule = RequireScopeLayer::all_of(["read write"]);
    let layer = ServiceBuilder::new()
        .layer(JwtAuthLayer::new(verifier()))
        .layer(rule);
    assert_eq!(send(&layer.into_inner(), bearer(&token)).await.status, 200);
}

#[tokio::test]
async fn an_empty_requirement_lets_nobody_pass() {
    let token = tokens().access("alice").scope("read").issue().unwrap();
    // As from variables that are not set.
    for scopes in [
        &[][..],
        &[""],
        &[" "],
        &["\t\n"],
        &["read", ""],
        &["", "read"],
        &["", ""],
    ] {
        for rule in [RequireScopeLayer::all_of, RequireScopeLayer::any_of] {
            let rule = rule(scopes.iter().copied());
            let layer = ServiceBuilder::new()
                .layer(JwtAuthLayer::new(verifier()).optional())
                .layer(rule.on_error(|error: &AuthError| {
                    let mut response = http::Response::new(error.to_string());
                    *response.status_mut() = error.status();
                    response
                }))
                .into_inner();
            for request in [bearer(&token), request(&[])] {
                let seen = send(&layer, request).await;
                assert_eq!(seen.verdict(), "500", "{scopes:?}");
                assert!(seen.body.contains("empty"), "{scopes:?}: {}", seen.body);
            }
        }
    }
}

#[test]
fn an_empty_or_malformed_requirement_is_found_at_start_up() {
    for scopes in [&[][..], &[""], &[" "], &["read", ""]] {
        for rule in [RequireScopeLayer::try_all_of, RequireScopeLayer::try_any_of] {
            let error = rule(scopes.iter().copied()).unwrap_err().to_string();
            assert!(
                error.starts_with("a required scope is empty"),
                "{scopes:?}: {error}"
            );
        }
    }
    let error = RequireScopeLayer::try_all_of(["re\"ad"]).unwrap_err();
    assert!(error.to_string().contains("is not a scope"), "{error}");
    assert!(RequireScopeLayer::try_any_of(["read write", "admin"]).is_ok());
}

#[tokio::test]
async fn without_a_token_it_is_a_401_and_without_a_layer_a_500() {
    let rule = RequireScopeLayer::all_of(["read"]);
    let optional = JwtAuthLayer::new(verifier()).optional().realm("reports");
    let layer = ServiceBuilder::new()
        .layer(optional)
        .layer(rule.clone())
        .into_inner();
    assert_eq!(
        send(&layer, request(&[])).await.verdict(),
        r#"401 Bearer realm="reports""#
    );
    let token = tokens().access("alice").issue().unwrap();
    assert_eq!(
        send(&layer, bearer(&token)).await.verdict(),
        r#"403 Bearer realm="reports", error="insufficient_scope", scope="read""#
    );

    let seen = send(&rule, bearer(&token)).await;
    assert_eq!((seen.status.as_u16(), seen.challenges.len()), (500, 0));
}

#[tokio::test]
async fn its_answers_can_be_replaced() {
    let token = tokens().access("alice").issue().unwrap();
    let rule = RequireScopeLayer::all_of(["read"]).on_error(ProblemJson);
    let layer = ServiceBuilder::new()
        .layer(JwtAuthLayer::new(verifier()))
        .layer(rule)
        .into_inner();
    let seen = send(&layer, bearer(&token)).await;
    let problem: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(problem["error"], "insufficient_scope");
    assert_eq!(
        AuthError::new(AuthErrorKind::InsufficientScope).status(),
        seen.status
    );
}
