//! A browser without a window: the cookies, forms and redirects that a login at a provider needs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The address to which the provider sends the code. Nothing listens there: the browser stops before it.
const CALLBACK: &str = "https://app.example/callback";
const VERIFIER: &str = "a-code-verifier-of-at-least-forty-three-characters";

pub(crate) struct Browser {
    provider: String,
    client: Client<HttpConnector, String>,
    cookies: BTreeMap<String, String>,
}

/// The result of a login.
pub(crate) struct LoggedIn {
    pub(crate) access_token: String,
    pub(crate) id_token: String,
}

struct Page {
    status: StatusCode,
    location: Option<String>,
    text: String,
}

// === impl Browser ===

impl Browser {
    pub(crate) fn at(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookies: BTreeMap::new(),
        }
    }

    /// Logs a user in to a client, with authorization code and PKCE, for an API.
    pub(crate) async fn log_in(&mut self, user: &str, client: &str, api: &str) -> LoggedIn {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let query = form(&[
            ("client_id", client),
            ("response_type", "code"),
            ("scope", "openid reports:read"),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", api),
        ]);
        let mut page = self.get(&format!("/auth?{query}")).await;
        let mut prompts = [
            form(&[("prompt", "login"), ("login", user), ("password", "any")]),
            form(&[("prompt", "consent")]),
        ]
        .into_iter();
        let code = loop {
            let location = page.location.take();
            let location = location.unwrap_or_else(|| panic!("{}: {}", page.status, page.text));
            if let Some(query) = location.strip_prefix(CALLBACK) {
                break parameter(query, "code");
            }
            page = if location.contains("/interaction/") {
                let answer = prompts.next().unwrap();
                self.post(&location, answer).await
            } else {
                self.get(&location).await
            };
        };
        let request = form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("client_id", client),
            ("code_verifier", VERIFIER),
            ("resource", api),
        ]);
        let page = self.post("/token", request).await;
        let tokens: Value = serde_json::from_str(&page.text).unwrap();
        let text = |name: &str| match tokens[name].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("no {name}: {tokens}"),
        };
        LoggedIn {
            access_token: text("access_token"),
            id_token: text("id_token"),
        }
    }

    /// Ends the session at the provider, which sends its logout tokens before it responds.
    pub(crate) async fn log_out(&mut self, id_token: &str) {
        let query = form(&[("id_token_hint", id_token)]);
        let page = self.get(&format!("/session/end?{query}")).await;
        let (_, rest) = page.text.split_once(r#"name="xsrf" value=""#).unwrap();
        let (secret, _) = rest.split_once('"').unwrap();
        let confirmation = form(&[("xsrf", secret), ("logout", "yes")]);
        let page = self.post("/session/end/confirm", confirmation).await;
        assert!(
            page.status.is_redirection(),
            "{}: {}",
            page.status,
            page.text
        );
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = Request::get(self.url(path));
        self.send(request, String::new()).await
    }

    async fn post(&mut self, path: &str, form: String) -> Page {
        let request = Request::post(self.url(path));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request, form).await
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.provider)
        }
    }

    async fn send(&mut self, request: http::request::Builder, body: String) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request.header("cookie", cookies.join("; "));
        let response = self
            .client
            .request(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (cookie, _) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = cookie.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
            self.cookies.retain(|_, value| !value.is_empty());
        }
        let location = parts.headers.get("location");
        let body = body.collect().await.unwrap().to_bytes();
        Page {
            status: parts.status,
            location: location.map(|value| value.to_str().unwrap().to_owned()),
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Encodes parameters as a form.
fn form(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        });
        bytes.collect::<String>()
    };
    let fields = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    fields.collect::<Vec<_>>().join("&")
}

/// Returns one parameter of a query.
fn parameter(query: &str, name: &str) -> String {
    let fields = query.trim_start_matches('?').split('&');
    let mut fields = fields.filter_map(|field| field.split_once('='));
    let found = fields.find(|(found, _)| *found == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {query}"))
        .1
        .to_owned()
}
