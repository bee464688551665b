//! [`World`]: an authorization server, this server and a client, on this machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::processes::{Dialogue, Process, free_port};

/// The revisions of the protocol that are tested: the newest one, and the newest one with a handshake.
pub(crate) const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];
/// Another API that uses the same authorization server.
pub(crate) const OTHER_RESOURCE: &str = "https://other.example/api";
/// A page that may call the server.
pub(crate) const PAGE: &str = "https://page.example";

const HERE: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) struct World {
    pub(crate) client: Dialogue,
    provider: Process,
    /// The processes end when the value is dropped.
    _server: Process,
    resource: String,
}

// === impl World ===

impl World {
    /// Starts all three, with version 1 of the SDK. Returns `None` if npm is missing and not required.
    pub(crate) fn start() -> Option<Self> {
        Self::with_revision(REVISIONS[0])
    }

    /// Starts all three, with a client for this revision of the protocol.
    pub(crate) fn with_revision(revision: &str) -> Option<Self> {
        let provider_folder = installed("provider", "provider")?;
        let client_folder = installed("client", "tests/client")?;
        for _ in 0..10 {
            // The address of the server is part of its configuration. If another process takes the port
            // meanwhile, the server exits, and another port is tried.
            let address = format!("127.0.0.1:{}", free_port());
            let resource = format!("http://{address}/mcp");
            let mut command = Command::new("node");
            command
                .arg(provider_folder.join("provider.mjs"))
                .env("PROVIDER_PORT", "0")
                .env("PROVIDER_RESOURCES", format!("{resource} {OTHER_RESOURCE}"))
                .stderr(Stdio::null()); // it warns that it is not for production
            let provider = Process::start(command, "authorization server on ").unwrap();

            let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-server"));
            for (name, _) in std::env::vars_os() {
                if ["JWT_", "MCP_"]
                    .iter()
                    .any(|ours| name.to_string_lossy().starts_with(ours))
                {
                    command.env_remove(name);
                }
            }
            command
                .env("BIND_ADDR", &address)
                .env("JWT_PROVIDER_1", &provider.address)
                .env("JWT_PROVIDER_1_AUDIENCE", &resource)
                .env("JWT_PROVIDER_1_PROFILE", "rfc9068")
                .env("MCP_RESOURCE", &resource)
                .env("MCP_ALLOWED_ORIGINS", PAGE);
            let Some(server) = Process::start(command, "listening on ") else {
                continue;
            };
            let mut command = Command::new("node");
            command
                .arg(format!("{HERE}/tests/client/client.mjs"))
                .arg(client_folder)
                .arg(revision);
            return Some(Self {
                client: Dialogue::start(command),
                provider,
                _server: server,
                resource,
            });
        }
        panic!("no free port in ten attempts");
    }

    pub(crate) fn issuer(&self) -> String {
        self.provider.address.clone()
    }

    pub(crate) fn resource(&self) -> String {
        self.resource.clone()
    }

    pub(crate) fn metadata(&self) -> String {
        let at = "/.well-known/oauth-protected-resource/mcp";
        self.resource.replace("/mcp", at)
    }

    /// Connects as a user who has never logged in before.
    pub(crate) fn connect(&mut self, user: &str) -> Value {
        let request = json!({"op": "connect", "server": self.resource, "user": user});
        self.client.ask(&request)
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let request = json!({"op": "call", "tool": tool, "with": arguments});
        self.client.ask(&request)
    }

    /// Returns the access token that the client uses.
    pub(crate) fn token(&mut self) -> String {
        let token = self.client.ask(&json!({"op": "token"}));
        token.as_str().unwrap().to_owned()
    }

    pub(crate) fn token_for(&mut self, resource: &str) -> String {
        let token = self.client.ask(&json!({
            "op": "token_for", "issuer": self.issuer(), "resource": resource, "scope": "notes:read",
        }));
        token.as_str().unwrap().to_owned()
    }

    /// Switches to a key that the server has never seen.
    pub(crate) fn rotate_keys(&mut self) {
        let url = format!("{}/keys/rotate", self.issuer());
        let answer = self.ask(&url, "POST", &json!({}));
        assert_eq!(answer["status"], 200, "{answer}");
    }

    /// A request to the MCP endpoint.
    pub(crate) fn post(
        &mut self,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Value {
        let mut all = json!({
            "content-type": "application/json", "accept": "application/json, text/event-stream",
        });
        if let Some(token) = token {
            all["authorization"] = format!("Bearer {token}").into();
        }
        for (name, value) in headers {
            all[*name] = (*value).into();
        }
        let request = json!({
            "op": "request", "url": self.resource, "method": "POST", "headers": all, "body": body,
        });
        self.client.ask(&request)
    }

    /// A request without a body.
    pub(crate) fn ask(&mut self, url: &str, method: &str, headers: &Value) -> Value {
        let request = json!({"op": "request", "url": url, "method": method, "headers": headers});
        self.client.ask(&request)
    }
}

/// Returns a folder with the npm packages that `folder` of this example locks, and with its scripts. If it
/// cannot be made, the test fails if services are required, and otherwise prints a clear note.
fn installed(name: &'static str, folder: &str) -> Option<&'static Path> {
    static PROVIDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static CLIENT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = if name == "provider" {
        &PROVIDER
    } else {
        &CLIENT
    };
    match made.get_or_init(|| install(name, &Path::new(HERE).join(folder))) {
        Ok(folder) => Some(folder),
        Err(problem) => {
            let text = format!("mcp-server: NOT tested with a real client: {problem}");
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

/// Installs under another name and then moves the folder into place as a whole, so that an interrupted or
/// concurrent run leaves nothing half done. A folder that is up to date is reused.
fn install(name: &str, from: &Path) -> Result<PathBuf, String> {
    run(Command::new("node").arg("--version"))?;
    let lock = read(&from.join("package-lock.json"))?;
    let scripts = if name == "provider" {
        read(&from.join("provider.mjs"))?
    } else {
        String::new()
    };
    let wish = format!("{lock}{scripts}");
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-server");
    let folder = all.join(name);
    let is_ready = || fs::read_to_string(folder.join("made-from")).is_ok_and(|made| made == wish);
    if is_ready() {
        return Ok(folder);
    }
    let fresh = all.join(format!("{name}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
    let made = fill(&fresh, from).and_then(|()| write(&fresh.join("made-from"), &wish));
    if made.is_ok() && !is_ready() {
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::rename(&fresh, &folder);
    }
    let _ = fs::remove_dir_all(&fresh);
    made.map(|()| folder)
}

fn fill(fresh: &Path, from: &Path) -> Result<(), String> {
    for file in ["package.json", "package-lock.json", "provider.mjs"] {
        if from.join(file).is_file() {
            write(&fresh.join(file), &read(&from.join(file))?)?;
        }
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new("npm").current_dir(fresh).args(arguments))
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
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{shown}` failed:\n{said}"))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
