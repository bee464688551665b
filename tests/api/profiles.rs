//! Tokens of other providers: how access tokens are distinguished from other tokens, and where scopes and
//! roles are.

use serde_json::{Value, json};
use tower_jwt_auth::AuthErrorKind::{self, InvalidAudience, InvalidClaim, WrongType};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{ConfigError, TokenVerifier, VerifiedToken};

use crate::support::{NOW, key, signed};

fn builder(profile: TokenProfile) -> TokenVerifierBuilder {
    TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("https://idp.example")
        .audience("api")
        .profile(profile)
        .clock(ManualClock::at_unix_seconds(NOW))
}

/// A token with the claims of RFC 9068 section 2.2, in which these are changed. `null` removes a claim.
fn token(typ: Option<&str>, claims: Value) -> String {
    let mut all = json!({
        "iss": "https://idp.example", "aud": "api", "sub": "u1", "client_id": "c1",
        "iat": NOW, "exp": NOW + 300, "jti": "j1",
    });
    let (members, Value::Object(claims)) = (all.as_object_mut().unwrap(), claims) else {
        panic!("an object")
    };
    members.extend(claims);
    members.retain(|_, value| !value.is_null());
    let header = match typ {
        Some(typ) => json!({"alg": "HS256", "typ": typ}),
        None => json!({"alg": "HS256"}),
    };
    signed(header.to_string(), all.to_string())
}

fn verdict(profile: TokenProfile, token: &str) -> Result<(), AuthErrorKind> {
    let verifier = builder(profile).build().unwrap();
    verifier
        .verify_local(token)
        .map(drop)
        .map_err(|error| error.kind())
}

#[test]
fn the_error_for_a_token_of_another_program_names_the_profile() {
    let source = |claims| {
        let verifier = builder(TokenProfile::Own).build().unwrap();
        let error = verifier.verify_local(&token(None, claims)).unwrap_err();
        assert_eq!(error.kind(), WrongType);
        std::error::Error::source(&error).map(ToString::to_string)
    };
    let found = source(json!({"type": null})).unwrap();
    assert!(found.contains("`TokenVerifierBuilder::profile`"), "{found}");
    assert_eq!(source(json!({"type": "refresh"})), None);
}

#[test]
fn rfc_9068_requires_its_typ_and_its_seven_claims() {
    let strict = |typ, claims| verdict(TokenProfile::Rfc9068, &token(typ, claims));
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "AT+JWT",
        "Application/At+Jwt",
    ] {
        assert_eq!(strict(Some(typ), json!({})), Ok(()), "{typ}"); // RFC 9068 section 4
    }
    for typ in [
        "JWT",
        "jwt",
        "application/jwt",
        "rt+jwt",
        "id+jwt",
        "at+jwt2",
        "",
    ] {
        assert_eq!(strict(Some(typ), json!({})), Err(WrongType), "{typ}");
    }
    assert_eq!(strict(None, json!({})), Err(WrongType));

    for claim in ["exp", "sub", "client_id", "iat", "jti"] {
        let missing = strict(Some("at+jwt"), json!({ claim: null }));
        assert_eq!(missing, Err(InvalidClaim), "{claim}"); // RFC 9068 section 2.2
    }
    let missing = strict(Some("at+jwt"), json!({"iss": null}));
    assert_eq!(missing, Err(AuthErrorKind::InvalidIssuer));
    let missing = strict(Some("at+jwt"), json!({"aud": null}));
    assert_eq!(missing, Err(InvalidAudience));
    for claim in ["sub", "client_id", "jti"] {
        let wrong = strict(Some("at+jwt"), json!({ claim: 5 }));
        assert_eq!(wrong, Err(InvalidClaim), "{claim}");
    }
}

#[test]
fn the_compatible_profile_accepts_only_access_tokens() {
    let lenient = |typ, claims| verdict(TokenProfile::Compatible, &token(typ, claims));
    for typ in [
        Some("JWT"),
        Some("at+jwt"),
        Some("application/at+jwt"),
        None,
    ] {
        assert_eq!(lenient(typ, json!({})), Ok(()), "{typ:?}");
        assert_eq!(
            lenient(typ, json!({"jti": null, "client_id": null})),
            Ok(())
        );
    }
    // Each of the marks by which providers distinguish their tokens (RFC 8725 section 3.11).
    for typ in [
        "rt+jwt",
        "logout+jwt",
        "dpop+jwt",
        "id_token+jwt",
        "secevent+jwt",
        "refresh",
    ] {
        assert_eq!(lenient(Some(typ), json!({})), Err(WrongType), "{typ}");
    }
    for claims in [
        json!({"type": "refresh"}),
        json!({"token_use": "id"}),
        json!({"token_use": "refresh"}),
        json!({"token_use": "refresh_token"}),
        json!({"token_use": "id_token"}),
        json!({"token_use": 5}),
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "Logout"}),
        json!({"typ": ["Bearer"]}),
        json!({"at_hash": "x"}),
        json!({"c_hash": "x"}),
        json!({"s_hash": "x"}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    ] {
        assert_eq!(
            lenient(Some("JWT"), claims.clone()),
            Err(WrongType),
            "{claims}"
        );
        assert_eq!(
            verdict(
                TokenProfile::Rfc9068,
                &token(Some("at+jwt"), claims.clone())
            ),
            Err(WrongType),
            "{claims}"
        );
    }
    for claims in [
        json!({"token_use": "access"}),
        json!({"token_use": "access_token"}),
        json!({"token_type": "Bearer"}),
        json!({"typ": "Bearer"}),
        json!({"type": "access"}),
        json!({"type": "user"}),
        json!({"type": 5}),
        json!({"gen": "x"}),
    ] {
        assert_eq!(lenient(Some("JWT"), claims.clone()), Ok(()), "{claims}");
    }
    // The general requirements still apply.
    assert_eq!(
        lenient(Some("JWT"), json!({"exp": null})),
        Err(InvalidClaim)
    );
    assert_eq!(lenient(Some("JWT"), json!({"sub": 5})), Err(InvalidClaim));
}

#[test]
fn an_id_token_is_accepted_only_where_it_is_expected() {
    let id = |typ, claims| verdict(TokenProfile::IdToken, &token(typ, claims));
    for claims in [
        json!({"client_id": null, "jti": null, "at_hash": "x", "nonce": "n"}),
        json!({"token_use": "id"}),
        json!({"typ": "ID"}),
    ] {
        assert_eq!(id(Some("JWT"), claims.clone()), Ok(()), "{claims}");
        assert_eq!(id(None, claims), Ok(()));
    }
    for claims in [
        json!({"token_use": "access"}),
        json!({"typ": "Bearer"}),
        json!({"typ": "Refresh"}),
        json!({"type": "access"}),
        json!({"type": "refresh"}),
        json!({"events": {}}),
    ] {
        assert_eq!(id(Some("JWT"), claims.clone()), Err(WrongType), "{claims}");
    }
    for typ in ["at+jwt", "rt+jwt", "logout+jwt", "application/at+jwt"] {
        assert_eq!(id(Some(typ), json!({})), Err(WrongType), "{typ}");
    }
    // Otherwise another client of the same provider could replay the login (OpenID Connect Core section
    // 3.1.3.7).
    let others = json!({"aud": ["api", "another client"], "azp": "another client"});
    let refused = Err(InvalidAudience);
    assert_eq!(id(None, others.clone()), refused);
    let both = builder(TokenProfile::IdToken).audience("another client");
    let both = both.build().unwrap();
    assert!(both.verify_local(&token(None, others)).is_ok());
    for claim in ["sub", "iat"] {
        assert_eq!(
            id(None, json!({ claim: null })),
            Err(InvalidClaim),
            "{claim}"
        );
    }
}

#[test]
fn own_tokens_still_need_the_type_claim() {
    let own = |claims| verdict(TokenProfile::Own, &token(Some("JWT"), claims));
    assert_eq!(own(json!({})), Err(WrongType));
    assert_eq!(own(json!({"type": "access"})), Ok(()));
    assert_eq!(own(json!({"type": "refresh"})), Err(WrongType));
}

fn scopes(builder: TokenVerifierBuilder, claims: Value) -> Vec<String> {
    let verified = read(builder, claims);
    verified.scopes().map(str::to_owned).collect()
}

fn read(builder: TokenVerifierBuilder, claims: Value) -> VerifiedToken {
    let verifier = builder.build().unwrap();
    verifier.verify_local(&token(Some("JWT"), claims)).unwrap()
}

#[test]
fn scopes_are_read_where_the_provider_writes_them() {
    let plain = || builder(TokenProfile::Compatible);
    assert_eq!(
        scopes(plain(), json!({"scope": "read write"})),
        ["read", "write"]
    );
    assert_eq!(
        scopes(plain(), json!({"scope": ["read", "write"]})),
        ["read", "write"]
    );
    assert_eq!(
        scopes(plain(), json!({"scp": "read write"})),
        ["read", "write"]
    ); // Entra ID
    assert_eq!(
        scopes(plain(), json!({"scp": ["read", "write"]})),
        ["read", "write"]
    ); // Okta
    let auth0 = plain().scope_claim("scope").scope_claim("permissions");
    let claims = json!({"scope": "openid", "permissions": ["read:all", "write:all"]});
    assert_eq!(scopes(auth0, claims), ["openid", "read:all", "write:all"]);
    // No scope contains a space: an entry that does must not become two scopes.
    let sly = json!({"scope": ["read admin", "read", 5, null, "a\"b"]});
    assert_eq!(scopes(plain(), sly), ["read"]);
    for nothing in [
        json!({}),
        json!({"scope": 5}),
        json!({"scope": ""}),
        json!({"scp": true}),
        json!({"scope": {"read": false}}),
        json!({"scope": {"read": true}}),
        json!({"scp": {"read": {}}}),
        json!({"scope": [{"read": true}, ["write"]]}),
    ] {
        let found = scopes(plain(), nothing.clone());
        assert!(found.is_empty(), "{nothing}: {found:?}");
    }
    let named = plain().scope_claim("permissions");
    let refused = json!({"permissions": {"read:all": false, "write:all": true}});
    assert!(scopes(named, refused).is_empty());
    let only = plain().scope_claim("permissions");
    assert!(scopes(only, json!({"scope": "admin"})).is_empty());
}

#[test]
fn roles_are_read_from_the_claims_that_are_named() {
    let claims = json!({"realm_access": {"roles": ["admin", "domain user"]}, "groups": ["staff"]});
    let none = read(builder(TokenProfile::Compatible), claims.clone());
    assert_eq!(none.roles().count(), 0);
    let keycloak = builder(TokenProfile::Compatible).role_claim("realm_access.roles");
    let verified = read(keycloak.role_claim("groups"), claims);
    assert!(verified.has_role("admin") && verified.has_role("domain user"));
    assert!(verified.has_role("staff") && !verified.has_role("domain"));
}

#[test]
fn an_object_grants_only_the_roles_that_are_not_false_or_null() {
    let claims = json!({"roles": {
        "owner": {"org-1": "x.example"}, "editor": true, "admin": false, "auditor": null,
    }});
    let zitadel = builder(TokenProfile::Compatible).role_claim("roles");
    let verified = read(zitadel, claims);
    let mut roles: Vec<_> = verified.roles().collect();
    roles.sort_unstable();
    assert_eq!(roles, ["editor", "owner"]);
}

#[test]
fn a_claim_path_with_an_empty_name_does_not_build() {
    for path in ["", "a..b", ".a", "a."] {
        let built = builder(TokenProfile::Compatible).role_claim(path).build();
        assert!(matches!(built, Err(ConfigError::Invalid(_))), "{path}");
    }
}

#[test]
fn an_audience_in_another_claim_is_still_required() {
    // OWASP ASVS 5.0 V9.2.3: it is compared as strictly as `aud`.
    let verifier = |claim: &str| {
        let builder = builder(TokenProfile::Compatible).audience("mobile");
        builder.audience_claim(claim).build().unwrap()
    };
    let verdict = |claim: &str, claims: Value| {
        let verified = verifier(claim).verify_local(&token(None, claims));
        verified.map(drop).map_err(|error| error.kind())
    };
    let none = Value::Null;
    for good in [json!("api"), json!("mobile"), json!(["x", "mobile"])] {
        let claims = json!({"aud": none, "azp": good});
        assert_eq!(verdict("azp", claims), Ok(()), "{good}");
        let claims = json!({"aud": none, "meant": {"for": good}});
        assert_eq!(verdict("meant.for", claims), Ok(()), "{good}");
    }
    for bad in [
        none.clone(),
        json!("API"),
        json!("web"),
        json!(""),
        json!([]),
        json!(["api", 5]),
        json!({"api": 1}),
        json!(5),
        json!([["api"]]),
    ] {
        let claims = json!({"aud": none, "azp": bad});
        assert_eq!(verdict("azp", claims), Err(InvalidAudience), "{bad}");
    }
    // `aud` counts if it is present, but it is not enough on its own.
    let both = |aud: Value, azp: Value| verdict("azp", json!({"aud": aud, "azp": azp}));
    assert_eq!(both(json!("api"), json!("mobile")), Ok(()));
    assert_eq!(both(json!("web"), json!("mobile")), Err(InvalidAudience));
    assert_eq!(both(json!(5), json!("mobile")), Err(InvalidAudience));
    assert_eq!(both(json!("api"), json!("web")), Err(InvalidAudience));
    assert_eq!(both(json!("api"), none), Err(InvalidAudience));
}

#[test]
fn an_audience_claim_needs_an_audience_and_a_name() {
    let without = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("i");
    let built = without.audience_claim("client_id").build();
    assert_eq!(built.unwrap_err(), ConfigError::MissingAudience); // RFC 8725 section 3.9
    let unnamed = builder(TokenProfile::Compatible).audience_claim("");
    assert!(matches!(unnamed.build(), Err(ConfigError::Invalid(_))));
}
