//! [`Visitor`]: a browser without a window, with its own cookies.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::StandIn;
use crate::support::{Answer, Service, Tokens};

/// The `Accept` header of a browser that shows pages.
const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

pub(crate) struct Visitor<'a> {
    service: &'a Service,
    pub(crate) cookies: BTreeMap<String, String>,
}

// === impl Visitor ===

impl<'a> Visitor<'a> {
    pub(crate) fn of(service: &'a Service) -> Self {
        Self {
            service,
            cookies: BTreeMap::new(),
        }
    }

    /// Goes to a path, as a page (`true`) or as a program.
    pub(crate) async fn goes(&mut self, path: &str, as_page: bool) -> Answer {
        let cookies = self.cookie();
        let accept = if as_page { HTML } else { "application/json" };
        let headers = [("cookie", cookies.as_str()), ("accept", accept)];
        let answer = self.service.fetch(Method::GET, path, &headers).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        self.keep(&answer);
        answer
    }

    /// Begins a login, and returns where the service sends the browser.
    pub(crate) async fn begins(&mut self, provider: &str) -> Url {
        self.begins_at(&format!("/auth/login/{provider}")).await
    }

    pub(crate) async fn begins_at(&mut self, path: &str) -> Url {
        // A provider on a busy machine may be too slow for the service, which then sends the person back.
        for _ in 0..20 {
            let answer = self.goes(path, true).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{:?}", answer.body);
            match answer.header("location").parse() {
                Ok(address) => return address,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        panic!("the service does not send the browser to the provider");
    }

    /// Comes back from the provider with these parameters.
    pub(crate) async fn returns(&mut self, provider: &str, with: &[(&str, String)]) -> Answer {
        self.goes(&callback(provider, with), false).await
    }

    /// Comes back like a browser that shows pages, and returns where it is sent.
    pub(crate) async fn returns_to_page(
        &mut self,
        provider: &str,
        with: &[(&str, String)],
    ) -> String {
        let answer = self.goes(&callback(provider, with), true).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{:?}", answer.body);
        answer.header("location").to_owned()
    }

    /// Gets the session or the challenge, like the page.
    pub(crate) async fn finishes(&mut self, provider: &str) -> Answer {
        self.finishes_with(provider, &[]).await
    }

    /// Does the same with further headers.
    pub(crate) async fn finishes_with(&mut self, provider: &str, more: &[(&str, &str)]) -> Answer {
        let path = format!("/auth/login/{provider}/finish");
        let origin = format!("http://{}", self.service.address());
        let cookie = self.cookie();
        let mut headers = vec![
            ("cookie", cookie.as_str()),
            ("token-transport", "cookie"),
            ("origin", origin.as_str()),
        ];
        headers.extend_from_slice(more);
        let answer = self
            .service
            .request(Method::POST, &path, &headers, "")
            .await;
        self.keep(&answer);
        answer
    }

    /// Logs in from the first step to the last.
    pub(crate) async fn logs_in(&mut self, provider: &str, at: &StandIn) -> Answer {
        let asked = self.begins(provider).await;
        let answer = self.returns(provider, &at.approves(&asked)).await;
        match answer.status {
            StatusCode::SEE_OTHER => self.finishes(provider).await,
            _ => answer,
        }
    }

    /// Begins to link a login to the account of these tokens.
    pub(crate) async fn links(
        &mut self,
        tokens: &Tokens,
        provider: &str,
        password: &str,
    ) -> Answer {
        let path = format!("/auth/logins/{provider}");
        let body = json!({ "current_password": password });
        let answer = self.service.post_as(tokens, &path, &body).await;
        self.keep(&answer);
        answer
    }

    /// Returns the tokens of a new session. The refresh token is in the cookie.
    pub(crate) fn tokens(&self, answer: &Answer) -> Tokens {
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let json = answer.json();
        assert_eq!(json.get("refresh_token"), None, "scripts must not get it");
        Tokens {
            access: json["access_token"].as_str().expect("tokens").to_owned(),
            refresh: self.cookies["__Host-refresh"].clone(),
        }
    }

    fn cookie(&self) -> String {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        cookies.join("; ")
    }

    fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{cookie}");
            let attributes: Vec<_> = attributes.split(';').map(str::trim).collect();
            for due in ["Path=/", "Secure", "HttpOnly"] {
                assert!(attributes.contains(&due), "{cookie}");
            }
            if attributes.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn callback(provider: &str, with: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(with);
    format!("/auth/login/{provider}/callback?{}", query.finish())
}
