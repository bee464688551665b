//! The example `key-rotation`: two processes that use one file of keys while the keys rotate.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::keys::KeySet;

use crate::copied;
use crate::server::{Server, run_to_the_end};

const NAME: &str = "key-rotation";
const JWKS: &str = "/.well-known/jwks.json";

/// A file of keys with all files beside it, which are removed when the value is dropped.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str) -> Self {
        let folder = copied::scratch(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    /// A server that uses each key for 4 seconds, and publishes it 2 seconds before.
    fn server(&self) -> Server {
        let path = self.path();
        let fast = [
            ("KEY_FILE", path.to_str().unwrap()),
            ("ROTATE_EVERY", "4"),
            ("PUBLISH_FOR", "2"),
        ];
        Server::start(NAME, &fast)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn json(server: &Server, path: &str) -> Value {
    let answer = server.get_with(path, &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn copied_examples_rotate_the_keys_of_one_file_in_two_processes() {
    let file = KeyFile::new("rotation");
    let servers = [file.server(), file.server()];
    let (mut signed, mut published) = (HashSet::new(), HashSet::new());
    let start = Instant::now();
    while signed.len() < 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "{signed:?}");
        for issuing in &servers {
            let token = json(issuing, "/token")["access_token"].clone();
            let token = token.as_str().unwrap();
            for accepting in &servers {
                let answer = accepting.get("/me", token);
                assert_eq!(answer.status, 200, "{answer:?}");
                // Whoever has the key set that is served now can verify the token as well.
                let set = accepting.get_with(JWKS, &[]);
                assert_eq!(set.header("content-type"), ["application/json"]);
                assert_eq!(set.header("cache-control"), ["public, max-age=2"]);
                let keys = KeySet::from_jwks(&set.body).unwrap();
                published.extend(keys.iter().map(|key| key.key_id().to_owned()));
                let verifier = TokenVerifier::builder()
                    .keys(keys)
                    .issuer("http://localhost")
                    .audience("development")
                    .build()
                    .unwrap();
                verifier.verify_local(token).unwrap();
            }
            let keys = json(issuing, "/keys")["keys"].clone();
            let active = keys.as_array().unwrap().iter();
            let active: Vec<_> = active.filter(|key| key["state"] == "active").collect();
            assert_eq!(active.len(), 1);
            signed.insert(active[0]["kid"].as_str().unwrap().to_owned());
        }
    }
    // One of the two added each key: there is no waiting key that the other does not know.
    assert!(published.is_superset(&signed));
    assert!(
        published.len() <= signed.len() + 1,
        "{published:?} {signed:?}"
    );
}

#[test]
fn copied_examples_keep_running_with_a_broken_key_file() {
    let file = KeyFile::new("broken");
    let server = file.server();
    let good = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), &good[..good.len() / 2]).unwrap();
    let start = Instant::now();
    while json(&server, "/keys")["problem"].is_null() {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let token = json(&server, "/token")["access_token"].clone();
    let answer = server.get("/me", token.as_str().unwrap());
    assert_eq!(answer.status, 200, "{answer:?}");

    let path = file.path();
    let variables = [("KEY_FILE", path.to_str().unwrap())];
    let (code, errors) = run_to_the_end(NAME, &variables);
    assert_eq!(code, Some(1));
    assert!(errors.contains("is not a JSON object"), "{errors}");
}
