//! This server with a real MCP client, the official SDK for TypeScript, and with npm `oidc-provider` as the
//! authorization server.
//!
//! The tests need Node.js and npm. The first run installs the packages into the target folder. Without them
//! the tests print a note and pass; with `REQUIRE_SERVICES=1` they fail.

#![allow(clippy::unwrap_used)]

mod peers;
mod processes;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use peers::World;

const CLIENT_SAYS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[test]
fn a_client_finds_the_login_by_itself_and_calls_a_tool() {
    for revision in peers::REVISIONS {
        if let Some(world) = World::with_revision(revision) {
            finds_the_login_and_calls_a_tool(world);
        }
    }
}

fn finds_the_login_and_calls_a_tool(mut world: World) {
    let connected = world.connect("alice");
    assert_eq!(connected["server"], "mcp-server");
    // There was one login, for this resource and the scope of the 401, with PKCE.
    let asked = connected["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 1, "{connected}");
    assert_eq!(asked[0]["resource"], world.resource());
    assert_eq!(asked[0]["scope"], "notes:read");
    assert_eq!(asked[0]["code_challenge_method"], "S256");

    let tools = world.client.ask(&json!({"op": "tools"}));
    assert_eq!(tools, json!(["add_note", "list_notes", "who_am_i"]));
    let who = world.call("who_am_i", &json!({}));
    assert_eq!(who["text"], "alice, with the scopes: notes:read");
    let notes = world.call("list_notes", &json!({}));
    assert_eq!(notes["is_error"], false, "{notes}");
    assert_eq!(notes["asked"].as_array().unwrap().len(), 1, "{notes}");
}

#[test]
fn a_missing_tool_scope_makes_the_client_request_it() {
    for revision in peers::REVISIONS {
        if let Some(world) = World::with_revision(revision) {
            asks_for_the_scope_that_is_missing(world);
        }
    }
}

fn asks_for_the_scope_that_is_missing(mut world: World) {
    world.connect("alice");
    let token = world.token();
    let add = json!({"name": "add_note", "arguments": {"text": "milk"}});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": add});
    let refused = world.post(Some(&token), &[], &request.to_string());
    assert_eq!(refused["status"], 403, "{refused}");
    assert_eq!(
        refused["headers"]["www-authenticate"],
        format!(
            "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"notes:read notes:write\", \
             resource_metadata=\"{}\"",
            world.metadata()
        )
    );
    assert_eq!(
        refused["headers"]["content-type"],
        "application/problem+json"
    );

    // The SDK requests what the 403 names, and calls the tool again.
    let added = world.call("add_note", &json!({"text": "milk"}));
    assert_eq!(added["text"], "Added. There are 1 notes.", "{added}");
    let asked = added["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 2, "{added}");
    assert_eq!(asked[1]["scope"], "notes:read notes:write");
    assert_eq!(asked[1]["resource"], world.resource());
    assert_eq!(world.call("list_notes", &json!({}))["text"], "milk");

    // Another user has other notes.
    world.connect("bob");
    let notes = world.call("list_notes", &json!({}));
    assert_eq!(notes["text"], "There are no notes yet.");
}

/// Requests that a check in front of the MCP server would have to parse exactly as the MCP server does.
#[test]
fn no_form_of_a_request_gets_around_the_scope_of_a_tool() {
    let Some(mut world) = World::start() else {
        return;
    };
    world.connect("alice");
    let token = world.token();
    let add = r#""name":"add_note","arguments":{"text":"milk"}"#;
    let call = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#)
    };
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
    let plain = call(add);
    let new = call(&format!("{add},{meta}"));
    let named = |name: &'static str| {
        vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
        ]
    };
    for (headers, body) in [
        (vec![], plain.clone()),
        (vec![("mcp-protocol-version", "2025-11-25")], plain.clone()),
        (named("add_note"), new.clone()),
        (
            vec![],
            call(r#""name":"add\u005fnote","arguments":{"text":"milk"}"#),
        ),
        (vec![], format!("\n\t {plain} \n")),
    ] {
        let refused = world.post(Some(&token), &headers, &body);
        assert_eq!(refused["status"], 403, "{body}: {refused}");
        let challenge = &refused["headers"]["www-authenticate"];
        assert!(challenge.is_string(), "{body}: {refused}");
    }
    for (headers, body) in [
        (named("who_am_i"), new),
        (vec![], call(&format!(r#""name":"who_am_i",{add}"#))),
        (vec![], call(&format!(r#"{add},"name":"who_am_i""#))),
        (vec![], format!("[{plain}]")),
        (vec![], format!("[{CLIENT_SAYS},{plain}]")),
        (vec![], format!("{CLIENT_SAYS}{plain}")),
        (vec![], plain.replace(r#""id":1,"#, "")),
        (vec![], plain.replace("tools/call", "tools/Call")),
    ] {
        let answer = world.post(Some(&token), &headers, &body);
        let said = answer["body"].as_str().unwrap();
        assert!(!said.contains("Added"), "{body}: {answer}");
    }
    let notes = world.call("list_notes", &json!({}));
    assert_eq!(notes["text"], "There are no notes yet.");
}

#[test]
fn a_token_for_another_resource_is_refused() {
    let Some(mut world) = World::start() else {
        return;
    };
    world.connect("alice");
    let other = world.token_for(peers::OTHER_RESOURCE);
    let refused = world.post(Some(&other), &[], CLIENT_SAYS);
    assert_eq!(refused["status"], 401, "{refused}");
    let challenge = refused["headers"]["www-authenticate"].as_str().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains("scope=\"notes:read\""), "{challenge}");
    assert!(challenge.contains(&world.metadata()), "{challenge}");

    // The same request for the same user passes with a token for this one.
    let resource = world.resource();
    let token = world.token_for(&resource);
    let answer = world.post(Some(&token), &[], CLIENT_SAYS);
    assert_eq!(answer["status"], 200, "{answer}");
}

#[test]
fn a_401_says_where_to_get_a_token() {
    let Some(mut world) = World::start() else {
        return;
    };
    let refused = world.post(None, &[], CLIENT_SAYS);
    assert_eq!(refused["status"], 401, "{refused}");
    let metadata = world.metadata();
    assert_eq!(
        refused["headers"]["www-authenticate"],
        format!(r#"Bearer realm="api", scope="notes:read", resource_metadata="{metadata}""#)
    );
    let answer = world.ask(&metadata, "GET", &json!({"origin": "https://page.example"}));
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["headers"]["access-control-allow-origin"], "*");
    let document: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": world.resource(), "authorization_servers": [world.issuer()],
            "bearer_methods_supported": ["header"], "resource_name": "Notes",
            "scopes_supported": ["notes:read", "notes:write"],
        })
    );
}

#[test]
fn pages_and_names_that_are_not_allowed_are_refused() {
    let Some(mut world) = World::start() else {
        return;
    };
    world.connect("alice");
    let token = world.token();
    let evil = world.post(
        Some(&token),
        &[("origin", "https://evil.example")],
        CLIENT_SAYS,
    );
    assert_eq!(evil["status"], 403, "{evil}");
    let ours = world.post(Some(&token), &[("origin", peers::PAGE)], CLIENT_SAYS);
    assert_eq!(ours["status"], 200, "{ours}");
    let port = world.post(
        Some(&token),
        &[("origin", "https://page.example:8443")],
        CLIENT_SAYS,
    );
    assert_eq!(port["status"], 403, "{port}");
    let headers = &ours["headers"];
    assert_eq!(headers["access-control-allow-origin"], peers::PAGE);
    assert_eq!(headers["access-control-expose-headers"], "www-authenticate");
    // A name that an attacker has pointed to this address.
    let rebound = world.post(Some(&token), &[("host", "evil.example")], CLIENT_SAYS);
    assert_eq!(rebound["status"], 403, "{rebound}");

    // A page can read the challenge of a refusal, too, and sends a preflight request before it sends a token.
    let refused = world.post(None, &[("origin", peers::PAGE)], CLIENT_SAYS);
    assert_eq!(refused["status"], 401, "{refused}");
    let headers = &refused["headers"];
    assert_eq!(headers["access-control-expose-headers"], "www-authenticate");
    let asks = json!({
        "origin": peers::PAGE, "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version",
    });
    let resource = world.resource();
    let preflight = world.ask(&resource, "OPTIONS", &asks);
    assert_eq!(preflight["status"], 200, "{preflight}");
    assert_eq!(
        preflight["headers"]["access-control-allow-origin"],
        peers::PAGE
    );
}

#[test]
fn tokens_of_new_keys_are_accepted_after_a_rotation() {
    let Some(mut world) = World::start() else {
        return;
    };
    let connected = world.connect("alice");
    assert_eq!(connected["asked"].as_array().unwrap().len(), 1);
    let (old, resource) = (world.token(), world.resource());
    world.rotate_keys();
    let new = world.token_for(&resource);
    assert_ne!(key_of(&old), key_of(&new));
    // For unknown keys, the server fetches at most once in 30 seconds, so that nobody can make it flood the
    // authorization server. The limit is generous, for slow machines.
    let start = Instant::now();
    loop {
        let answer = world.post(Some(&new), &[], CLIENT_SAYS);
        if answer["status"] == 200 {
            break;
        }
        assert_eq!(answer["status"], 401, "{answer}");
        assert!(start.elapsed() < Duration::from_secs(180), "{answer}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let client = json!({"op": "reconnect", "server": resource});
    world.client.ask(&client);
    let notes = world.call("list_notes", &json!({}));
    assert_eq!(notes["is_error"], false, "{notes}");
    // The old key is still published.
    let answer = world.post(Some(&old), &[], CLIENT_SAYS);
    assert_eq!(answer["status"], 200, "{answer}");
}

/// The header of a token, which names its key.
fn key_of(token: &str) -> &str {
    token.split('.').next().unwrap()
}
