//! `resource-server`, copied, built and called with providers of the test.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Answer;
use crate::provider::Provider;
use crate::server::{self, Server};
use crate::{NO_VARIABLES, is_challenged};

const NAME: &str = "resource-server";

#[test]
fn copied_examples_accept_tokens_of_several_providers() {
    let (staff, shop) = (Provider::start("api"), Provider::start("web"));
    let server = Server::start(
        NAME,
        &[
            ("JWT_PROVIDER_1", &staff.issuer()),
            ("JWT_PROVIDER_1_AUDIENCE", "other api"),
            ("JWT_PROVIDER_1_PROFILE", "rfc9068"),
            ("JWT_PROVIDER_1_ROLE_CLAIM", "realm_access.roles"),
            ("JWT_PROVIDER_2", &shop.issuer()),
            ("JWT_PROVIDER_2_AUDIENCE", "demo"),
            ("JWT_PROVIDER_2_AUDIENCE_CLAIM", "client_id"),
            ("JWT_PROVIDER_2_SCOPE_CLAIM", "permissions"),
        ],
    );
    assert!(
        !server.output().contains("JWT_PROVIDER_"),
        "{}",
        server.output()
    );
    let ready = until_ready(&server);
    assert_eq!(ready["issuers"].as_array().unwrap().len(), 2);
    assert_eq!(server.get_with("/", &[]).status, 200);

    let plain = staff.token().issue().unwrap();
    let answer = server.get("/me", &plain);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), ["application/json"]);
    let claims: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(claims["iss"], staff.issuer());
    let refused = server.get("/reports", &plain);
    let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="reports:read""#;
    is_challenged(&refused, 403, challenge);
    is_challenged(&server.get("/audit", &plain), 403, r#"Bearer realm="api""#);

    let with_scope = staff.token().scope("reports:read").issue().unwrap();
    let answer = server.get("/reports", &with_scope);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("alice"), "{}", answer.body);
    let roles = json!({"roles": ["auditor"]});
    let with_role = staff.token().claim("realm_access", roles).issue().unwrap();
    assert_eq!(server.get("/audit", &with_role).status, 200);

    // The other provider's tokens are for `web`, which is not this API: `aud` counts if it is present.
    let stranger = shop.token().issue().unwrap();
    is_refused(&server.get("/me", &stranger));
    for garbage in ["garbage", "a.b.c"] {
        is_refused(&server.get("/me", garbage));
    }
    is_challenged(&server.get_with("/me", &[]), 401, r#"Bearer realm="api""#);
}

#[test]
fn copied_examples_start_while_their_provider_is_down() {
    let mut provider = Provider::down("api");
    let issuer = provider.issuer();
    let variables = [
        ("JWT_PROVIDER_1", &*issuer),
        ("JWT_PROVIDER_1_AUDIENCE", "api"),
    ];
    let server = Server::start(NAME, &variables);
    let token = provider.token().issue().unwrap();
    assert_eq!(server.get_with("/healthz", &[]).status, 200);
    assert_eq!(server.get_with("/readyz", &[]).status, 503);
    let answer = server.get("/me", &token);
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds: u64 = answer.header("retry-after")[0].parse().unwrap();
    assert!((1..=300).contains(&seconds), "{seconds}");

    provider.listen();
    until_ready(&server);
    assert_eq!(server.get("/me", &token).status, 200);
}

#[test]
fn copied_examples_say_how_to_try_them_with_their_provider() {
    let server = Server::start(NAME, &NO_VARIABLES);
    for told in [
        "node provider.mjs",
        "/token -u demo:demo-secret",
        "/reports -H \"Authorization: Bearer $TOKEN\"",
    ] {
        assert!(server.output().contains(told), "{}", server.output());
    }
    let stranger = Provider::down("http://127.0.0.1:3000");
    is_refused(&server.get("/me", &stranger.token().issue().unwrap()));
}

#[test]
fn copied_examples_report_every_problem_of_their_providers() {
    let (code, errors) = server::run_to_the_end(
        NAME,
        &[
            ("JWT_PROVIDER_1", "http://idp.example"),
            ("JWT_PROVIDER_1_AUDIENCE", "api"),
            ("JWT_PROVIDER_2_PROFILE", "own"),
            ("JWT_PROVIDER_2_PRIVATE_NETWORK", "maybe"),
            ("JWT_PROVIDER_2_ROLES", "groups"),
            ("JWT_PROVIDER_3", "https://10.0.0.1/"),
            ("JWT_PROVIDER_3_AUDIENCE", "api"),
            ("JWT_PROVIDER_4", "https://idp.example"),
            ("JWT_PROVIDER_4_AUDIENCE", "api"),
            ("JWT_PROVIDER_4_PROFILE", "own"),
        ],
    );
    assert_eq!(code, Some(1), "{errors}");
    for told in [
        "JWT_PROVIDER_1: `http://idp.example` must be https",
        "JWT_PROVIDER_2 is not set",
        "JWT_PROVIDER_2_AUDIENCE is not set",
        "JWT_PROVIDER_2_PRIVATE_NETWORK must be `yes` or `no`",
        "JWT_PROVIDER_2_ROLES is not a variable of this crate",
        "JWT_PROVIDER_4: there is no profile `own`: write `compatible`, `rfc9068` or `id-token`",
        "JWT_PROVIDER_3: `https://10.0.0.1/` leads to a private address",
    ] {
        assert!(errors.contains(told), "no {told:?} in {errors}");
    }
}

#[track_caller]
fn is_refused(answer: &Answer) {
    is_challenged(answer, 401, r#"Bearer realm="api", error="invalid_token""#);
}

/// The response of `/readyz` when the server and all providers are ready.
fn until_ready(server: &Server) -> Value {
    let start = Instant::now();
    loop {
        let answer = server.get_with("/readyz", &[]);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status == 200, body["ready"] == true, "{body}");
        let issuers = body["issuers"].as_array().unwrap();
        if issuers.iter().all(|issuer| issuer["state"] == "fresh") {
            return body;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
