//! The statements of the guide's page on providers: tokens of the documented forms are accepted, their scopes
//! and roles are found, and ID tokens are refused.

use serde_json::{Value, json};
use tower_jwt_auth::AuthErrorKind::{self, InvalidAudience, WrongType};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{TokenVerifier, VerifiedToken};

use crate::support::{NOW, key, signed};

fn provider(issuer: &str, audience: &str, profile: TokenProfile) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer(issuer)
        .audience(audience)
        .profile(profile)
        .clock(ManualClock::at_unix_seconds(NOW))
}

fn token(typ: Option<&str>, mut claims: Value) -> String {
    claims["iat"] = NOW.into();
    claims["exp"] = (NOW + 300).into();
    let mut header = json!({"alg": "HS256"});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    signed(header.to_string(), claims.to_string())
}

#[track_caller]
fn taken(verifier: &TokenVerifier, token: &str, scopes: &[&str], roles: &[&str]) {
    let verified: VerifiedToken = verifier.verify_local(token).unwrap();
    assert_eq!(verified.scopes().collect::<Vec<_>>(), scopes);
    assert_eq!(verified.roles().collect::<Vec<_>>(), roles);
}

#[track_caller]
fn refused(verifier: &TokenVerifier, token: &str, kind: AuthErrorKind) {
    assert_eq!(verifier.verify_local(token).unwrap_err().kind(), kind);
}

#[test]
fn auth0_tokens_are_accepted_in_both_profiles() {
    let issuer = "https://tenant.eu.auth0.com/";
    let (api, userinfo) = (
        "https://api.example",
        "https://tenant.eu.auth0.com/userinfo",
    );
    let of = |profile| provider(issuer, api, profile);
    let mut claims = json!({
        "iss": issuer, "sub": "auth0|123456", "aud": [api, userinfo], "azp": "app",
        "scope": "openid read:patients", "permissions": ["read:patients", "read:admin"],
    });
    let own = of(TokenProfile::Compatible).build().unwrap();
    let scopes = ["openid", "read:patients"];
    taken(&own, &token(Some("JWT"), claims.clone()), &scopes, &[]);
    let by_permission = of(TokenProfile::Compatible).scope_claim("permissions");
    let scopes = ["read:patients", "read:admin"];
    let both = token(Some("JWT"), claims.clone());
    taken(&by_permission.build().unwrap(), &both, &scopes, &[]);

    claims["client_id"] = json!("app");
    claims["jti"] = json!("73WakrfV");
    let strict = of(TokenProfile::Rfc9068).build().unwrap();
    let scopes = ["openid", "read:patients"];
    taken(&strict, &token(Some("at+jwt"), claims), &scopes, &[]);
    let id = json!({"iss": issuer, "sub": "auth0|123456", "aud": "app", "nonce": "n"});
    refused(&own, &token(Some("JWT"), id.clone()), InvalidAudience);
    refused(&strict, &token(Some("JWT"), id), WrongType);
}

#[test]
fn keycloak_tokens_are_distinguished_by_the_claim_typ() {
    let issuer = "https://login.example/realms/staff";
    let builder = provider(issuer, "api", TokenProfile::Compatible)
        .role_claim("realm_access.roles")
        .role_claim("resource_access.api.roles");
    let verifier = builder.build().unwrap();
    let claims = |typ: &str, aud: Value| {
        json!({
            "iss": issuer, "aud": aud, "sub": "f1c4", "typ": typ, "azp": "web", "sid": "4c0a",
            "jti": "trrtcc:1", "acr": "1", "scope": "profile email",
            "realm_access": {"roles": ["offline_access"]},
            "resource_access": {"api": {"roles": ["editor"]}, "account": {"roles": ["x"]}},
        })
    };
    let access = token(Some("JWT"), claims("Bearer", json!(["api", "account"])));
    let roles = ["offline_access", "editor"];
    taken(&verifier, &access, &["profile", "email"], &roles);
    for typ in ["ID", "Refresh", "Offline", "Logout"] {
        let other = token(Some("JWT"), claims(typ, json!("api")));
        refused(&verifier, &other, WrongType);
    }
    let without_mapper = token(Some("JWT"), claims("Bearer", json!("account")));
    refused(&verifier, &without_mapper, InvalidAudience);
}

#[test]
fn entra_tokens_are_those_of_one_tenant_and_one_version() {
    let v2 = "https://login.microsoftonline.com/aaaabbbb-0000/v2.0";
    let builder = provider(v2, "11112222-bbbb", TokenProfile::Compatible).role_claim("roles");
    let verifier = builder.build().unwrap();
    let mut claims = json!({
        "iss": v2, "aud": "11112222-bbbb", "sub": "AAAA", "oid": "o", "tid": "aaaabbbb-0000",
        "azp": "client", "azpacr": "1", "scp": "Files.Read Files.Write", "roles": ["Editor"],
        "ver": "2.0", "uti": "u", "rh": "0.A", "aio": "x",
    });
    let user = token(Some("JWT"), claims.clone());
    let scopes = ["Files.Read", "Files.Write"];
    taken(&verifier, &user, &scopes, &["Editor"]);
    claims.as_object_mut().unwrap().remove("scp");
    taken(
        &verifier,
        &token(Some("JWT"), claims.clone()),
        &[],
        &["Editor"],
    );
    for other in [
        "https://login.microsoftonline.com/ccccdddd-1111/v2.0",
        "https://sts.windows.net/aaaabbbb-0000/",
    ] {
        claims["iss"] = json!(other);
        let token = token(Some("JWT"), claims.clone());
        refused(&verifier, &token, AuthErrorKind::InvalidIssuer);
    }
}

#[test]
fn cognito_tokens_are_for_a_client_and_of_the_right_use() {
    let issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC";
    let builder = provider(issuer, "1h57kf5", TokenProfile::Compatible)
        .audience_claim("client_id")
        .role_claim("cognito:groups");
    let verifier = builder.build().unwrap();
    let claims = |kind: &str, name: &str, client: &str| {
        json!({
            "iss": issuer, "sub": "aaaa", "token_use": kind, name: client, "version": 2,
            "cognito:groups": ["admin"], "scope": "https://api.example/read", "username": "u",
        })
    };
    let access = token(None, claims("access", "client_id", "1h57kf5"));
    taken(
        &verifier,
        &access,
        &["https://api.example/read"],
        &["admin"],
    );
    let of_another = token(None, claims("access", "client_id", "other"));
    refused(&verifier, &of_another, InvalidAudience);
    let id = token(None, claims("id", "aud", "1h57kf5"));
    refused(&verifier, &id, WrongType);
}

#[test]
fn okta_supabase_and_zitadel_tokens_are_accepted() {
    let issuer = "https://org.okta.com/oauth2/default";
    let builder = provider(issuer, "api://default", TokenProfile::Compatible);
    let okta = builder.role_claim("groups").build().unwrap();
    let claims = json!({
        "ver": 1, "jti": "AT.0m", "iss": issuer, "aud": "api://default", "sub": "u@x.example",
        "cid": "c", "uid": "00u", "scp": ["openid", "reports:read"], "groups": ["Everyone"],
    });
    let scopes = ["openid", "reports:read"];
    taken(&okta, &token(None, claims), &scopes, &["Everyone"]);
    let id = json!({"iss": issuer, "aud": "c", "sub": "00u", "at_hash": "fPls", "jti": "ID.r"});
    refused(&okta, &token(None, id), WrongType);

    let issuer = "https://project.supabase.co/auth/v1";
    let builder = provider(issuer, "authenticated", TokenProfile::Compatible);
    let supabase = builder.role_claim("role").build().unwrap();
    let mut claims = json!({
        "iss": issuer, "aud": "authenticated", "sub": "123e4567", "role": "authenticated",
        "aal": "aal1", "session_id": "s", "email": "u@x.example", "phone": "",
        "is_anonymous": false, "amr": [{"method": "password", "timestamp": 1}],
        "user_metadata": {"role": "admin"},
    });
    let user = token(Some("JWT"), claims.clone());
    taken(&supabase, &user, &[], &["authenticated"]);
    claims["iss"] = json!("https://stranger.supabase.co/auth/v1");
    let stranger = token(Some("JWT"), claims);
    refused(&supabase, &stranger, AuthErrorKind::InvalidIssuer);

    let (issuer, roles) = (
        "https://x.zitadel.cloud",
        "urn:zitadel:iam:org:project:34:roles",
    );
    let builder = provider(issuer, "34", TokenProfile::Compatible);
    let zitadel = builder.role_claim(roles).build().unwrap();
    let claims = json!({
        "iss": issuer, "sub": "345", "aud": ["1@web", "34"], "client_id": "svc", "jti": "j",
        roles: {"streaming": {"344": "x.example"}},
    });
    taken(&zitadel, &token(None, claims), &[], &["streaming"]);
}

#[test]
fn google_id_tokens_prove_a_login_at_one_client() {
    let builder = provider(
        "https://accounts.google.com",
        "123.apps",
        TokenProfile::IdToken,
    );
    let verifier = builder
        .issuers(["https://accounts.google.com", "accounts.google.com"])
        .build()
        .unwrap();
    let mut claims = json!({
        "iss": "https://accounts.google.com", "azp": "123.apps", "aud": "123.apps",
        "sub": "1102", "hd": "x.example", "email_verified": true, "at_hash": "h",
    });
    taken(&verifier, &token(Some("JWT"), claims.clone()), &[], &[]);
    claims["iss"] = json!("accounts.google.com");
    taken(&verifier, &token(Some("JWT"), claims.clone()), &[], &[]);
    claims["aud"] = json!("456.apps");
    refused(&verifier, &token(Some("JWT"), claims), InvalidAudience);
}
