//! Logout tokens are verified with the provider's keys, which are fetched like those for access tokens.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::backchannel_logout::BackchannelLogout;
use tower_jwt_auth::clock::{Clock as _, SystemClock};
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::verifier::TokenProfile;

use crate::provider::{ISSUER, Mode, Provider};

/// A key of the provider, derived from a number.
struct Key(u8);

impl Key {
    fn signing(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[self.0; 32])
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.signing().verifying_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": format!("logout-{}", self.0)})
    }

    /// A logout token signed with this key.
    fn logout(&self, id: &str) -> String {
        let now = SystemClock.now();
        let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header =
            json!({"alg": "EdDSA", "kid": format!("logout-{}", self.0), "typ": "logout+jwt"});
        let claims = json!({
            "iss": ISSUER, "aud": "client", "iat": now, "exp": now + 120, "jti": id, "sub": "alice",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = self.signing().sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

fn service(provider: &Provider) -> BackchannelLogout {
    let verifier = TokenVerifier::builder()
        .remote_jwks(&provider.discovered())
        .audience("client")
        .profile(TokenProfile::LogoutToken)
        .build()
        .unwrap();
    let service = BackchannelLogout::builder(verifier, MemoryRevocations::new());
    service.build().unwrap()
}

/// The response that the provider receives: `ok`, or the status of the error.
async fn verdict(service: &BackchannelLogout, token: &str) -> String {
    match service.log_out(token).await {
        Ok(()) => "ok".into(),
        Err(error) => format!("{} {}", error.status().as_u16(), error.reason()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_known_yet_is_fetched_once() {
    let provider = Provider::new(&[]);
    provider.state().published = vec![Key(1).jwk()];
    let service = service(&provider);
    assert_eq!(verdict(&service, &Key(1).logout("a")).await, "ok");
    assert_eq!(provider.fetches(), 1);

    sleep(Duration::from_secs(31)).await;
    provider.state().published = vec![Key(1).jwk(), Key(2).jwk()];
    assert_eq!(verdict(&service, &Key(2).logout("b")).await, "ok");
    assert_eq!(provider.fetches(), 2);
    // Unknown keys cause no more fetches than that.
    for number in 3..50 {
        let token = Key(number).logout("c");
        assert_eq!(verdict(&service, &token).await, "401 unknown_key");
    }
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_fetched_are_an_outage() {
    let provider = Provider::new(&[]);
    provider.state().published = vec![Key(1).jwk()];
    provider.state().mode = Mode::Refuse;
    let service = service(&provider);
    let token = Key(1).logout("a");
    assert_eq!(verdict(&service, &token).await, "503 unavailable");

    provider.state().mode = Mode::Good;
    let start = Instant::now();
    while verdict(&service, &token).await != "ok" {
        assert!(start.elapsed() < Duration::from_secs(600), "it stays down");
        sleep(Duration::from_secs(1)).await;
    }
}
