//! npm `oidc-provider` in its own process, set up like the provider of `examples/resource-server`, or by
//! `opaque.mjs`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The audience of its tokens.
pub(crate) const AUDIENCE: &str = "http://127.0.0.1:3000";

/// The process ends when the value is dropped.
pub(crate) struct Provider {
    child: Child,
    folder: PathBuf,
    script: &'static str,
    /// The file in which it stores its keys, so that they survive a restart.
    keys: PathBuf,
    port: u16,
    client: Client<HttpConnector, String>,
}

// === impl Provider ===

impl Provider {
    /// Starts it on a free port, with a new key.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_script("provider.mjs", test)
    }

    /// Starts it on a free port, with opaque access tokens.
    pub(crate) fn start_opaque(test: &str) -> Option<Self> {
        Self::start_script("opaque.mjs", test)
    }

    fn start_script(script: &'static str, test: &str) -> Option<Self> {
        let folder = crate::peer::provider_environment()?;
        let keys = folder.join(format!("{test}-{}.keys", std::process::id()));
        let _ = std::fs::remove_file(&keys);
        let (child, port) = run(folder, script, &keys, 0);
        Some(Self {
            child,
            folder: folder.to_owned(),
            script,
            keys,
            port,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same address, with the same keys.
    pub(crate) fn restart(&mut self) {
        (self.child, self.port) = run(&self.folder, self.script, &self.keys, self.port);
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns a new access token from the client credentials grant.
    pub(crate) async fn token(&self) -> String {
        let form = "grant_type=client_credentials&scope=reports:read";
        let answer = self.post("/token", form).await;
        let token = answer["access_token"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Sends one of the commands `publish`, `sign`, `rotate` and `withdraw`.
    pub(crate) async fn keys(&self, change: &str) {
        self.post(&format!("/keys/{change}"), "").await;
    }

    /// Returns a token of alice as after a login: `access`, `refresh` or `bound`.
    pub(crate) async fn minted(&self, kind: &str) -> String {
        let answer = self.post(&format!("/mint/{kind}"), "").await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Value {
        let request = Request::post(format!("{}{path}", self.issuer()))
            .header("authorization", "Basic ZGVtbzpkZW1vLXNlY3JldA==") // demo:demo-secret
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: {body:?}"))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.keys);
    }
}

/// Starts it, and waits until it prints its address.
fn run(folder: &Path, script: &str, keys: &Path, port: u16) -> (Child, u16) {
    let mut child = Command::new("node")
        .arg(script)
        .current_dir(folder)
        .env("PROVIDER_PORT", port.to_string())
        .env("PROVIDER_KEYS", keys)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // it warns that it is not for production
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("provider on http://127.0.0.1:");
    let port = port.unwrap_or_else(|| panic!("the provider said {line:?}"));
    (child, port.parse().unwrap())
}
