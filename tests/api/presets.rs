//! The presets of identity providers: a good token of each is accepted, and bad ones are refused.

use serde_json::{Map, Value, json};
use tower_jwt_auth::AuthErrorKind::{
    self, Expired, InvalidAudience, InvalidClaim, InvalidIssuer, InvalidSignature, NotYetValid,
    WrongType,
};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::verifier::Preset;
use tower_jwt_auth::{Algorithm, SigningKey, TokenVerifier};

use crate::support::{NOW, key, signed, signed_with};

/// A provider, a good token of it, and what the token contains.
struct Case {
    preset: Preset,
    audience: Option<&'static str>,
    typ: Option<&'static str>,
    claims: Value,
    scopes: &'static [&'static str],
    roles: &'static [&'static str],
    /// Other tokens that the provider signs, and why each is refused.
    others: Vec<(Value, AuthErrorKind)>,
}

fn case(preset: Preset, audience: &'static str, claims: Value) -> Case {
    Case {
        preset,
        audience: Some(audience),
        typ: Some("JWT"),
        claims,
        scopes: &[],
        roles: &[],
        others: Vec::new(),
    }
}

fn users() -> Vec<Case> {
    vec![
        Case {
            scopes: &["openid", "read:patients"],
            others: vec![(json!({"aud": "app", "nonce": "n"}), InvalidAudience)],
            ..case(
                Preset::auth0("https://tenant.eu.auth0.com"),
                "https://api.example",
                json!({
                    "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|123456", "azp": "app",
                    "aud": ["https://api.example", "https://tenant.eu.auth0.com/userinfo"],
                    "scope": "openid read:patients", "permissions": ["read:patients"],
                }),
            )
        },
        Case {
            scopes: &["profile", "email"],
            roles: &["offline_access", "staff"],
            others: vec![
                (json!({"typ": "ID"}), WrongType),
                (json!({"typ": "Refresh"}), WrongType),
                (json!({"aud": "account"}), InvalidAudience),
            ],
            ..case(
                Preset::keycloak("https://login.example/realms/staff/"),
                "orders-api",
                json!({
                    "iss": "https://login.example/realms/staff", "aud": ["orders-api", "account"],
                    "sub": "f1c4", "typ": "Bearer", "azp": "web", "sid": "4c0a", "jti": "trrtcc:1",
                    "scope": "profile email", "realm_access": {"roles": ["offline_access", "staff"]},
                }),
            )
        },
        Case {
            scopes: &["Files.Read", "Files.Write"],
            roles: &["Editor"],
            others: vec![(
                json!({"iss": "https://sts.windows.net/aaaa-0000/"}),
                InvalidIssuer,
            )],
            ..case(
                Preset::entra("aaaa-0000"),
                "11112222-bbbb",
                json!({
                    "iss": "https://login.microsoftonline.com/aaaa-0000/v2.0", "aud": "11112222-bbbb",
                    "sub": "AAAA", "oid": "o", "tid": "aaaa-0000", "azp": "c", "ver": "2.0",
                    "scp": "Files.Read Files.Write", "roles": ["Editor"], "uti": "u",
                }),
            )
        },
        Case {
            scopes: &["Files.Read"],
            others: vec![
                (json!({"tid": "cccc-2222"}), InvalidIssuer),
                (
                    json!({
                        "iss": "https://login.microsoftonline.com/cccc-2222/v2.0",
                        "tid": "cccc-2222",
                    }),
                    InvalidIssuer,
                ),
            ],
            ..case(
                Preset::entra_tenants(["aaaa-0000", "bbbb-1111"]),
                "11112222-bbbb",
                json!({
                    "iss": "https://login.microsoftonline.com/bbbb-1111/v2.0", "aud": "11112222-bbbb",
                    "sub": "AAAA", "tid": "bbbb-1111", "scp": "Files.Read", "ver": "2.0",
                }),
            )
        },
        Case {
            scopes: &["user_impersonation"],
            others: vec![(
                json!({"iss": "https://login.microsoftonline.com/aaaa-0000/v2.0"}),
                InvalidIssuer,
            )],
            ..case(
                Preset::entra_v1("aaaa-0000"),
                "api://11112222-bbbb",
                json!({
                    "iss": "https://sts.windows.net/aaaa-0000/", "aud": "api://11112222-bbbb",
                    "sub": "AAAA", "tid": "aaaa-0000", "appid": "c", "ver": "1.0",
                    "scp": "user_impersonation",
                }),
            )
        },
        Case {
            typ: None,
            scopes: &["openid", "orders"],
            roles: &["Everyone", "staff"],
            ..case(
                Preset::okta("https://org.okta.com/oauth2/default"),
                "api://default",
                json!({
                    "iss": "https://org.okta.com/oauth2/default", "aud": "api://default", "ver": 1,
                    "jti": "AT.1", "cid": "app", "uid": "00u", "sub": "a@x.example",
                    "scp": ["openid", "orders"], "groups": ["Everyone", "staff"],
                }),
            )
        },
        Case {
            typ: None,
            scopes: &["https://api.example/read"],
            roles: &["admins"],
            others: vec![
                (
                    json!({"token_use": "id", "aud": "1h57", "client_id": null}),
                    WrongType,
                ),
                (json!({"token_use": null}), InvalidClaim),
                (json!({"client_id": null}), InvalidAudience),
            ],
            ..case(
                Preset::cognito("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A"),
                "1h57",
                json!({
                    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A",
                    "sub": "aaaa", "client_id": "1h57", "token_use": "access", "version": 2,
                    "scope": "https://api.example/read", "cognito:groups": ["admins"], "jti": "j",
                }),
            )
        },
        Case {
            others: vec![(json!({"aud": ["123.apps", "other"]}), InvalidAudience)],
            ..case(
                Preset::google(),
                "123.apps",
                json!({
                    "iss": "accounts.google.com", "azp": "123.apps", "aud": "123.apps",
                    "sub": "1102", "email_verified": true, "at_hash": "h",
                }),
            )
        },
        case(
            Preset::firebase("shop-prod"),
            "shop-prod",
            json!({
                "iss": "https://securetoken.google.com/shop-prod", "aud": "shop-prod",
                "auth_time": NOW - 60, "user_id": "u", "sub": "u",
                "firebase": {"identities": {}, "sign_in_provider": "password"},
            }),
        ),
        Case {
            roles: &["authenticated"],
            others: vec![(
                json!({"iss": "supabase", "role": "service_role", "aud": null}),
                InvalidIssuer,
            )],
            ..case(
                Preset::supabase("https://project.supabase.co/"),
                "authenticated",
                json!({
                    "iss": "https://project.supabase.co/auth/v1", "aud": "authenticated",
                    "sub": "9d3c", "role": "authenticated", "aal": "aal1", "session_id": "s",
                    "is_anonymous": false, "app_metadata": {"provider": "email"},
                }),
            )
        },
        Case {
            roles: &["editor"],
            ..case(
                Preset::zitadel("https://acme.zitadel.cloud"),
                "345",
                json!({
                    "iss": "https://acme.zitadel.cloud", "sub": "1", "aud": ["1@web", "345"],
                    "client_id": "svc", "jti": "j",
                    "urn:zitadel:iam:org:project:roles": {"editor": {"344": "x.example"}},
                }),
            )
        },
    ]
}

fn gateways_and_machines() -> Vec<Case> {
    vec![
        Case {
            audience: None,
            others: vec![
                (json!({"azp": "https://evil.example"}), InvalidClaim),
                (json!({"azp": 7}), InvalidClaim),
            ],
            ..case(
                Preset::clerk("https://clerk.shop.example", ["https://shop.example"]),
                "",
                json!({
                    "iss": "https://clerk.shop.example", "azp": "https://shop.example",
                    "sub": "user_2a", "sid": "sess_2b", "sts": "active", "v": 2,
                }),
            )
        },
        Case {
            audience: None,
            ..case(
                Preset::clerk("https://clerk.shop.example", "https://shop.example"),
                "",
                json!({"iss": "https://clerk.shop.example", "sub": "user_2a", "sid": "s"}),
            )
        },
        Case {
            others: vec![(json!({"type": "org"}), InvalidClaim)],
            ..case(
                Preset::cloudflare_access("https://acme.cloudflareaccess.com"),
                "f1e2d3",
                json!({
                    "iss": "https://acme.cloudflareaccess.com", "aud": ["f1e2d3"], "type": "app",
                    "email": "a@x.example", "sub": "7335", "identity_nonce": "n", "country": "DE",
                }),
            )
        },
        case(
            Preset::google_iap(),
            "/projects/1/global/backendServices/2",
            json!({
                "iss": "https://cloud.google.com/iap", "aud": "/projects/1/global/backendServices/2",
                "sub": "accounts.google.com:11", "email": "a@x.example", "azp": "/projects/1/x",
            }),
        ),
        case(
            Preset::github_actions(),
            "https://deploy.example",
            json!({
                "iss": "https://token.actions.githubusercontent.com", "aud": "https://deploy.example",
                "sub": "repo:acme/shop:ref:refs/heads/main", "repository": "acme/shop", "jti": "j",
                "repository_owner": "acme", "ref": "refs/heads/main", "run_id": "7",
            }),
        ),
        Case {
            typ: None,
            ..case(
                Preset::kubernetes("https://kubernetes.default.svc.cluster.local"),
                "shop-api",
                json!({
                    "iss": "https://kubernetes.default.svc.cluster.local", "aud": ["shop-api"],
                    "sub": "system:serviceaccount:shop:worker", "jti": "4b1f",
                    "kubernetes.io": {"namespace": "shop"},
                }),
            )
        },
        Case {
            typ: None,
            scopes: &["openid", "orders.read"],
            others: vec![(json!({"nonce": "n", "at_hash": "h"}), WrongType)],
            ..case(
                Preset::spring("https://auth.example"),
                "messaging-client",
                json!({
                    "iss": "https://auth.example", "aud": "messaging-client", "sub": "user1",
                    "scope": ["openid", "orders.read"], "jti": "j",
                }),
            )
        },
        Case {
            others: vec![
                (json!({"token_type": "refresh"}), WrongType),
                (json!({"token_type": null}), InvalidClaim),
            ],
            ..case(
                Preset::simple_jwt("https://django.example"),
                "shop-api",
                json!({
                    "iss": "https://django.example", "aud": "shop-api", "token_type": "access",
                    "jti": "0c9b", "user_id": 41,
                }),
            )
        },
        Case {
            typ: Some("JOSE"),
            others: vec![
                (json!({"sub": "worker"}), InvalidClaim),
                (json!({"sub": null}), InvalidClaim),
            ],
            ..case(
                Preset::spiffe(),
                "shop-api",
                json!({"sub": "spiffe://example.test/worker", "aud": ["shop-api"]}),
            )
        },
    ]
}

fn verifier(case: &Case) -> TokenVerifier {
    let builder = TokenVerifier::builder()
        .keys(key().verifying_key())
        .preset(case.preset.clone())
        .clock(ManualClock::at_unix_seconds(NOW));
    let builder = match case.audience {
        Some(audience) => builder.audience(audience),
        None => builder,
    };
    builder.build().unwrap()
}

/// The good claims with these changed; `null` removes one.
fn claims(case: &Case, with: &Value) -> String {
    let mut all: Map<String, Value> = case.claims.as_object().unwrap().clone();
    all.entry("iat").or_insert(NOW.into());
    all.entry("exp").or_insert((NOW + 300).into());
    all.extend(with.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    Value::Object(all).to_string()
}

fn header(case: &Case) -> String {
    let mut header = json!({"alg": "HS256"});
    if let Some(typ) = case.typ {
        header["typ"] = typ.into();
    }
    header.to_string()
}

#[test]
fn each_preset_accepts_good_tokens_and_refuses_bad_ones() {
    let cases = users().into_iter().chain(gateways_and_machines());
    for case in cases {
        let name = case.preset.name();
        let verifier = verifier(&case);
        let good = signed(header(&case), claims(&case, &json!({})));
        let verified = verifier.verify_local(&good);
        let verified = verified.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(verified.scopes().collect::<Vec<_>>(), case.scopes, "{name}");
        assert_eq!(verified.roles().collect::<Vec<_>>(), case.roles, "{name}");

        let mut bad = vec![
            (json!({"exp": NOW - 31}), Expired),
            (json!({"nbf": NOW + 31}), NotYetValid),
            (json!({"exp": null}), InvalidClaim),
        ];
        if name != "spiffe" {
            bad.push((json!({"iss": "https://evil.example"}), InvalidIssuer));
            bad.push((json!({"iss": null}), InvalidIssuer));
        }
        if name == "cognito" {
            bad.push((json!({"client_id": "another"}), InvalidAudience));
        } else if case.audience.is_some() {
            bad.push((json!({"aud": "another"}), InvalidAudience));
            bad.push((json!({"aud": null}), InvalidAudience));
        }
        bad.extend(case.others.clone());
        for (with, expected) in bad {
            let token = signed(header(&case), claims(&case, &with));
            let refused = verifier.verify_local(&token).map_err(|error| error.kind());
            assert_eq!(refused.err(), Some(expected), "{name} with {with}");
        }
        let forged = signed_with(
            b"another secret of 32 bytes or so",
            header(&case),
            claims(&case, &json!({})),
        );
        let refused = verifier.verify_local(&forged).unwrap_err();
        assert_eq!(refused.kind(), InvalidSignature, "{name}");
    }
}

#[test]
fn each_preset_with_an_address_has_a_name_for_configurations() {
    for (name, address) in [
        ("auth0", "https://tenant.eu.auth0.com"),
        ("keycloak", "https://login.example/realms/staff"),
        ("entra", "aaaa-0000"),
        ("entra-v1", "aaaa-0000"),
        ("okta", "https://org.okta.com/oauth2/default"),
        (
            "cognito",
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A",
        ),
        ("google", ""),
        ("firebase", "shop-prod"),
        ("supabase", "https://project.supabase.co"),
        ("zitadel", "https://acme.zitadel.cloud"),
        ("cloudflare-access", "https://acme.cloudflareaccess.com"),
        ("google-iap", ""),
        ("github-actions", ""),
        ("kubernetes", "https://kubernetes.default.svc"),
        ("spring", "https://auth.example"),
    ] {
        assert!(Preset::named(name, address).is_ok(), "{name}");
        let error = Preset::named(&name.to_uppercase(), address)
            .unwrap_err()
            .to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_preset_without_an_address_needs_keys() {
    for preset in [
        Preset::spiffe(),
        Preset::simple_jwt("https://django.example"),
    ] {
        let builder = TokenVerifier::builder().preset(preset).audience("api");
        let error = builder.build().unwrap_err().to_string();
        assert!(
            error.contains("TokenVerifier::builder().keys(..)"),
            "{error}"
        );
    }
}

#[test]
fn a_spiffe_bundle_has_its_own_constructor() {
    const BUNDLE: &str = include_str!("../field/spiffe-bundle.json");
    let tokens: Value = serde_json::from_str(include_str!("../field/tokens.json")).unwrap();
    let svid = tokens["spiffe"].as_str().unwrap();
    assert!(KeySet::from_jwks(BUNDLE).is_err());
    let verifier = TokenVerifier::builder()
        .keys(KeySet::from_spiffe_bundle(BUNDLE).unwrap())
        .preset(Preset::spiffe())
        .audience("shop-api")
        .build()
        .unwrap();
    let verified = verifier.verify_local(svid).unwrap();
    assert_eq!(verified.subject(), Some("spiffe://example.test/worker"));

    // Keys with another use are not for JWT-SVIDs.
    let own = SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .verifying_key();
    let mut plain = KeySet::from(own).to_jwks();
    let error = KeySet::from_spiffe_bundle(&plain.to_string()).unwrap_err();
    assert!(
        error.to_string().contains("`use` is not `jwt-svid`"),
        "{error}"
    );
    plain["keys"][0]["use"] = "x509-svid".into();
    let mut bundle: Value = serde_json::from_str(BUNDLE).unwrap();
    bundle["keys"]
        .as_array_mut()
        .unwrap()
        .push(plain["keys"][0].clone());
    let keys = KeySet::from_spiffe_bundle(&bundle.to_string()).unwrap();
    assert_eq!((keys.len(), keys.skipped()), (1, 1));
}
