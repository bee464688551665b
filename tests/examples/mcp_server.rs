//! `mcp-server`, copied, built and called without an MCP client. Its own tests use a real one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::NO_VARIABLES;
use crate::client::Answer;
use crate::provider::Provider;
use crate::server::{self, Server};

const NAME: &str = "mcp-server";
const RESOURCE: &str = "https://mcp.example/notes/mcp";
const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/notes/mcp";

#[test]
fn copied_examples_protect_an_mcp_endpoint() {
    let (ours, other) = (Provider::start(RESOURCE), Provider::start(RESOURCE));
    let server = start(&ours);
    until_ready(&server);

    let refused = server.get_with("/notes/mcp", &[]);
    let challenge =
        format!(r#"Bearer realm="api", scope="notes:read", resource_metadata="{METADATA}""#);
    is_challenged(&refused, &challenge);
    let answer = server.get_with("/.well-known/oauth-protected-resource/notes/mcp", &[]);
    let metadata: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(metadata["resource"], RESOURCE);
    assert_eq!(metadata["authorization_servers"], json!([ours.issuer()]));

    // The service behind the layer speaks MCP, which has nothing to GET.
    let token = ours.token().issue().unwrap();
    let answer = server.get("/notes/mcp", &token);
    assert_eq!(answer.status, 405, "{answer:?}");
    assert_eq!(answer.header("allow"), ["POST"]);

    // By default, no page may call it, which prevents DNS rebinding.
    let bearer = format!("Bearer {token}");
    let page = [
        ("Authorization", &*bearer),
        ("Origin", "https://page.example"),
    ];
    let answer = server.get_with_headers("/notes/mcp", &page);
    assert_eq!(answer.status, 403, "{answer:?}");

    let stranger = other.token().issue().unwrap();
    let challenge = format!(
        r#"Bearer realm="api", error="invalid_token", scope="notes:read", resource_metadata="{METADATA}""#
    );
    is_challenged(&server.get("/notes/mcp", &stranger), &challenge);
    assert_eq!(server.get("/mcp", &token).status, 404);
}

#[test]
fn copied_examples_refuse_tokens_for_another_mcp_server() {
    // The same authorization server, and a resource that differs by a slash.
    let provider = Provider::start("https://mcp.example/notes/mcp/");
    let server = start(&provider);
    until_ready(&server);
    let token = provider.token().issue().unwrap();
    assert_eq!(server.get("/notes/mcp", &token).status, 401);
}

#[test]
fn copied_examples_serve_mcp_again_when_their_provider_is_back() {
    let mut provider = Provider::down(RESOURCE);
    let server = start(&provider);
    let token = provider.token().issue().unwrap();
    assert_eq!(server.get_with("/healthz", &[]).status, 200);
    assert_eq!(server.get_with("/readyz", &[]).status, 503);
    assert_eq!(server.get("/notes/mcp", &token).status, 503);
    provider.listen();
    until_ready(&server);
    assert_eq!(server.get("/notes/mcp", &token).status, 405);
}

#[test]
fn copied_examples_say_how_to_try_an_mcp_server() {
    let server = Server::start(NAME, &NO_VARIABLES);
    for told in [
        "node provider.mjs",
        "curl -i -X POST http://",
        "http://127.0.0.1:3000/mcp",
    ] {
        assert!(server.output().contains(told), "{}", server.output());
    }
    let path = "/.well-known/oauth-protected-resource/mcp";
    let answer = server.get_with(path, &[]);
    assert!(answer.body.contains("http://127.0.0.1:4000"), "{answer:?}");
}

#[test]
fn copied_examples_report_every_problem_of_an_mcp_server() {
    for (variables, problems) in [
        (
            &[
                ("JWT_PROVIDER_1_AUDIENCE", "api"),
                ("JWT_PROVIDER_1_ROLES", "groups"),
                (
                    "MCP_ALLOWED_ORIGINS",
                    "https://good.example https://bad.example/",
                ),
                ("MCP_SCOPES", "notes:read"),
            ][..],
            &[
                "5 problems in the configuration",
                "JWT_PROVIDER_1 is not set",
                "JWT_PROVIDER_1_ROLES is not a variable of this crate",
                "MCP_RESOURCE is not set",
                "MCP_ALLOWED_ORIGINS: `https://bad.example/` is not an origin",
                "MCP_SCOPES is not a variable of this program",
            ][..],
        ),
        (
            &[
                ("JWT_PROVIDER_1", "https://idp.example"),
                ("JWT_PROVIDER_1_AUDIENCE", RESOURCE),
                ("MCP_RESOURCE", "http://mcp.example/mcp"),
            ],
            &["the resource identifier `http://mcp.example/mcp` is plain http"],
        ),
        (
            &[
                ("JWT_PROVIDER_1", "http://idp.example"),
                ("JWT_PROVIDER_1_AUDIENCE", RESOURCE),
                ("MCP_RESOURCE", RESOURCE),
            ],
            &["`http://idp.example` must be https"],
        ),
    ] {
        let (code, errors) = server::run_to_the_end(NAME, variables);
        assert_eq!(code, Some(1), "{errors}");
        for told in problems {
            assert!(errors.contains(told), "no {told:?} in {errors}");
        }
        assert!(!errors.contains("good.example"), "{errors}");
    }
}

fn start(provider: &Provider) -> Server {
    Server::start(
        NAME,
        &[
            ("JWT_PROVIDER_1", &provider.issuer()),
            ("JWT_PROVIDER_1_AUDIENCE", RESOURCE),
            ("JWT_PROVIDER_1_PROFILE", "rfc9068"),
            ("MCP_RESOURCE", RESOURCE),
        ],
    )
}

#[track_caller]
fn is_challenged(answer: &Answer, challenge: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), [challenge], "{answer:?}");
}

fn until_ready(server: &Server) {
    let start = Instant::now();
    while server.get_with("/readyz", &[]).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
}
