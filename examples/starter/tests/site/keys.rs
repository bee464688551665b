//! The public keys, for services that verify our tokens.

use axum::http::{Method, StatusCode};
use service::{App, Settings};
use tower_jwt_auth::config::AuthConfig;

use crate::start;
use crate::support::{Folder, Place, Service};

const JWKS: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn a_secret_is_never_published() {
    let service = start(Default::default()).await;
    let answer = service.fetch(Method::GET, JWKS, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), serde_json::json!({ "keys": [] }));
}

/// The command and the service are two programs that share a file.
#[tokio::test]
async fn a_rotated_key_is_published_and_signs_a_day_later() {
    let folder = Folder::new("ring");
    let file = folder.path().join("keys.json").display().to_string();
    let config = AuthConfig::from_vars([
        ("JWT_KEY_RING_FILE", file.as_str()),
        ("JWT_ROTATE_KEYS", "EdDSA"),
        ("JWT_ISSUER", "https://auth.test"),
        ("JWT_AUDIENCE", "test-api"),
    ])
    .unwrap();
    let place = Place::sqlite();
    let ring = |settings: &mut Settings| settings.auth = config.clone();
    let mut settings = place.settings();
    ring(&mut settings);
    App::open(&settings).await.unwrap().close().await;
    let tokens = config.issuer_builder().unwrap().build().unwrap();
    let before = tokens.access("ada").issue().unwrap();

    let told = service::rotate_keys(&config, false).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("EdDSA Active"), "{told:?}");
    assert!(told[1].contains("EdDSA Standby"), "{told:?}");
    let again = service::rotate_keys(&config, false).unwrap_err();
    assert!(again.to_string().contains("already waiting"), "{again}");

    let service = Service::start_with(place, ring).await;
    let answer = service.fetch(Method::GET, JWKS, &[]).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.get("d").is_none()));

    // After a key was stolen, what it has signed is refused, and another key signs.
    let ring = tokens.key_ring().unwrap();
    assert!(tokens.verifier().verify_local(&before).is_ok());
    let told = service::rotate_keys(&config, true).unwrap();
    assert!(told[0].contains("EdDSA Active"), "{told:?}");
    assert_eq!(
        told.iter().filter(|line| !line.contains("Removed")).count(),
        1
    );
    ring.reload().unwrap();
    assert!(tokens.verifier().verify_local(&before).is_err());
    let after = tokens.access("ada").issue().unwrap();
    assert!(tokens.verifier().verify_local(&after).is_ok());
}

#[test]
fn a_fixed_key_has_no_ring_to_rotate() {
    let error = service::rotate_keys(&crate::support::config(), false).unwrap_err();
    assert!(error.to_string().contains("JWT_KEY_RING_FILE"), "{error}");
}
