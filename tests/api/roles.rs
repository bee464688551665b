//! Roles in tokens of this crate: the issuer writes them, and its verifiers read them.

use serde_json::{Value, json};
use tower_jwt_auth::issuer::IssueError;
use tower_jwt_auth::verifier::{CredentialKind, TokenProfile};
use tower_jwt_auth::{Sessions, TokenIssuer, TokenVerifier};

use crate::support::{NOW, builder, key, tokens};

fn roles_of(tokens: &TokenIssuer, token: &str) -> Vec<String> {
    let verified = tokens.verifier().verify_local(token).unwrap();
    verified.roles().map(str::to_owned).collect()
}

#[test]
fn roles_that_the_issuer_adds_are_the_roles_of_the_token() {
    let tokens = tokens();
    let request = tokens.access("alice").role("admin").roles(["auditor", ""]);
    let token = request.issue().unwrap();
    let verified = tokens.verifier().verify_local(&token).unwrap();
    assert!(verified.has_role("admin") && verified.has_role("auditor"));
    assert!(!verified.has_role("") && !verified.has_role("adm"));
    assert_eq!(roles_of(&tokens, &token), ["admin", "auditor"]);
    let claims: Value = serde_json::from_str(verified.payload()).unwrap();
    assert_eq!(claims["roles"], json!(["admin", "auditor"]));
    let token = tokens.access("alice").issue().unwrap();
    assert_eq!(roles_of(&tokens, &token), [""; 0]);
}

#[test]
fn the_claim_roles_is_read_however_it_is_written() {
    let tokens = tokens();
    for (claim, roles) in [
        (json!(["admin", "auditor"]), &["admin", "auditor"][..]),
        (json!("domain user"), &["domain user"]),
        (json!(["admin", "", "admin"]), &["admin"]),
        (json!(["admin", 5, null]), &["admin"]),
        (
            json!([{"value": "admin", "display": "A"}, {"display": "B"}, "c"]),
            &["admin", "c"],
        ),
        (
            json!({"admin": {}, "auditor": false, "writer": null}),
            &["admin"],
        ),
        (json!(["a\"b"]), &["a\"b"]),
        (json!(null), &[]),
        (json!(7), &[]),
        (json!([]), &[]),
    ] {
        let token = tokens
            .access("alice")
            .claim("roles", &claim)
            .issue()
            .unwrap();
        // With new tokens and with cached ones.
        for _ in 0..4 {
            assert_eq!(roles_of(&tokens, &token), roles, "{claim}");
        }
    }
}

#[test]
fn roles_are_added_to_those_of_the_claim() {
    let tokens = tokens();
    let with = |claim: Value| {
        tokens
            .access("alice")
            .claim("roles", claim)
            .role("b")
            .issue()
    };
    assert_eq!(roles_of(&tokens, &with(json!("a")).unwrap()), ["a", "b"]);
    assert_eq!(roles_of(&tokens, &with(json!(["a"])).unwrap()), ["a", "b"]);
    let refused = with(json!({"a": true})).unwrap_err();
    assert!(matches!(refused, IssueError::InvalidClaim(name) if name == "roles"));
}

#[test]
fn another_claim_for_roles_replaces_the_claim_roles() {
    let tokens = tokens();
    let token = tokens.access("alice").role("a").claim("groups", ["b"]);
    let token = token.issue().unwrap();
    let groups = tokens
        .verifier_builder()
        .role_claim("groups")
        .build()
        .unwrap();
    let verified = groups.verify_local(&token).unwrap();
    assert_eq!(verified.roles().collect::<Vec<_>>(), ["b"]);
    let both = tokens
        .verifier_builder()
        .role_claim("groups")
        .role_claim("roles");
    let verified = both.build().unwrap().verify_local(&token).unwrap();
    assert_eq!(verified.roles().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn roles_of_a_provider_are_read_only_if_configured() {
    let (builder, clock) = builder();
    let issuer = builder.build().unwrap();
    let token = issuer.access("alice").role("admin").issue().unwrap();
    let provider = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("me")
        .audience("api")
        .clock(clock)
        .profile(TokenProfile::Compatible);
    let verified = provider
        .clone()
        .build()
        .unwrap()
        .verify_local(&token)
        .unwrap();
    assert_eq!(verified.roles().count(), 0);
    assert_eq!(verified.kind(), CredentialKind::ProviderToken);
    let said = provider.role_claim("roles").build().unwrap();
    assert!(said.verify_local(&token).unwrap().has_role("admin"));
    let own = tokens().verifier().verify_local(&token).unwrap();
    assert_eq!(own.kind(), CredentialKind::OwnToken);
    assert_eq!(own.expires_at().unwrap().as_secs(), NOW + 900);
}

#[tokio::test]
async fn roles_of_a_login_are_in_each_access_token_of_the_session() {
    let (builder, clock) = builder();
    let tokens = builder.build().unwrap();
    let store = tower_jwt_auth::sessions::MemorySessions::new();
    let sessions = Sessions::builder(&tokens, store).build().unwrap();
    let pair = sessions.open("alice").role("admin").issue().await.unwrap();
    assert_eq!(roles_of(&tokens, &pair.access_token), ["admin"]);
    clock.advance(std::time::Duration::from_secs(60));
    let refreshed = sessions.refresh(&pair.refresh_token).await.unwrap();
    let pair = refreshed.issue().await.unwrap();
    assert_eq!(roles_of(&tokens, &pair.tokens.access_token), ["admin"]);
    let pair = tokens.pair("alice").roles(["a", "b"]).issue().unwrap();
    assert_eq!(roles_of(&tokens, &pair.access_token), ["a", "b"]);
}
