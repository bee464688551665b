//! The metadata of a protected resource (RFC 9728), and the challenges that point to it.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::resource_metadata::{
    ResourceMetadata, ResourceMetadataBuilder, WELL_KNOWN_PATH,
};
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{
    Algorithm, AuthErrorKind, JwtAuthLayer, Require, SigningKey, TokenVerifier, VerifiedToken,
};

use crate::support::{builder, tokens, verifier};

const RESOURCE: &str = "https://api.example/mcp";

fn provider(issuers: &[&str]) -> TokenVerifier {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let verifier = TokenVerifier::builder().keys(key.verifying_key());
    let verifier = verifier.issuers(issuers).audience(RESOURCE);
    verifier.profile(TokenProfile::Rfc9068).build().unwrap()
}

fn metadata() -> ResourceMetadataBuilder {
    ResourceMetadata::builder(RESOURCE, &provider(&["https://idp.example"]))
}

#[test]
fn the_document_says_which_proofs_are_accepted() {
    use tower_jwt_auth::dpop::{Dpop, MemoryReplays};

    let dpop = Dpop::builder("https://api.example", MemoryReplays::new());
    let dpop = dpop.algorithms([Algorithm::ES256]).build().unwrap();
    let allowed = metadata().dpop(&dpop).build().unwrap();
    let proofs = r#""dpop_signing_alg_values_supported":["ES256"]"#;
    assert!(allowed.json().contains(proofs), "{}", allowed.json());
    assert!(!allowed.json().contains("required"));
    let required = metadata().require_dpop(&dpop).build().unwrap();
    assert!(required.json().contains(proofs));
    let needed = r#""dpop_bound_access_tokens_required":true"#;
    assert!(required.json().contains(needed), "{}", required.json());
    let twice = metadata().member("dpop_bound_access_tokens_required", true);
    twice.build().unwrap_err();
}

fn ask(metadata: &ResourceMetadata, method: &str, headers: &[(&str, &str)]) -> Response<String> {
    let mut request = Request::builder().method(method).uri(metadata.path());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = metadata.clone().oneshot(request.body(()).unwrap());
    futures_util::FutureExt::now_or_never(answer)
        .unwrap()
        .unwrap()
}

#[test]
fn the_document_says_where_to_get_which_token() {
    let metadata = metadata()
        .scopes_supported("notes:read notes:write")
        .scopes_supported(["notes:admin"])
        .resource_name("Notes")
        .resource_documentation("https://docs.example/mcp#start")
        .member("resource_policy_uri", "https://api.example/policy")
        .member("resource_name#fr", "Carnet")
        .build()
        .unwrap();
    let document: Value = serde_json::from_str(ask(&metadata, "GET", &[]).body()).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": RESOURCE,
            "authorization_servers": ["https://idp.example"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["notes:read", "notes:write", "notes:admin"],
            "resource_name": "Notes",
            "resource_documentation": "https://docs.example/mcp#start",
            "resource_policy_uri": "https://api.example/policy",
            "resource_name#fr": "Carnet",
        })
    );
    assert_eq!(metadata.resource(), RESOURCE);
    assert_eq!(metadata.path(), format!("{WELL_KNOWN_PATH}/mcp"));
    assert_eq!(
        metadata.url(),
        format!("https://api.example{WELL_KNOWN_PATH}/mcp")
    );
}

#[test]
fn unset_fields_are_not_in_the_document() {
    // RFC 9728 section 3.2: parameters with zero values are left out.
    let document: Value = serde_json::from_str(metadata().build().unwrap().json()).unwrap();
    let members: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "authorization_servers",
            "bearer_methods_supported",
            "resource"
        ]
    );
}

#[test]
fn authorization_servers_are_the_issuers_in_their_order() {
    let servers = |verifier: &TokenVerifier| {
        let metadata = ResourceMetadata::builder(RESOURCE, verifier)
            .build()
            .unwrap();
        let document: Value = serde_json::from_str(metadata.json()).unwrap();
        document["authorization_servers"].clone()
    };
    let names: Vec<String> = (0..20)
        .map(|n| format!("https://idp-{n}.example/"))
        .collect();
    let several = names.iter().map(|name| provider(&[name]));
    let several = TokenVerifier::for_issuers(several).unwrap();
    assert_eq!(servers(&several), json!(names));
    assert_eq!(several.issuers(), names);

    // One provider with two names, one of which is not a URL.
    let two = provider(&["accounts.idp.example", "https://accounts.idp.example"]);
    assert_eq!(servers(&two), json!(["https://accounts.idp.example"]));
    let by_hand = ResourceMetadata::builder(RESOURCE, &several);
    let by_hand = by_hand.authorization_servers("https://login.example/v2.0");
    let document: Value = serde_json::from_str(by_hand.build().unwrap().json()).unwrap();
    assert_eq!(
        document["authorization_servers"],
        json!(["https://login.example/v2.0"])
    );
    let local = provider(&["http://127.0.0.1:4000"]);
    assert_eq!(servers(&local), json!(["http://127.0.0.1:4000"]));
}

#[test]
fn misleading_settings_are_refused_when_it_is_built() {
    let own = ResourceMetadata::builder(RESOURCE, &verifier());
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let any = TokenVerifier::builder()
        .keys(key.verifying_key())
        .dangerous_no_issuer();
    let any = any.audience(RESOURCE).build().unwrap();
    for (built, told) in [
        (own, "the verifier's issuer `me` is not an https URL"),
        (
            ResourceMetadata::builder(RESOURCE, &any),
            "trusts no issuer by name",
        ),
        (
            ResourceMetadata::builder("http://api.example", &provider(&["https://a.example"])),
            "the resource identifier `http://api.example` is plain http",
        ),
        (
            metadata().authorization_servers(["https://a.example", "b.example"]),
            "the authorization server `b.example` is not an https URL",
        ),
        (
            ResourceMetadata::builder_with_servers(RESOURCE, Vec::<String>::new()),
            "names no authorization server",
        ),
        (
            ResourceMetadata::builder_with_servers(RESOURCE, ["idp.example"]),
            "the authorization server `idp.example` is not an https URL",
        ),
        (metadata().scopes_supported("a  b"), "`scopes_supported`"),
        (metadata().scopes_supported(["a\"b"]), "is not a scope"),
        (
            metadata().resource_documentation("/docs"),
            "`/docs` is not an https URL",
        ),
        (
            metadata().member("resource", "https://other.example"),
            "the builder sets it",
        ),
        (
            metadata().member("authorization_servers", ["x"]),
            "the builder sets it",
        ),
        (metadata().member("a", 1).member("a", 2), "`a` is set twice"),
    ] {
        let error = built.build().unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_document_has_a_max_age_and_an_etag() {
    let metadata = metadata().build().unwrap();
    let answer = ask(&metadata, "GET", &[]);
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("cache-control"), "public, max-age=300");
    assert_eq!(header("content-length"), answer.body().len().to_string());

    let head = ask(&metadata, "HEAD", &[]);
    assert_eq!((head.status(), head.body().as_str()), (StatusCode::OK, ""));
    assert_eq!(head.headers(), answer.headers());

    let known = ask(&metadata, "GET", &[("if-none-match", header("etag"))]);
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(known.body(), "");
    let longer = self::metadata().max_age(Duration::from_secs(3600));
    let answer = ask(&longer.build().unwrap(), "GET", &[]);
    assert_eq!(answer.headers()["cache-control"], "public, max-age=3600");
}

#[test]
fn pages_of_every_origin_may_read_the_document() {
    let metadata = metadata().build().unwrap();
    let origin = ("origin", "https://inspector.example");
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        let answer = ask(&metadata, method, &[origin]);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let credentials = "access-control-allow-credentials";
        assert!(!answer.headers().contains_key(credentials));
    }
    let preflight = ask(
        &metadata,
        "OPTIONS",
        &[
            origin,
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "mcp-protocol-version"),
        ],
    );
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(preflight.headers()["access-control-allow-headers"], "*");
    let methods = &preflight.headers()["access-control-allow-methods"];
    assert_eq!(methods, "GET, HEAD");
}

#[test]
fn other_methods_than_get_and_head_are_refused() {
    let metadata = metadata().build().unwrap();
    for method in ["POST", "PUT", "DELETE", "BREW"] {
        let answer = ask(&metadata, method, &[]);
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
        assert_eq!(answer.body(), "");
    }
}

/// The status and the challenge of a request through a layer, with a requirement behind it.
async fn challenge(layer: &JwtAuthLayer, token: Option<&str>, require: Option<Require>) -> String {
    let inner = service_fn(move |request: Request<()>| {
        let require = require.clone();
        async move {
            let token = request.extensions().get::<VerifiedToken>().cloned();
            let refused = match (token, require) {
                (Some(token), Some(require)) => token.require(&require).err(),
                (None, Some(_)) => Some(AuthErrorKind::MissingToken.into()),
                _ => None,
            };
            Ok::<_, ()>(match refused {
                Some(error) => tower_jwt_auth::layer::error_response::<String>(error),
                None => Response::new(String::new()),
            })
        }
    });
    let mut request = Request::builder().method(Method::POST).uri("/mcp");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(()).unwrap();
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    let challenge = answer.headers().get("www-authenticate");
    let challenge = challenge.map_or("", |value| value.to_str().unwrap());
    format!("{} {challenge}", answer.status().as_u16())
}

#[tokio::test]
async fn a_401_names_the_scopes_to_request_and_the_metadata() {
    let metadata = metadata().build().unwrap();
    let layer = JwtAuthLayer::new(verifier())
        .resource_metadata(&metadata)
        .challenge_scope(["notes:read", "notes:list"]);
    let ends = format!(
        "scope=\"notes:read notes:list\", resource_metadata=\"{}\"",
        metadata.url()
    );
    assert_eq!(
        challenge(&layer, None, None).await,
        format!("401 Bearer realm=\"api\", {ends}")
    );
    assert_eq!(
        challenge(&layer, Some("bad"), None).await,
        format!("401 Bearer realm=\"api\", error=\"invalid_token\", {ends}")
    );
    // RFC 9470: another login may help, for which the client requests the same scopes.
    let old = tokens().access("alice").scope("notes:read").issue();
    let old = old.unwrap();
    let recent = Require::recent_login(Duration::from_secs(60));
    let refused = challenge(&layer, Some(&old), Some(recent)).await;
    assert!(refused.starts_with("401 "), "{refused}");
    assert!(
        refused.contains("scope=\"notes:read notes:list\""),
        "{refused}"
    );
}

#[tokio::test]
async fn a_403_names_the_scopes_of_its_guard_and_the_metadata() {
    let metadata = metadata().build().unwrap();
    let layer = JwtAuthLayer::new(verifier())
        .resource_metadata(metadata.clone())
        .challenge_scope("notes:read");
    let token = tokens().access("alice").scope("notes:read").issue();
    let token = token.unwrap();
    let url = metadata.url();
    let write = Some(Require::all_scopes("notes:read notes:write"));
    assert_eq!(
        challenge(&layer, Some(&token), write).await,
        format!(
            "403 Bearer realm=\"api\", error=\"insufficient_scope\", \
             scope=\"notes:read notes:write\", resource_metadata=\"{url}\""
        )
    );
    // No other scope would help, so none is named.
    let admin = Some(Require::role("admin"));
    assert_eq!(
        challenge(&layer, Some(&token), admin).await,
        format!("403 Bearer realm=\"api\", resource_metadata=\"{url}\"")
    );
}

#[tokio::test]
async fn a_400_and_a_layer_without_scopes_name_none() {
    let url = "https://other.example/metadata".to_owned();
    let layer = JwtAuthLayer::new(verifier()).resource_metadata(url.clone());
    let named = layer.clone().challenge_scope("read");
    let malformed = challenge(&named, Some("a b"), None).await;
    let metadata = format!("resource_metadata=\"{url}\"");
    assert_eq!(
        malformed,
        format!("400 Bearer realm=\"api\", error=\"invalid_request\", {metadata}")
    );
    for none in [layer, named.challenge_scope("")] {
        assert_eq!(
            challenge(&none, None, None).await,
            format!("401 Bearer realm=\"api\", {metadata}")
        );
    }
}

#[test]
fn a_verifier_knows_its_issuers() {
    assert_eq!(verifier().issuers(), ["me"]);
    let (own, _) = builder();
    let any = own
        .build()
        .unwrap()
        .verifier_builder()
        .dangerous_no_issuer();
    assert!(any.build().unwrap().issuers().is_empty());
}
