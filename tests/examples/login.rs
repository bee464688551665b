//! The program `login` of `quickstart`, copied and built: from registration to logout.

use serde_json::{Value, json};

use crate::NO_VARIABLES;
use crate::client::Answer;
use crate::server::Server;

/// The access token and the refresh token of a pair.
fn pair(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let pair: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &str| pair[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

#[test]
fn copied_examples_log_in_refresh_and_log_out() {
    let server = Server::start_other("quickstart", "login", &NO_VARIABLES);
    assert!(server.output().contains("/register"), "first steps");
    let ada = json!({ "name": "ada", "password": "correct horse battery" });
    assert_eq!(server.post("/register", None, &ada).status, 201);
    assert_eq!(server.post("/register", None, &ada).status, 409);
    let short = json!({ "name": "bob", "password": "hunter2" });
    assert_eq!(server.post("/register", None, &short).status, 422);
    for (name, password) in [
        ("ada", "wrong horse battery"),
        ("eve", "correct horse battery"),
    ] {
        let wrong = json!({ "name": name, "password": password });
        let refused = server.post("/login", None, &wrong);
        assert_eq!(refused.status, 401);
        assert!(refused.body.contains("wrong name or password"));
    }

    let (access, refresh) = pair(&server.post("/login", None, &ada));
    let me = server.get("/me", &access);
    assert_eq!((me.status, me.body.trim()), (200, "ada"));
    let refresh = json!({ "refresh_token": refresh });
    let (access, next) = pair(&server.post("/refresh", None, &refresh));
    assert_eq!(server.get("/me", &access).status, 200);

    assert_eq!(
        server.post("/logout", Some(&access), &json!({})).status,
        204
    );
    assert_eq!(server.get("/me", &access).status, 401);
    let next = json!({ "refresh_token": next });
    let over = server.post("/refresh", None, &next);
    assert_eq!(over.status, 400, "{over:?}");
    assert!(over.body.contains("invalid_grant"), "{over:?}");
    assert_eq!(server.get("/me", "garbage").status, 401);
}
