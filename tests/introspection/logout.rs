//! A logout at the provider ends opaque tokens like JWTs, also if their answers are cached.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tower_jwt_auth::backchannel_logout::BackchannelLogout;
use tower_jwt_auth::credential::Introspection;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{SigningKey, TokenVerifier};

use crate::authority::{Authority, ISSUER, NOW, active_with, told};

const SECRET: &[u8] = b"\x91\x3e\x55\xd0\x0c\xa7\x62\xf8\x1b\x49\xee\x83\x20\x7d\xb6\x5a\
\xc4\x38\x0f\x9a\x71\xe2\x46\xbd\x13\x8c\x60\xf5\x2e\x99\xd7\x04";

fn logout_token(members: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "client", "iat": NOW, "exp": NOW + 120, "jti": members.to_string(),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    if let (Some(claims), Some(members)) = (claims.as_object_mut(), members.as_object()) {
        claims.extend(members.clone());
    }
    let header = json!({"alg": "HS256", "typ": "logout+jwt"});
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{message}.{signature}")
}

/// An API that introspects opaque tokens, and the service that receives logouts of the same provider.
fn service(authority: &Authority) -> (Introspection, BackchannelLogout) {
    let store = MemoryRevocations::with_clock(authority.clock.clone());
    let judge = authority.discovered().revocation(store.clone());
    let verifier = TokenVerifier::builder()
        .keys(SigningKey::hs256(SECRET).unwrap().verifying_key())
        .issuer(ISSUER)
        .audience("client")
        .profile(TokenProfile::LogoutToken)
        .clock(authority.clock.clone())
        .build()
        .unwrap();
    let logout = BackchannelLogout::builder(verifier, store)
        .max_access_ttl(Duration::from_secs(3610))
        .build()
        .unwrap();
    (judge.build().unwrap(), logout)
}

#[tokio::test]
async fn a_logout_by_subject_ends_opaque_tokens() {
    let authority = Authority::new();
    // A response without `iss` counts as that of the issuer.
    authority.says("bare", active_with(json!({"iss": null, "jti": null})));
    authority.says("bob", active_with(json!({"sub": "bob"})));
    authority.says("newer", active_with(json!({"iat": NOW + 1})));
    let (judge, logout) = service(&authority);
    for token in ["good", "bare", "bob"] {
        assert_eq!(told(&judge, token).await, "ok");
    }
    logout
        .log_out(&logout_token(&json!({"sub": "alice"})))
        .await
        .unwrap();
    for (token, verdict) in [
        ("good", "401 revoked"),
        ("bare", "401 revoked"),
        ("bob", "ok"),
        ("newer", "ok"),
    ] {
        assert_eq!(told(&judge, token).await, verdict, "{token}");
    }
}

#[tokio::test]
async fn a_logout_by_session_ends_opaque_tokens() {
    let authority = Authority::new();
    authority.says("phone", active_with(json!({"sid": "s1"})));
    authority.says("laptop", active_with(json!({"sid": "s2"})));
    let (judge, logout) = service(&authority);
    for token in ["phone", "laptop"] {
        assert_eq!(told(&judge, token).await, "ok");
    }
    logout
        .log_out(&logout_token(&json!({"sid": "s1"})))
        .await
        .unwrap();
    assert_eq!(told(&judge, "phone").await, "401 revoked");
    assert_eq!(told(&judge, "laptop").await, "ok");
}
