//! [`OidcProvider`]: npm `oidc-provider` in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use service::{ProviderKind, ProviderSettings};
use url::{Url, form_urlencoded};

use crate::support::Folder;
use crate::support::server::{Server, find, missing};

const HERE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/support/social_login/provider"
);
const SECRET: &str = "a-secret-of-the-client-that-is-long-enough";

/// The provider, which is stopped when this is dropped.
pub(crate) struct OidcProvider(Server);

/// A person who logs in at the provider, in a browser without a window.
pub(crate) struct Person {
    cookies: BTreeMap<String, String>,
}

// === impl OidcProvider ===

impl OidcProvider {
    /// Starts a provider that sends browsers back only to this address. Returns `None` with a message if it
    /// cannot be installed.
    pub(crate) fn start(redirect_uri: &str) -> Option<Self> {
        let packages = packages()?;
        let node = find(&["node"], Vec::new())?.join("node");
        let mut server = Server::new(Folder::new("oidc-provider"), "KILL", None);
        let port = server.port.to_string();
        let script = format!("{HERE}/provider.mjs");
        let packages = packages.to_str().unwrap();
        server.runs(node, &[&script, packages, &port, SECRET, redirect_uri]);
        let mut provider = Self(server);
        provider.launch();
        Some(provider)
    }

    /// Starts the provider, or starts it again, and waits until it responds.
    pub(crate) fn launch(&mut self) {
        self.0.launch();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.responds() {
            assert!(Instant::now() < deadline, "no provider: {}", self.0.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks for the metadata and the keys. The first answer takes a busy machine seconds, which is longer than a
    /// service waits.
    fn responds(&self) -> bool {
        ["/.well-known/openid-configuration", "/jwks"]
            .iter()
            .all(|path| {
                let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.0.port)) else {
                    return false;
                };
                let request = format!(
                    "GET {path} HTTP/1.0\r\nhost: localhost:{}\r\n\r\n",
                    self.0.port
                );
                let mut answer = String::new();
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                stream.write_all(request.as_bytes()).is_ok()
                    && stream.read_to_string(&mut answer).is_ok()
                    && answer.starts_with("HTTP/1.1 200")
            })
    }

    /// Returns the settings of a service that uses this provider.
    pub(crate) fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            id: "real".to_owned(),
            name: "Example ID".to_owned(),
            issuer: format!("http://localhost:{}", self.0.port),
            kind: ProviderKind::OpenId,
            client_id: "service".to_owned(),
            client_secret: SECRET.to_owned(),
        }
    }

    /// Kills the provider like a crash.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }
}

// === impl Person ===

impl Person {
    pub(crate) fn new() -> Self {
        Self {
            cookies: BTreeMap::new(),
        }
    }

    /// Goes where the service has sent the browser, and logs in with this address, or cancels if there is
    /// none. Returns the parameters for the service, and whether a form was shown.
    pub(crate) async fn answers(
        &mut self,
        asked: &Url,
        login: Option<&str>,
    ) -> (Vec<(&'static str, String)>, bool) {
        let mut is_shown = false;
        let mut next = asked.clone();
        for _ in 0..10 {
            let location = match next.path().starts_with("/interaction/") {
                false => self.sends("GET", &next, "").await,
                true => {
                    is_shown = true;
                    let answer = if login.is_some() { "yes" } else { "no" };
                    let login = login.unwrap_or_default();
                    let mut form = form_urlencoded::Serializer::new(String::new());
                    form.append_pair("login", login)
                        .append_pair("answer", answer);
                    self.sends("POST", &next, &form.finish()).await
                }
            };
            next = next.join(&location).unwrap();
            if next.path().ends_with("/callback") {
                let found: BTreeMap<_, _> = next.query_pairs().into_owned().collect();
                let names = ["code", "state", "iss", "error"].into_iter();
                let with = names.filter_map(|name| Some((name, found.get(name)?.clone())));
                return (with.collect(), is_shown);
            }
        }
        panic!("too many redirects at the provider, now to {next}");
    }

    /// Sends a request, and returns where it redirects.
    async fn sends(&mut self, method: &str, url: &Url, form: &str) -> String {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let url = url.as_str().replace("//localhost:", "//127.0.0.1:");
        let request = axum::http::Request::builder()
            .method(method)
            .uri(&url)
            .header(
                "host",
                url.split('/')
                    .nth(2)
                    .unwrap()
                    .replace("127.0.0.1", "localhost"),
            )
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(axum::body::Bytes::from(form.to_owned())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        self.cookies.retain(|_, value| !value.is_empty());
        match parts.headers.get("location") {
            Some(location) => location.to_str().unwrap().to_owned(),
            None => {
                let body = body.collect().await.unwrap().to_bytes();
                panic!("{}: {}", parts.status, String::from_utf8_lossy(&body))
            }
        }
    }
}

/// Returns the folder with the package, which is installed once over the network.
fn packages() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let installed = install();
        if installed.is_none() {
            missing("node with npm, or the npm package oidc-provider");
        }
        installed
    });
    made.as_deref()
}

/// Installs under another name, and then moves the folder into place, because other test binaries may do
/// the same.
fn install() -> Option<PathBuf> {
    let wanted = fs::read_to_string(format!("{HERE}/package-lock.json")).unwrap();
    let all = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = all.join("oidc-provider");
    let is_ready = || fs::read_to_string(place.join("ready")).is_ok_and(|made| made == wanted);
    if is_ready() {
        return Some(place);
    }
    let fresh = all.join(format!("oidc-provider-{}", std::process::id()));
    fs::create_dir_all(&fresh).ok()?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(format!("{HERE}/{name}"), fresh.join(name)).ok()?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&fresh);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    npm.stdin(Stdio::null()).stdout(Stdio::null());
    let done = npm.status().is_ok_and(|status| status.success());
    if done && !is_ready() {
        fs::write(fresh.join("ready"), &wanted).ok()?;
        let _ = fs::remove_dir_all(&place);
        let _ = fs::rename(&fresh, &place);
    }
    let _ = fs::remove_dir_all(&fresh);
    is_ready().then_some(place)
}
