//! What a response must contain, and what handlers receive from it.

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::revocation::{MemoryRevocations, RevocationStore as _};
use tower_jwt_auth::verifier::CredentialKind;

use crate::authority::{Authority, active_with, told, verdict};

/// The verdict on a token with the usual response, plus these members.
async fn told_of(members: Value) -> String {
    let authority = Authority::new();
    authority.says("t", active_with(members));
    told(&authority.introspection(), "t").await
}

#[tokio::test]
async fn handlers_get_what_the_server_says() {
    #[derive(Deserialize)]
    struct Claims {
        tenant: String,
        exp: u64,
    }
    let authority = Authority::new();
    let answer = active_with(json!({"tenant": "acme", "realm_access": {"roles": ["auditor"]}}));
    authority.says("t", answer.clone());
    let judge = authority
        .builder()
        .role_claim("realm_access.roles")
        .build()
        .unwrap();
    let token = verdict(&judge, "t").await.unwrap();
    assert_eq!(token.kind(), CredentialKind::IntrospectedToken);
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(token.token_id(), Some("id-1"));
    assert_eq!(
        token.scopes().collect::<Vec<_>>(),
        ["reports:read", "reports:write"]
    );
    assert!(token.has_role("auditor"));
    let claims = token.claims::<Claims>().unwrap();
    assert_eq!(
        token.expires_at().map(|expiry| expiry.as_secs()),
        Some(claims.exp)
    );
    assert_eq!(claims.tenant, "acme");
    assert_eq!(
        serde_json::from_str::<Value>(token.payload()).unwrap(),
        answer
    );
    assert!(!format!("{token:?} {judge:?}").contains("alice"));
}

#[tokio::test]
async fn the_audience_must_be_one_of_ours() {
    assert_eq!(
        told_of(json!({"aud": "other"})).await,
        "401 invalid_audience"
    );
    assert_eq!(told_of(json!({"aud": null})).await, "401 audience_missing");
    assert_eq!(told_of(json!({"aud": []})).await, "401 invalid_audience");
    assert_eq!(told_of(json!({"aud": ["other", "api"]})).await, "ok");
    let authority = Authority::new();
    authority.says("t", active_with(json!({"aud": null})));
    let judge = authority.builder().dangerous_no_audience().build().unwrap();
    assert_eq!(told(&judge, "t").await, "ok");
}

#[tokio::test]
async fn times_are_checked_and_an_expiry_is_optional() {
    use crate::authority::NOW;
    assert_eq!(told_of(json!({"exp": NOW - 31})).await, "401 expired");
    assert_eq!(told_of(json!({"nbf": NOW + 31})).await, "401 not_yet_valid");
    assert_eq!(told_of(json!({"exp": null, "iat": null})).await, "ok");
    assert_eq!(told_of(json!({"exp": "soon"})).await, "503 unavailable");
}

#[tokio::test]
async fn the_issuer_is_compared_if_one_is_configured() {
    let authority = Authority::new();
    authority.says("t", active_with(json!({"iss": "https://other.example"})));
    authority.says("none", active_with(json!({"iss": null})));
    let any = authority.introspection();
    assert_eq!(told(&any, "t").await, "ok");
    assert_eq!(verdict(&any, "none").await.unwrap().issuer(), None);
    let ours = authority
        .builder()
        .issuers(["https://a.example", "https://b.example"]);
    let ours = ours.build().unwrap();
    assert_eq!(told(&ours, "t").await, "401 invalid_issuer");
    let token = verdict(&ours, "none").await.unwrap();
    assert_eq!(token.issuer(), Some("https://a.example"));
}

/// As Keycloak, old and new versions of Hydra, and others write it.
#[tokio::test]
async fn a_refresh_token_is_refused_as_access_token() {
    for refresh in [
        json!({"token_type": "Refresh", "typ": "Refresh"}),
        json!({"typ": "Offline", "token_type": null}),
        json!({"token_use": "refresh_token"}),
        json!({"token_type": "refresh_token"}),
        json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}),
        json!({"type": "refresh_token"}),
        json!({"use": "refresh"}),
        json!({"token_use": "id"}),
        json!({"typ": "ID"}),
    ] {
        assert_eq!(
            told_of(refresh.clone()).await,
            "401 wrong_type",
            "{refresh}"
        );
    }
    for access in [
        json!({"token_type": "Bearer", "typ": "Bearer"}),
        json!({"token_use": "access_token"}),
        json!({"token_use": "access"}),
        json!({"token_type": "access_token"}),
        json!({"token_type": "bearer"}),
        json!({"token_type": null}),
    ] {
        assert_eq!(told_of(access.clone()).await, "ok", "{access}");
    }
}

#[tokio::test]
async fn an_unmarked_refresh_token_lacks_required_claims() {
    let authority = Authority::new();
    // As npm `oidc-provider` and Spring Authorization Server respond for one.
    authority.says(
        "refresh",
        active_with(json!({"token_type": null, "aud": null})),
    );
    assert_eq!(
        told(&authority.introspection(), "refresh").await,
        "401 audience_missing"
    );
    let judge = authority
        .builder()
        .dangerous_no_audience()
        .require("token_type");
    let judge = judge.build().unwrap();
    assert_eq!(told(&judge, "refresh").await, "401 claim_missing");
    assert_eq!(told(&judge, "good").await, "ok");
    let judge = authority
        .builder()
        .dangerous_no_audience()
        .claim_one_of("token_type", ["Bearer"]);
    let judge = judge.build().unwrap();
    assert_eq!(told(&judge, "refresh").await, "401 claim_value_not_allowed");
}

#[tokio::test]
async fn a_bound_token_is_refused_as_bearer_token() {
    for bound in [
        json!({"token_type": "DPoP"}),
        json!({"token_type": "dpop", "cnf": {"jkt": "x"}}),
        json!({"cnf": {"x5t#S256": "x"}}),
        json!({"cnf": {}}),
    ] {
        let reason = if bound["cnf"] == json!({}) {
            "401 unknown_binding"
        } else {
            "401 bound_token"
        };
        assert_eq!(told_of(bound.clone()).await, reason, "{bound}");
        let authority = Authority::new();
        authority.says("t", active_with(bound));
        let judge = authority
            .builder()
            .dangerous_accept_bound_tokens()
            .build()
            .unwrap();
        assert_eq!(told(&judge, "t").await, "ok");
    }
    for other in ["mac", "PoP", "N_A", ""] {
        let told = told_of(json!({"token_type": other})).await;
        assert_eq!(told, "401 not_a_bearer_token", "{other}");
    }
}

#[tokio::test]
async fn scopes_are_a_text_or_an_array() {
    for (members, expected) in [
        (json!({"scope": "a b"}), vec!["a", "b"]),
        (json!({"scope": ["a", "b"]}), vec!["a", "b"]),
        (json!({"scope": null, "scp": ["a"]}), vec!["a"]),
        (json!({"scope": {"a": true}}), vec![]),
        (json!({"scope": null}), vec![]),
    ] {
        let authority = Authority::new();
        authority.says("t", active_with(members));
        let token = verdict(&authority.introspection(), "t").await.unwrap();
        assert_eq!(token.scopes().collect::<Vec<_>>(), expected);
    }
    let authority = Authority::new();
    authority.says("t", active_with(json!({"permissions": ["x"]})));
    let judge = authority
        .builder()
        .scope_claim("permissions")
        .build()
        .unwrap();
    let token = verdict(&judge, "t").await.unwrap();
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["x"]);
}

#[tokio::test]
async fn a_token_of_a_client_belongs_to_the_client() {
    let authority = Authority::new();
    let machine = json!({"sub": null, "jti": null, "client_id": "robot"});
    authority.says("machine", active_with(machine));
    authority.says(
        "user",
        active_with(json!({"sub": null, "username": "alice"})),
    );
    let judge = authority.introspection();
    let token = verdict(&judge, "machine").await.unwrap();
    assert_eq!(token.subject(), Some("robot"));
    // The SHA-256 of `machine`.
    let digest = "OC_WYdFY6C68lqwYyiuLoOo6EC6fGXYSrOd2Rt92sYg";
    assert_eq!(token.token_id().map(str::len), Some(digest.len()));
    assert_eq!(verdict(&judge, "user").await.unwrap().subject(), None);
}

#[tokio::test]
async fn a_token_that_was_revoked_here_is_refused() {
    let authority = Authority::new();
    let store = MemoryRevocations::with_clock(authority.clock.clone());
    authority.says("no-id", active_with(json!({"jti": null})));
    authority.says("nobody", active_with(json!({"sub": null, "username": "x"})));
    let judge = authority
        .builder()
        .revocation(store.clone())
        .build()
        .unwrap();
    for token in ["good", "no-id"] {
        let verified = verdict(&judge, token).await.unwrap();
        store
            .revoke(&[verified.revocation().unwrap()])
            .await
            .unwrap();
        assert_eq!(told(&judge, token).await, "401 revoked");
    }
    assert_eq!(told(&judge, "nobody").await, "401 invalid_claim");
}
