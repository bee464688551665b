//! Files with secrets and keys: who may access them, and what the error says.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "its processes are told by the environment what to do, and say what they saw"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, ConfigError, KeyRing, SigningKey};

use crate::key_ring_support::{Folder, file_of, set_mode, write};

const SECRET: &str = "r7Kq2VnXw9pLzT4mYc8JdH5bGs1NfQe3AuRiZoWk6tM0";
/// Passes the file name to the test in the child process.
const CHILD: &str = "TOWER_JWT_AUTH_TEST_SECRET_FILE";

fn config(variable: &str, path: &Path) -> Result<AuthConfig, ConfigError> {
    let mut vars = vec![
        ("JWT_ISSUER", "https://me.example"),
        ("JWT_AUDIENCE", "api"),
        (variable, path.to_str().unwrap()),
    ];
    if variable == "JWT_PREVIOUS_KEYS_FILE" {
        vars.push(("JWT_SECRET", "Zq8Ws3Ed5Rf7Tg9Yh1Uj2Ik4Ol6Pa0Sd8Fg3Hj5Kl7Qw"));
    }
    AuthConfig::from_vars(vars)
}

fn problem(variable: &str, path: &Path) -> String {
    config(variable, path).unwrap_err().to_string()
}

#[test]
fn all_secret_files_follow_one_rule() {
    let folder = Folder::new();
    let ring = file_of(1);
    let key: serde_json::Value = serde_json::from_str(&ring).unwrap();
    let private = key["keys"][0].to_string();
    for (variable, content) in [
        ("JWT_SECRET_FILE", SECRET),
        ("JWT_PREVIOUS_KEYS_FILE", SECRET),
        ("JWT_PRIVATE_KEY_FILE", &private),
        ("JWT_KEY_RING_FILE", &ring),
    ] {
        write(&folder.file(), content);
        for (mode, good) in [
            (0o600, true),
            (0o400, true),
            (0o440, true), // Kubernetes with `defaultMode: 0400` and `fsGroup`
            (0o640, true),
            (0o444, false), // a Docker secret, by default
            (0o644, false), // Kubernetes, by default
            (0o604, false),
            (0o602, false),
            (0o660, false),
            (0o777, false),
        ] {
            set_mode(&folder.file(), mode);
            let read = config(variable, &folder.file());
            assert_eq!(read.is_ok(), good, "{variable} {mode:o}: {read:?}");
            if let Err(error) = read {
                let text = error.to_string();
                assert!(text.starts_with(&format!("{variable}: the ")), "{text}");
                assert!(text.contains(&format!("has the mode 0{mode:o}")), "{text}");
                assert!(text.ends_with("`chmod 600` it"), "{text}");
            }
        }
        set_mode(&folder.file(), 0o600);
    }
}

#[test]
fn a_file_of_public_keys_may_be_read_by_anybody() {
    let folder = Folder::new();
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let set = KeySet::from(key.verifying_key()).to_jwks().to_string();
    write(&folder.file(), set);
    let public = "JWT_PUBLIC_KEY_FILE";
    for mode in [0o400, 0o444, 0o644] {
        set_mode(&folder.file(), mode);
        assert!(config(public, &folder.file()).is_ok(), "{mode:o}");
    }
    for mode in [0o646, 0o664, 0o666] {
        set_mode(&folder.file(), mode);
        let text = problem(public, &folder.file());
        assert!(text.contains("can replace the keys in it"), "{text}");
        assert!(text.ends_with("`chmod 644` it"), "{text}");
    }
}

/// The links that Kubernetes makes have the mode 0777. The mode of the file counts.
#[test]
fn a_symbolic_link_is_checked_by_its_target() {
    let folder = Folder::new();
    let version = folder.0.join("..2026_01_01");
    fs::create_dir(&version).unwrap();
    write(&version.join("jwt"), SECRET);
    symlink("..2026_01_01", folder.0.join("..data")).unwrap();
    let link = folder.0.join("jwt");
    symlink("..data/jwt", &link).unwrap();
    assert!(config("JWT_SECRET_FILE", &link).is_ok());
    set_mode(&version.join("jwt"), 0o644);
    assert!(problem("JWT_SECRET_FILE", &link).contains("has the mode 0644"));
}

#[test]
fn the_error_about_a_read_only_mount_points_to_the_mount() {
    let folder = Folder::new();
    write(&folder.file(), SECRET);
    set_mode(&folder.file(), 0o444);
    let script = r#"
        mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77
        shift
        exec "$@"
    "#;
    let mut mounted = Command::new("unshare");
    mounted
        .args(["-rm", "sh", "-c", script, "sh"])
        .arg(&folder.0);
    mounted.arg(std::env::current_exe().unwrap());
    let Some(text) = told_by_child(&mut mounted, &folder) else {
        return;
    };
    for said in [
        "has the mode 0444",
        "read-only mount",
        "`defaultMode: 0400`",
        "`fsGroup`",
        "Docker secret by its `mode: 0400` and `uid`",
        "`LoadCredential=`",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("`chmod 600` it"), "{text}");
}

#[test]
fn the_error_about_a_foreign_file_points_to_its_owner() {
    let folder = Folder::new();
    write(&folder.file(), SECRET);
    for (mode, cures) in [
        (
            0o444,
            ["only that user can `chmod 600` it", "`defaultMode: 0400`"],
        ),
        (0o400, ["cannot be read by the user 65534", "`fsGroup`"]),
    ] {
        set_mode(&folder.file(), mode);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.uid(65534).gid(65534);
        let Some(text) = told_by_child(&mut child, &folder) else {
            return;
        };
        for cure in cures {
            assert!(text.contains(cure), "{mode:o}: {text}");
        }
    }
}

/// The error about the file, from another process. If this machine does not allow such a process, it prints
/// that and returns `None`.
fn told_by_child(child: &mut Command, folder: &Folder) -> Option<String> {
    let child = child
        .args(["--exact", "secret_files::child", "--nocapture"])
        .env(CHILD, folder.file());
    let output = child.output();
    let text = match &output {
        Ok(output) => String::from_utf8_lossy(&output.stdout),
        Err(error) => error.to_string().into(),
    };
    let told = text.lines().find_map(|line| line.split_once("told: "));
    if told.is_none() {
        let required = std::env::var_os("REQUIRE_SERVICES").is_some_and(|value| value == "1");
        assert!(!required, "no process with other rights: {output:?}");
        eprintln!("*** NOT TESTED: a process with other rights is not allowed here ***");
    }
    told.map(|(_, told)| told.to_owned())
}

/// Not a test of its own: it runs in the child processes of the other tests.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        let path = Path::new(&path);
        let ring = KeyRing::from_file(path).unwrap_err().to_string();
        let secret = problem("JWT_SECRET_FILE", path);
        let (_, told) = secret.split_once(": the file ").unwrap();
        assert_eq!(ring, format!("the key file {told}"), "one rule, one text");
        println!("\ntold: {secret}");
    }
}
