//! Copies each example out of the repository and builds it there, once per run.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The prefixes of the variables in which Cargo describes the package of this test. Some build scripts watch
/// them, such as that of `ring`. If a copy were built with them, these packages and everything that needs them
/// would be built again for the copy, and once more for the repository afterwards.
const OF_ITS_PACKAGE: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
];

/// The tests of the starter that need no server.
pub(crate) const STARTER_TESTS: [&str; 4] = ["--test", "binary", "--test", "sqlite"];

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

/// Returns the folder of all copies. It is the same for each run in this repository, so that only changed code
/// is built again.
fn outside() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    REPOSITORY.hash(&mut hasher);
    let name = format!("tower-jwt-auth-examples-{:016x}", hasher.finish());
    std::env::temp_dir().join(name)
}

/// The folder of a copy that was built.
pub(crate) fn built(name: &str) -> PathBuf {
    binary(name);
    outside().join(name)
}

/// The folder in the repository.
pub(crate) fn original(name: &str) -> PathBuf {
    Path::new(REPOSITORY).join("examples").join(name)
}

/// Copies an example to a folder of this name, outside the repository.
fn copy(name: &str, folder: &str) -> PathBuf {
    copy_changed(name, folder, |_| {})
}

/// Copies an example, and changes a draft of the copy. A file that has not changed since the last run is not
/// written again, so that Cargo does not compile it again.
pub(crate) fn copy_changed(name: &str, folder: &str, change: impl FnOnce(&Path)) -> PathBuf {
    let (draft, copy) = (
        outside().join("drafts").join(folder),
        outside().join(folder),
    );
    let _ = fs::remove_dir_all(&draft);
    copy_folder(&original(name), &draft);
    // The versions that the repository was tested with; cargo drops those that are not needed.
    fs::write(draft.join("Cargo.lock"), lock()).unwrap();
    change(&draft);
    bring_up_to_date(&copy, &draft);
    copy
}

fn lock() -> String {
    fs::read_to_string(Path::new(REPOSITORY).join("Cargo.lock")).unwrap()
}

/// Builds the copy of an example as a user does before the crate is published: one flag says where the crate
/// is, and nothing else changes.
fn build(name: &str) -> Result<PathBuf, String> {
    let copy = copy(name, name);
    let lock = lock();
    let mut cargo = if name == "starter" {
        // Built as its tests build it: they are run as well, and then build nothing again.
        let mut tests = cargo("test", &copy);
        tests.arg("--no-run").args(STARTER_TESTS);
        tests
    } else {
        cargo("build", &copy)
    };
    let output = cargo.output().unwrap();
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

/// Runs tests of a copy, and returns what they say, also if they fail.
pub(crate) fn test(copy: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = cargo("test", copy).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(said + &String::from_utf8_lossy(&output.stderr))
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("copied-examples")
}

pub(crate) fn cargo(command: &str, copy: &Path) -> Command {
    let patch = format!("patch.crates-io.tower-jwt-auth.path={REPOSITORY:?}");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OF_ITS_PACKAGE.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo.args([command, "--config", &patch]);
    for setting in optimised() {
        cargo.args(["--config", &setting]);
    }
    cargo.arg("--target-dir").arg(target());
    cargo.env_remove("CARGO_BUILD_TARGET");
    // Dependencies that the repository has already compiled in the same way are not compiled again, because
    // both use one build folder (Cargo 1.91 or later). Only the programs are the copy's own.
    if std::env::var_os("CARGO_BUILD_BUILD_DIR").is_none()
        && let Some(shared) = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()
    {
        cargo.env("CARGO_BUILD_BUILD_DIR", shared);
    }
    cargo.current_dir(copy).stdin(Stdio::null());
    cargo
}

/// Returns the dependencies that the repository optimizes in its profile `dev`, as settings for Cargo. With the
/// same settings, a copy can use what is already compiled.
fn optimised() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(REPOSITORY).join("Cargo.toml")).unwrap();
    let (_, profile) = manifest.split_once("[profile.dev.package]\n").unwrap();
    let packages = profile.lines().take_while(|line| !line.starts_with('['));
    let settings = packages.filter_map(|line| {
        let (name, how) = line.strip_suffix(" }")?.split_once(" = { ")?;
        Some(format!("profile.dev.package.{name}.{how}"))
    });
    settings.collect()
}

/// Makes a folder equal to another one, without writing files that are equal already.
fn bring_up_to_date(folder: &Path, wanted: &Path) {
    fs::create_dir_all(folder).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (is_folder, other) = (entry.path().is_dir(), wanted.join(entry.file_name()));
        if is_folder && !other.is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else if !is_folder && !other.is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for entry in fs::read_dir(wanted).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), folder.join(entry.file_name()));
        if from.is_dir() {
            bring_up_to_date(&to, &from);
        } else if fs::read(&to).ok() != Some(fs::read(&from).unwrap()) {
            fs::copy(&from, &to).unwrap();
        }
    }
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

/// Returns the name and the version of each package in a `Cargo.lock`.
fn versions(lock: &str) -> HashSet<(String, String)> {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let lines: Vec<&str> = lock.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let name = value(pair[0], "name = ")?;
        Some((name, value(pair[1], "version = ")?))
    });
    pairs.collect()
}
