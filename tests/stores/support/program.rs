//! Programs of this machine, run as a user other than root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Directory;

/// Prints clearly that something cannot be tested here. If services are required, this is a failure.
pub fn missing(what: &str) {
    let message = format!("no {what} on this machine");
    assert!(
        std::env::var_os("REQUIRE_SERVICES").is_none_or(|value| value != "1"),
        "{message}"
    );
    // Not with `eprintln!`, which is only shown for tests that fail.
    let shown = format!("\n*** NOT TESTED: {message} ***\n\n");
    std::io::stderr().write_all(shown.as_bytes()).unwrap();
}

/// The ids of a user and a group.
pub type User = (u32, u32);

/// Another user to run a server as, if this is root: PostgreSQL and PgBouncer refuse to run as root. The
/// directory belongs to that user from then on.
pub fn unprivileged(directory: &Directory) -> Option<User> {
    if fs::metadata(directory.path()).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let ids_of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let ids: Option<User> = ids_of("postgres").or_else(|| ids_of("nobody"));
    let (uid, gid) = ids.expect("root has a user named postgres or nobody to run servers as");
    chown(directory.path(), Some(uid), Some(gid)).unwrap();
    Some((uid, gid))
}

/// A program that runs in this directory, as this user.
pub fn command(program: &Path, directory: &Directory, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.current_dir(directory.path());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
