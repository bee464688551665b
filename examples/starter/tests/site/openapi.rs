//! The API description is complete, valid and correct.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::start;
use crate::support::Service;

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

async fn document(service: &Service) -> Value {
    let answer = service.fetch(Method::GET, "/openapi.json", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

// chapter: social-login {
/// Restarts the service with a provider to log in at, which is unavailable.
async fn with_a_provider(service: Service) -> Service {
    let away = crate::support::social_login::StandIn::start()
        .await
        .settings("7");
    Service::start_with(service.stop().await, |settings| {
        settings.login_providers = vec![away]
    })
    .await
}
// chapter: social-login }

/// Returns the Rust files that route with `.route(..)`, which adds nothing to the description.
fn with_undescribed_routes(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_undescribed_routes(&path));
        } else if is_routing(&fs::read_to_string(&path).unwrap()) {
            found.insert(path.to_str().unwrap().to_owned());
        }
    }
    found
}

fn is_routing(text: &str) -> bool {
    let program = text.split("#[cfg(test)]").next();
    program.is_some_and(|program| program.contains(".route("))
}

#[tokio::test]
async fn every_route_of_the_api_is_described() {
    let api = document(&start(Default::default()).await).await;
    let described = api["paths"].as_object().unwrap();
    for path in ["/auth/register", "/auth/login", "/me", "/healthz"] {
        assert!(described.contains_key(path), "{path}");
    }
    // These serve files of the page and metrics, which do not belong to the API.
    let others = ["page/mod.rs", "metrics/serve.rs"];
    for file in with_undescribed_routes(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let hint = "route the handler with `.routes(routes!(handler))`";
        let fine = others.iter().any(|other| file.ends_with(other));
        assert!(fine, "{file} has routes that are not described: {hint}");
    }
}

#[tokio::test]
async fn described_routes_exist_and_need_the_described_token() {
    let service = start(Default::default()).await;
    let service = with_a_provider(service).await; // chapter: social-login
    let api = document(&service).await;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{id}", "7");
            let path = path.replace("{provider}", "7"); // chapter: social-login
            let answer = service.request(method, &path, &[], "").await;
            assert_ne!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            let refused = answer.headers.contains_key("www-authenticate");
            let secured = operation["security"][0]["bearer"].is_array();
            assert_eq!(refused, secured, "{path}");
        }
    }
}

#[tokio::test]
async fn described_scopes_are_those_of_the_guards() {
    let service = start(Default::default()).await;
    let user = service.user("ada@example.com").await;
    let bearer = format!("Bearer {}", user.access);
    let api = document(&service).await;
    let mut guarded = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scopes = operation["security"][0]["bearer"].as_array();
            let scopes: Vec<_> = scopes
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            // Other methods may end the session of the user.
            let is_read = method == "get";
            if scopes.is_empty() && !is_read {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let place = path.replace("{id}", "7");
            let headers = [("authorization", bearer.as_str())];
            let answer = service.request(method, &place, &headers, "").await;
            let challenge = answer.headers.get("www-authenticate");
            let challenge = challenge.map_or("", |value| value.to_str().unwrap());
            if scopes.is_empty() {
                assert!(
                    !challenge.contains("insufficient_scope"),
                    "{path}: {challenge}"
                );
            } else {
                let named = format!(
                    r#"error="insufficient_scope", scope="{}""#,
                    scopes.join(" ")
                );
                assert!(challenge.contains(&named), "{path}: {challenge}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
                guarded += 1;
            }
        }
    }
    assert!(guarded >= 8, "{guarded}");
}

#[tokio::test]
async fn bound_tokens_are_described_where_they_are_taken() {
    let service = start(Default::default()).await;
    let bound = document(&service).await;
    let off = Service::start_with(service.stop().await, |settings| {
        settings.sessions.dpop = false;
    });
    let unbound = document(&off.await).await;
    let scheme = &bound["components"]["securitySchemes"]["dpop"];
    assert_eq!(
        (&scheme["type"], &scheme["in"], &scheme["name"]),
        (&"apiKey".into(), &"header".into(), &"DPoP".into())
    );
    let described = scheme["description"].as_str().unwrap();
    assert!(described.contains("https://app.test"), "{described}");
    assert!(!unbound.to_string().contains("DPoP`"));
    let mut issuing = Vec::new();
    for (path, item) in bound["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let before = &unbound["paths"][path][method];
            let scopes = &before["security"][0]["bearer"];
            assert_eq!(&operation["security"][0]["bearer"], scopes, "{path}");
            assert_eq!(&operation["security"][1]["dpop"], scopes, "{path}");
            let parameters = operation["parameters"].as_array();
            let takes = |one: &Value| one["in"] == "header" && one["name"] == "DPoP";
            if parameters.is_some_and(|all| all.iter().any(takes)) {
                issuing.push(path.as_str());
            }
        }
    }
    let expected = [
        "/auth/login",
        "/auth/login/passkey/finish",    // chapter: passkeys
        "/auth/login/second-factor",     // chapter: second-factor
        "/auth/login/{provider}/finish", // chapter: social-login
        "/auth/refresh",
    ];
    assert_eq!(issuing, expected);
}

fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_openapi_document_is_valid() {
    let api = document(&start(Default::default()).await).await;
    let parsed = oas3::from_json(api.to_string()).unwrap();
    parsed.validate_version().unwrap();
    let mut found = Vec::new();
    references(&api, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let at = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(at).is_some(), "{reference}");
    }
    let scheme = &api["components"]["securitySchemes"]["bearer"];
    assert_eq!(
        (&scheme["scheme"], &scheme["bearerFormat"]),
        (&"bearer".into(), &"JWT".into())
    );
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path} {method}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "two operations are {id}");
            let problem = &operation["responses"]["default"]["$ref"];
            assert_eq!(problem, "#/components/responses/Problem");
            let parameters = operation["parameters"].as_array();
            let in_path = parameters.map_or(0, |all| {
                all.iter().filter(|one| one["in"] == "path").count()
            });
            assert_eq!(in_path, path.matches('{').count(), "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_is_bundled_and_needs_no_other_site() {
    let service = start(Default::default()).await;
    let page = service.fetch(Method::GET, "/docs/", &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self';")
    );
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    let files = page
        .text()
        .split(['"', '\''])
        .filter(|word| [".js", ".css"].iter().any(|end| word.ends_with(end)));
    let mut count = 0;
    for file in files {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        let answer = service.fetch(Method::GET, &path, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        count += 1;
    }
    assert!(count >= 4, "{}", page.text());
}
