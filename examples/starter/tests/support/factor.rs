//! A user with an authenticator app.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::{Answer, PASSWORD, Service, Tokens};

pub(crate) struct App {
    secret: String,
    pub(crate) recovery_codes: Vec<String>,
    /// The session that has added the app.
    pub(crate) tokens: Tokens,
}

// === impl App ===

impl App {
    /// Returns a new user with a confirmed address and an app, whose first code was not used to log in.
    pub(crate) async fn of(service: &Service, email: &str) -> Self {
        let tokens = service.proved_user(email).await;
        Self::add(service, tokens).await
    }

    /// Adds an app for a user who has logged in.
    pub(crate) async fn add(service: &Service, tokens: Tokens) -> Self {
        let body = json!({ "current_password": PASSWORD });
        let path = "/auth/second-factor/totp";
        let enrolment = service.post_as(&tokens, path, &body).await;
        assert_eq!(enrolment.status, StatusCode::OK, "{:?}", enrolment.body);
        let secret = enrolment.json()["secret"].as_str().unwrap().to_owned();
        let body = json!({ "code": code(&secret) });
        let path = "/auth/second-factor/totp/confirm";
        let added = service.post_as(&tokens, path, &body).await;
        assert_eq!(added.status, StatusCode::OK, "{:?}", added.body);
        forget_step(service).await;
        Self {
            secret,
            recovery_codes: codes(&added.json()),
            tokens,
        }
    }

    /// Returns the secret as a person would type it into an app.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn code(&self) -> String {
        code(&self.secret)
    }

    /// Returns a code that is neither the current one nor one of its neighbors.
    pub(crate) fn wrong_code(&self) -> String {
        let right = self.code().parse::<u32>().unwrap();
        format!("{:06}", (right + 500_000) % 1_000_000)
    }
}

/// Returns the current code for this secret.
pub(crate) fn code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let totp = Builder::new()
        .with_secret(secret)
        .with_account_name("a")
        .build();
    totp.unwrap().generate_current().to_string()
}

/// Behaves as if 30 seconds had passed.
pub(crate) async fn forget_step(service: &Service) {
    sqlx::query("UPDATE second_factors SET last_step = 0")
        .execute(&mut service.database().await)
        .await
        .unwrap();
}

pub(crate) fn codes(added: &Value) -> Vec<String> {
    let codes = added["recovery_codes"].as_array().unwrap().iter();
    codes
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

/// Sends the second step of a login.
pub(crate) async fn answer(service: &Service, challenge: &str, method: &str, code: &str) -> Answer {
    let body = json!({ "challenge": challenge, "method": method, "code": code }).to_string();
    let headers = [("content-type", "application/json")];
    let path = "/auth/login/second-factor";
    service.request(Method::POST, path, &headers, body).await
}
