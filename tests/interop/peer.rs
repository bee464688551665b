//! A peer library in its own process, and the private environment that it runs in.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");

/// The provider of the example, and the files that it needs.
#[cfg(feature = "jwks")]
const PROVIDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/resource-server/provider"
);

/// Responds to each line of JSON with a line of JSON, and ends when it is dropped.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

// === impl Peer ===

impl Peer {
    /// `PyJWT` or `jwcrypto`.
    pub(crate) fn python(library: &str) -> Option<Self> {
        let folder = found(library, python_environment())?;
        let mut command = Command::new(folder.join("venv/bin/python"));
        command.arg(format!("{HERE}/peers.py")).arg(library);
        Some(Self::start(command))
    }

    /// npm `jose`.
    pub(crate) fn node() -> Option<Self> {
        let folder = found("jose", node_environment())?;
        let mut command = Command::new("node");
        command.arg(format!("{HERE}/peers.mjs")).arg(folder);
        Some(Self::start(command))
    }

    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Returns the response of the peer, or the error that its library raised.
    pub(crate) fn try_ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.input, "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the peer ended, or answered {line:?} to {request}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Returns the response of the peer to a request that must succeed.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.try_ask(request)
            .unwrap_or_else(|error| panic!("{error}\nin answer to {request}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the environment. If there is none, the test fails if services are required, and otherwise prints a
/// clear note.
fn found(peer: &str, environment: &'static Result<PathBuf, String>) -> Option<&'static Path> {
    match environment {
        Ok(folder) => Some(folder),
        Err(problem) => {
            let text = format!("interop: {peer} was NOT tested: {problem}");
            assert!(
                std::env::var_os("REQUIRE_SERVICES").is_none_or(|value| value != "1"),
                "{text}"
            );
            // Not with `eprintln`, because the test runner hides that output of tests that pass.
            let _ = writeln!(std::io::stderr(), "\n*** {text}\n");
            None
        }
    }
}

/// The folder with the npm peers.
#[cfg(feature = "axum")]
pub(crate) fn node_folder() -> Option<&'static Path> {
    found("npm", node_environment())
}

fn python_environment() -> &'static Result<PathBuf, String> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    MADE.get_or_init(|| {
        environment("python", "requirements.txt", |folder, wanted| {
            run(Command::new("python3")
                .args(["-m", "venv"])
                .arg(folder.join("venv")))?;
            run(Command::new(folder.join("venv/bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(wanted))
        })
    })
}

fn node_environment() -> &'static Result<PathBuf, String> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    MADE.get_or_init(|| {
        run(Command::new("node").arg("--version"))?;
        environment("node", "package.json", |folder, wanted| {
            fs::copy(wanted, folder.join("package.json")).map_err(|error| error.to_string())?;
            run(Command::new("npm").current_dir(folder).args([
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-package-lock",
            ]))
        })
    })
}

/// A folder with `provider.mjs`, `opaque.mjs` and the npm package `oidc-provider` that they need.
#[cfg(feature = "jwks")]
pub(crate) fn provider_environment() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        run(Command::new("node").arg("--version"))?;
        let lock = format!("{PROVIDER}/package-lock.json");
        let copy = |from: &str, name: &str, folder: &Path| {
            // It is moved into place as a whole, because another run may read it at the same time.
            let fresh = folder.join(format!("{name}.{}", std::process::id()));
            fs::copy(format!("{from}/{name}"), &fresh)
                .and_then(|_| fs::rename(&fresh, folder.join(name)))
                .map_err(|error| format!("{name}: {error}"))
        };
        let folder = environment("provider", &lock, |folder, _| {
            copy(PROVIDER, "package.json", folder)?;
            copy(PROVIDER, "package-lock.json", folder)?;
            run(Command::new("npm").current_dir(folder).args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ]))
        })?;
        copy(PROVIDER, "provider.mjs", &folder)?;
        copy(HERE, "opaque.mjs", &folder)?;
        Ok(folder)
    });
    found("oidc-provider", made)
}

/// Creates the folder `name` in this repository's target folder, unless it exists and is up to date.
///
/// It is created under another name and then moved into place as a whole, so that an interrupted or
/// concurrent run leaves nothing half done.
fn environment(
    name: &str,
    wanted: &str,
    make: impl FnOnce(&Path, &Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let (folder, wanted) = (all.join(name), Path::new(HERE).join(wanted));
    let wish = fs::read_to_string(&wanted).unwrap();
    let is_ready = || fs::read_to_string(folder.join("made-from")).is_ok_and(|made| made == wish);
    if is_ready() {
        return Ok(folder);
    }
    let fresh = all.join(format!("{name}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).unwrap();
    let made = make(&fresh, &wanted);
    if made.is_ok() && !is_ready() {
        fs::write(fresh.join("made-from"), &wish).unwrap();
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::rename(&fresh, &folder);
    }
    let _ = fs::remove_dir_all(&fresh);
    made.map(|()| folder)
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{shown}` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().take(5).collect::<Vec<_>>();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    Err(format!("`{shown}` failed:\n{last}"))
}
