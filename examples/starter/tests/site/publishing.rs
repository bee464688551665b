//! The public keys in the storage, for services that do not ask this one.

use std::path::Path;
use std::time::Duration;

use axum::http::Method;
use service::{App, Settings};
use tower_jwt_auth::config::AuthConfig;

use crate::support::{Place, Service};

fn ring(folder: &Path) -> AuthConfig {
    let file = folder.join("keys.json").display().to_string();
    AuthConfig::from_vars([
        ("JWT_KEY_RING_FILE", file.as_str()),
        ("JWT_ROTATE_KEYS", "EdDSA"),
        ("JWT_ISSUER", "https://auth.test"),
        ("JWT_AUDIENCE", "test-api"),
    ])
    .unwrap()
}

/// Waits until the published document is as expected.
async fn published(file: &Path, until: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        if let Ok(text) = std::fs::read_to_string(file)
            && until(&text)
        {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", std::fs::read_to_string(file));
}

async fn served(service: &Service) -> String {
    let answer = service
        .fetch(Method::GET, "/.well-known/jwks.json", &[])
        .await;
    answer.text().to_owned()
}

#[tokio::test]
async fn the_keys_are_published_at_the_start_and_when_they_change() {
    let place = Place::sqlite();
    let config = ring(place.folder.path());
    let mut settings = place.settings();
    let change = |settings: &mut Settings| {
        settings.auth = config.clone();
        settings.storage.publish_jwks = Some("/.well-known/jwks.json".to_owned());
    };
    change(&mut settings);
    let file = settings.storage.folder.join(".well-known/jwks.json");
    let service = Service::start_with(place, change).await;
    let first = published(&file, |_| true).await;
    assert_eq!(first, served(&service).await);
    assert!(
        first.contains("\"kty\":\"OKP\"") && !first.contains("\"d\""),
        "{first}"
    );

    // The command publishes by itself. A running service notices a change of the file soon.
    service::rotate_keys(&config, false).unwrap();
    let told = service::publish_keys(&config, &settings.storage).await;
    assert_eq!(told.unwrap().as_deref(), Some(".well-known/jwks.json"));
    let second = published(&file, |_| true).await;
    assert_ne!(first, second);
    service::rotate_keys(&config, true).unwrap();
    let third = published(&file, |text| text != second).await;
    assert_eq!(third, served(&service).await);
    assert!(!third.contains(first_id(&first)), "{third}");
}

fn first_id(document: &str) -> &str {
    let rest = document.split_once("\"kid\":\"").unwrap().1;
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn a_secret_is_not_published_and_the_path_must_be_valid() {
    for (secret, path, said) in [
        (true, "jwks.json", "is a secret"),
        (false, "/", "PUBLISH_JWKS"),
        (false, "../jwks.json", "PUBLISH_JWKS"),
    ] {
        let place = Place::sqlite();
        let mut settings = place.settings();
        if !secret {
            settings.auth = ring(place.folder.path());
        }
        settings.storage.publish_jwks = Some(path.to_owned());
        let error = App::open(&settings).await.unwrap_err().to_string();
        assert!(error.contains(said), "{path}: {error}");
    }
}
