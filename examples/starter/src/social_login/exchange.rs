//! Requests to a provider, and what their responses mean: a verdict on this login, or an outage.

use axum::http::StatusCode;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::refusal::Refusal;
use crate::error::with_causes;
use crate::http;

/// The largest response that is read, in bytes. No ID token and no claims about a user should need more.
const MAX_BYTES: usize = 256 * 1024;

/// The credentials of this service at a provider. It is not `Debug`, because it contains the secret.
pub(super) struct Registration {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Where the provider sends browsers back to. Each provider has its own (RFC 9700 section 4.4.2.2).
    pub(super) redirect_uri: String,
}

/// How this service authenticates to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authentication {
    /// In a header: `client_secret_basic`.
    Basic,
    /// In the body: `client_secret_post`.
    Post,
}

/// The response to a code. It is not `Debug`, because it contains tokens.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: Option<String>,
    pub(super) id_token: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Exchanges a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub(super) async fn redeem(
    client: &reqwest::Client,
    endpoint: &Url,
    registration: &Registration,
    authentication: Authentication,
    code: &str,
    verifier: &str,
) -> Result<Tokens, Refusal> {
    let Registration {
        client_id,
        client_secret,
        redirect_uri,
    } = registration;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let request = client.post(endpoint.clone());
    let request = match authentication {
        // RFC 6749 section 2.3.1: both are form-encoded first.
        Authentication::Basic => {
            request.basic_auth(encoded(client_id), Some(encoded(client_secret)))
        }
        Authentication::Post => {
            form.extend([
                ("client_id", client_id.as_str()),
                ("client_secret", client_secret.as_str()),
            ]);
            request
        }
    };
    let request = request.header("accept", "application/json").form(&form);
    let (status, body) = send(request).await?;
    // GitHub reports errors with the status 200.
    if let Ok(Failure { error }) = serde_json::from_str(&body) {
        return Err(judge(status, &error));
    }
    if !status.is_success() {
        return Err(unavailable(endpoint, &format!("its status is {status}")));
    }
    parsed(endpoint, &body)
}

/// Judges an error of the token endpoint (RFC 6749 section 5.2): is it about the code, or about this
/// service?
fn judge(status: StatusCode, error: &str) -> Refusal {
    match error {
        "invalid_grant" | "bad_verification_code" | "unverified_user_email" => {
            Refusal::NotConfirmed("code_refused")
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            tracing::warn!(%status, "a provider is unavailable");
            Refusal::Unavailable
        }
        error => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let error: String = error.chars().filter(|&c| plain(c)).take(64).collect();
            tracing::error!(
                error,
                "a provider refuses this service: check its LOGIN_..._CLIENT_ID and LOGIN_..._CLIENT_SECRET"
            );
            Refusal::Unavailable
        }
    }
}

/// Sends a request, and parses its JSON response. Any other response counts as an outage.
pub(super) async fn fetch<T: DeserializeOwned>(
    request: RequestBuilder,
    endpoint: &Url,
) -> Result<T, Refusal> {
    let (status, body) = send(request.header("accept", "application/json")).await?;
    if !status.is_success() {
        return Err(unavailable(endpoint, &format!("its status is {status}")));
    }
    parsed(endpoint, &body)
}

async fn send(request: RequestBuilder) -> Result<(StatusCode, String), Refusal> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let error = with_causes(error);
        tracing::warn!(error, "a provider is unavailable");
        Refusal::Unavailable
    };
    // The error may contain a URL that should stay secret.
    let answer = request.send().await;
    let answer = answer.map_err(|error| failed(&error.without_url()))?;
    let status = answer.status();
    let body = http::text(answer, MAX_BYTES).await;
    Ok((status, body.map_err(|error| failed(&*error))?))
}

fn parsed<T: DeserializeOwned>(endpoint: &Url, body: &str) -> Result<T, Refusal> {
    // The error is not repeated, because it may contain tokens or personal data.
    serde_json::from_str(body).map_err(|_| unavailable(endpoint, "its response is malformed"))
}

/// Logs that a provider is unavailable or has sent a useless response, and returns the refusal.
pub(super) fn unavailable(endpoint: &Url, reason: &str) -> Refusal {
    let host = endpoint.host_str();
    tracing::warn!(
        host,
        path = endpoint.path(),
        reason,
        "a provider is unavailable"
    );
    Refusal::Unavailable
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_about_the_code_refuse_and_others_are_outages() {
        let bad = StatusCode::BAD_REQUEST;
        for (status, error, verdict) in [
            (bad, "invalid_grant", true),
            (StatusCode::OK, "bad_verification_code", true),
            (bad, "invalid_client", false),
            (StatusCode::UNAUTHORIZED, "invalid_client", false),
            (StatusCode::OK, "incorrect_client_credentials", false),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                false,
            ),
        ] {
            let refusal = judge(status, error);
            assert_eq!(
                matches!(refusal, Refusal::NotConfirmed(_)),
                verdict,
                "{error}"
            );
        }
    }
}
