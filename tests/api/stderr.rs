//! What a developer sees on standard error if no subscriber listens to events.

use std::process::Command;

use tower_jwt_auth::JwtAuthLayer;

use crate::support::{bearer, request, send, verifier};

/// On its own, it checks that a refusal is the same each time. The next test runs it in a child process.
#[tokio::test]
async fn a_refusal_is_the_same_each_time() {
    let layer = JwtAuthLayer::new(verifier());
    for _ in 0..3 {
        assert_eq!(send(&layer, request(&[])).await.status, 401);
        let scheme = [("authorization", "Basic s3cr3t")];
        assert_eq!(send(&layer, request(&scheme)).await.status, 401);
        assert_eq!(send(&layer, bearer("s3cr3t.s3cr3t")).await.status, 401);
    }
}

#[test]
fn each_reason_is_printed_once_in_debug_builds_without_a_log() {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args([
            "stderr::a_refusal_is_the_same_each_time",
            "--exact",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{told}");
    let expected = usize::from(cfg!(debug_assertions));
    for line in [
        "refused with 401 (missing_token): the request carries no bearer token\n",
        "refused with 401 (missing_token): the Authorization header does not begin with `Bearer` and a space (or with `DPoP`, where the layer checks proofs)\n",
        "refused with 401 (malformed_token): the token does not have exactly three parts\n",
    ] {
        assert_eq!(told.matches(line).count(), expected, "{told}");
    }
    assert!(!told.contains("s3cr3t"), "{told}");
}
