//! Keys in requests: beside tokens, in a header of their own, and behind guards.

use std::sync::{Arc, Mutex};

use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::layer::TokenSource;

use super::{setting, unknown};
use crate::sessions::store::Mode;
use crate::support::{Seen, bearer, request, send, tokens};

const PAGE: &str = include_str!("../../../src/guide/why_401.md");
const INVALID: &str = r#"401 Bearer realm="api", error="invalid_token""#;
const TWO: &str = r#"400 Bearer realm="api", error="invalid_request""#;

#[tokio::test]
async fn a_route_takes_tokens_and_keys_side_by_side() {
    let (setting, tokens) = (setting(), tokens());
    let layer = JwtAuthLayer::new(tokens.verifier()).credentials(setting.keys.clone());
    let (id, key) = setting.key().await;
    let token = tokens.access("bob").issue().unwrap();
    assert_eq!(send(&layer, bearer(&key)).await.body, "alice");
    assert_eq!(send(&layer, bearer(&token)).await.body, "bob");
    for bad in [
        unknown(1),
        key[..60].to_owned(),
        format!("{key}x"),
        "acme_".to_owned(),
    ] {
        assert_eq!(send(&layer, bearer(&bad)).await.verdict(), INVALID);
    }
    setting.keys.revoke(&id).await.unwrap();
    assert_eq!(send(&layer, bearer(&key)).await.verdict(), INVALID);
    assert_eq!(send(&layer, bearer(&token)).await.body, "bob");
}

#[tokio::test]
async fn a_key_may_be_in_a_header_of_its_own() {
    let (setting, tokens) = (setting(), tokens());
    let header = TokenSource::header("X-Api-Key").unwrap();
    let layer = JwtAuthLayer::new(tokens.verifier()).credentials_in(header, setting.keys.clone());
    let (_, key) = setting.key().await;
    let token = tokens.access("bob").issue().unwrap();
    let with = |value: &str| request(&[("x-api-key", value)]);
    assert_eq!(send(&layer, with(&key)).await.body, "alice");
    assert_eq!(send(&layer, bearer(&token)).await.body, "bob");
    // The header is for keys, and `Authorization` is for tokens.
    assert_eq!(send(&layer, with(&token)).await.verdict(), INVALID);
    assert_eq!(send(&layer, bearer(&key)).await.verdict(), INVALID);
    assert_eq!(send(&layer, with("other_key")).await.verdict(), INVALID);
}

#[tokio::test]
async fn a_token_and_a_key_in_one_request_are_a_400() {
    let (setting, tokens) = (setting(), tokens());
    let header = || TokenSource::header("X-Api-Key").unwrap();
    let (_, key) = setting.key().await;
    let token = tokens.access("bob").issue().unwrap();
    let (authorization, with_key) = (format!("Bearer {token}"), format!("Bearer {key}"));
    let calls = setting.store.all_calls();
    for layer in [
        JwtAuthLayer::new(tokens.verifier()).credentials_in(header(), setting.keys.clone()),
        JwtAuthLayer::new(tokens.verifier())
            .credentials(setting.keys.clone())
            .token_source(header()),
    ] {
        for headers in [
            [("authorization", &*authorization), ("x-api-key", &*key)],
            [("authorization", &*with_key), ("x-api-key", &*token)],
            [
                ("authorization", &*with_key),
                ("authorization", &*authorization),
            ],
            [("x-api-key", &*key), ("x-api-key", &*key)],
        ] {
            assert_eq!(send(&layer, request(&headers)).await.verdict(), TWO);
        }
    }
    assert_eq!(setting.store.all_calls(), calls);
}

#[tokio::test]
async fn a_service_may_accept_only_keys() {
    let setting = setting();
    let layer = JwtAuthLayer::for_credentials(setting.keys.clone());
    let (_, key) = setting.key().await;
    assert_eq!(send(&layer, bearer(&key)).await.body, "alice");
    let token = tokens().access("bob").issue().unwrap();
    assert_eq!(send(&layer, bearer(&token)).await.verdict(), INVALID);
    let missing = send(&layer, request(&[])).await;
    assert_eq!(missing.verdict(), r#"401 Bearer realm="api""#);
}

#[tokio::test]
async fn a_key_store_outage_is_a_503_only_for_requests_with_keys() {
    let (setting, tokens) = (setting(), tokens());
    let layer = JwtAuthLayer::new(tokens.verifier()).credentials(setting.keys.clone());
    let (_, key) = setting.key().await;
    setting.store.set(Mode::Down);
    let refused: Seen = send(&layer, bearer(&key)).await;
    assert_eq!(refused.verdict(), "503");
    assert_eq!(refused.headers["retry-after"], "1");
    let token = tokens.access("bob").issue().unwrap();
    assert_eq!(send(&layer, bearer(&token)).await.body, "bob");
}

#[tokio::test]
async fn decisions_name_the_reason_and_never_the_key() {
    let setting = setting();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let hook = Arc::clone(&told);
    let layer = JwtAuthLayer::for_credentials(setting.keys.clone()).on_decision(move |decision| {
        let text = format!(
            "{} {} {}",
            decision.outcome().as_str(),
            decision.reason(),
            decision.waited()
        );
        hook.lock().unwrap().push(text);
    });
    let (id, key) = setting.key().await;
    for credential in [&*key, &*key, "acme_typo", &*unknown(1)] {
        send(&layer, bearer(credential)).await;
    }
    setting.keys.revoke(&id).await.unwrap();
    let seen = send(&layer, bearer(&key)).await;
    assert_eq!(seen.verdict(), INVALID);
    if cfg!(feature = "cache") {
        let expected = [
            "accepted accepted true",
            "accepted accepted false",
            "refused api_key_malformed false",
            "refused api_key_unknown true",
            "refused revoked false",
        ];
        assert_eq!(*told.lock().unwrap(), expected);
        for reason in ["api_key_malformed", "api_key_unknown"] {
            assert!(PAGE.contains(&format!("| `{reason}` |")), "{reason}");
        }
    }
}

#[cfg(feature = "axum")]
mod with_axum {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{Request, StatusCode};
    use tower::ServiceExt;
    use tower_jwt_auth::credential::api_keys::{ApiKeyError, ApiKeys, NewApiKey};
    use tower_jwt_auth::{Require, VerifiedToken};

    use super::*;

    async fn answer(app: &Router, method: &str, credential: &str) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri("/");
        let request = request.header("authorization", format!("Bearer {credential}"));
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let caching = response.headers().get("cache-control");
        let caching = caching.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 100_000).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        (status, caching, body)
    }

    #[tokio::test]
    async fn guards_treat_keys_and_tokens_alike() {
        let (setting, tokens) = (setting(), tokens());
        let guard = Require::scope("orders:read").and(Require::role("robot"));
        let app = Router::new()
            .route("/", get(async |token: VerifiedToken| token.kind().as_str()))
            .route_layer(guard)
            .route_layer(JwtAuthLayer::new(tokens.verifier()).credentials(setting.keys.clone()));
        let key = async |scope: &str, role: &str| {
            let new = setting.keys.create("alice").scope(scope).role(role);
            new.issue().await.unwrap().text().to_owned()
        };
        let token = |scope: &str, role: &str| {
            let token = tokens.access("alice").scope(scope).role(role);
            token.issue().unwrap()
        };
        for (scope, role, expected) in [
            ("orders:read", "robot", 200),
            ("orders:read", "person", 403),
            ("orders:write", "robot", 403),
            ("", "", 403),
        ] {
            let (of_key, ..) = answer(&app, "GET", &key(scope, role).await).await;
            let (of_token, ..) = answer(&app, "GET", &token(scope, role)).await;
            assert_eq!((of_key.as_u16(), of_token.as_u16()), (expected, expected));
        }
        let (_, _, body) = answer(&app, "GET", &key("orders:read", "robot").await).await;
        assert_eq!(body, "api_key");
    }

    #[tokio::test]
    async fn a_new_key_is_a_201_that_must_not_be_cached() {
        let setting = crate::api_keys::setting_with(|builder| builder.max_keys_per_owner(1));
        let keys: ApiKeys = setting.keys.clone();
        let create = async move || -> Result<NewApiKey, ApiKeyError> {
            keys.create("alice").label("backup").issue().await
        };
        let app: Router = Router::new().route("/", axum::routing::post(create));
        let (status, caching, body) = answer(&app, "POST", "").await;
        assert_eq!((status.as_u16(), &*caching), (201, "no-store"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["label"], "backup");
        let key = body["key"].as_str().unwrap();
        assert_eq!(setting.verdict(key).await, Ok(()));

        let (status, caching, body) = answer(&app, "POST", "").await;
        assert_eq!((status.as_u16(), &*caching), (409, "no-store"));
        assert!(body.contains(r#""error":"limit_reached""#), "{body}");
        setting.store.set(Mode::Down);
        let (status, ..) = answer(&app, "POST", "").await;
        assert_eq!(status.as_u16(), 503);
    }
}
