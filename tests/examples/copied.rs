//! Copies each example out of the repository and builds it there, once per run.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Every folder in `examples/` that is a package.
pub(crate) fn folders() -> Vec<String> {
    let examples = fs::read_dir(Path::new(REPOSITORY).join("examples")).unwrap();
    let folders = examples.map(|entry| entry.unwrap());
    let packages = folders.filter(|folder| folder.path().join("Cargo.toml").is_file());
    packages
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect()
}

/// The program of an example that was copied and built.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let built = {
        let mut all = BUILT.lock().unwrap();
        let entry = all.entry(name.to_owned());
        entry.or_insert_with(|| build(name)).clone()
    };
    built.unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

/// Another program of an example that was copied and built.
pub(crate) fn other_binary(name: &str, program: &str) -> PathBuf {
    let program = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    binary(name).with_file_name(program)
}

/// A path for a test file outside the repository.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = outside().join("scratch");
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{}-{name}", std::process::id()))
}

/// The folder is the same for each run in this repository, so that only changed code is built again.
fn outside() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    REPOSITORY.hash(&mut hasher);
    let name = format!("tower-jwt-auth-examples-{:016x}", hasher.finish());
    std::env::temp_dir().join(name)
}

/// Copies an example to a folder of this name, outside the repository.
pub(crate) fn copy(name: &str, folder: &str) -> PathBuf {
    let copy = outside().join(folder);
    let _ = fs::remove_dir_all(&copy);
    copy_folder(&Path::new(REPOSITORY).join("examples").join(name), &copy);
    // The versions that the repository was tested with. Cargo removes those that are not needed.
    fs::write(copy.join("Cargo.lock"), lock()).unwrap();
    copy
}

fn lock() -> String {
    fs::read_to_string(Path::new(REPOSITORY).join("Cargo.lock")).unwrap()
}

/// What a user does before the crate is published: one flag says where the crate is, and nothing else
/// changes.
fn build(name: &str) -> Result<PathBuf, String> {
    let copy = copy(name, name);
    let lock = lock();
    let output = cargo("build", &copy).output().unwrap();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the copy does not build:\n{errors}"));
    }

    let known = versions(&lock);
    let used = fs::read_to_string(copy.join("Cargo.lock")).unwrap();
    let newer: Vec<_> = versions(&used).difference(&known).cloned().collect();
    if !newer.is_empty() {
        return Err(format!("other versions were resolved: {newer:?}"));
    }
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(target().join("debug").join(program))
}

/// Runs tests of a copy, and returns their output if they fail.
pub(crate) fn test(name: &str, arguments: &[&str]) -> Result<(), String> {
    binary(name);
    test_copy(&outside().join(name), arguments)
}

/// Does the same for a copy in another folder.
pub(crate) fn test_copy(copy: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = cargo("test", copy);
    let output = command.args(arguments).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned())
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("copied-examples")
}

pub(crate) fn cargo(command: &str, copy: &Path) -> Command {
    let patch = format!("patch.crates-io.tower-jwt-auth.path={REPOSITORY:?}");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    cargo.args([command, "--config", &patch, "--target-dir"]);
    cargo.arg(target()).env_remove("CARGO_BUILD_TARGET");
    // Whatever the repository has already compiled in the same way is not compiled again: the programs belong
    // to the copy, but their dependencies are those of this test (Cargo 1.91 or later).
    if std::env::var_os("CARGO_BUILD_BUILD_DIR").is_none()
        && let Some(shared) = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()
    {
        cargo.env("CARGO_BUILD_BUILD_DIR", shared);
    }
    cargo.current_dir(copy).stdin(Stdio::null());
    cargo
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && name != "node_modules" {
                copy_folder(&path, &to.join(name));
            }
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Name and version of each package in a `Cargo.lock`.
fn versions(lock: &str) -> HashSet<(String, String)> {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let lines: Vec<&str> = lock.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let name = value(pair[0], "name = ")?;
        Some((name, value(pair[1], "version = ")?))
    });
    pairs.collect()
}
