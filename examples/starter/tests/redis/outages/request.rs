//! [`Request`]: each kind of request.

use axum::body::Bytes;
use axum::http::Method;
use serde_json::{Value, json};

use super::need::Need;
use super::visitors::Visitors;
use crate::support::{Answer, Client, PASSWORD};

const NEW_PASSWORD: &str = "a different battery horse staple";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Request {
    Me,
    MeJustRevoked,
    MeRevokedElsewhere,
    MeInvalid,
    MeWithKey,        // chapter: api-keys
    MeWithInvalidKey, // chapter: api-keys
    Login,
    LoginWrong,
    Refresh,
    RefreshInvalid,
    Logout,
    LogoutAll,
    Register,
    Forgot,
    Reset,
    ResetInvalid,
    SendCode, // chapter: sms
    Upload,   // chapter: avatars
    Avatar,   // chapter: avatars
    Health,
    Ready,
    PublicKeys,
    /// Not a request: the message that a request has caused is sent.
    Message,
}

/// A request as it is sent.
struct Sent<'v> {
    method: Method,
    path: &'static str,
    token: Option<&'v str>,
    body: Option<(&'static str, Bytes)>,
}

// === impl Request ===

impl Request {
    pub(super) const ALL: &'static [Self] = &[
        Self::Me,
        Self::MeJustRevoked,
        Self::MeRevokedElsewhere,
        Self::MeInvalid,
        Self::MeWithKey,        // chapter: api-keys
        Self::MeWithInvalidKey, // chapter: api-keys
        Self::Login,
        Self::LoginWrong,
        Self::Refresh,
        Self::RefreshInvalid,
        Self::Logout,
        Self::LogoutAll,
        Self::Register,
        Self::Forgot,
        Self::Reset,
        Self::ResetInvalid,
        Self::SendCode, // chapter: sms
        Self::Upload,   // chapter: avatars
        Self::Avatar,   // chapter: avatars
        Self::Health,
        Self::Ready,
        Self::PublicKeys,
    ];

    /// Returns what the table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Me => "`GET /me`",
            Self::MeJustRevoked => "`GET /me`, token just revoked",
            Self::MeRevokedElsewhere => "`GET /me`, token revoked by another process",
            Self::MeInvalid => "`GET /me`, invalid token",
            Self::MeWithKey => "`GET /me`, API key", // chapter: api-keys
            Self::MeWithInvalidKey => "`GET /me`, invalid API key", // chapter: api-keys
            Self::Login => "`POST /auth/login`",
            Self::LoginWrong => "`POST /auth/login`, wrong password",
            Self::Refresh => "`POST /auth/refresh`",
            Self::RefreshInvalid => "`POST /auth/refresh`, invalid token",
            Self::Logout => "`POST /auth/logout`",
            Self::LogoutAll => "`POST /auth/logout-all`",
            Self::Register => "`POST /auth/register`",
            Self::Forgot => "`POST /auth/password/forgot`",
            Self::Reset => "`POST /auth/password/reset`",
            Self::ResetInvalid => "`POST /auth/password/reset`, invalid link",
            Self::SendCode => "`POST /auth/second-factor/sms`", // chapter: sms
            Self::Upload => "`PUT /me/avatar`",                 // chapter: avatars
            Self::Avatar => "`GET /me/avatar`",                 // chapter: avatars
            Self::Health => "`GET /healthz`",
            Self::Ready => "`GET /readyz`",
            Self::PublicKeys => "`GET /.well-known/jwks.json`",
            Self::Message => "the message itself",
        }
    }

    /// Returns the message that is sent in the background, if this dependency delivers any.
    pub(super) fn message_through(need: Need) -> Option<(&'static str, &'static str)> {
        match need {
            Need::MailServer => Some(("email sent", "message not sent yet")),
            Need::SmsGateway => Some(("SMS sent", "message not sent yet")), // chapter: sms
            _ => None,
        }
    }

    /// Sends it with this id, which the log repeats.
    pub(super) async fn send(self, id: &str, client: &Client, visitors: &Visitors) -> Answer {
        let sent = self.as_sent(visitors);
        let bearer = sent.token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("x-request-id", id)];
        headers.extend(bearer.iter().map(|bearer| ("authorization", &**bearer)));
        let Some((content_type, body)) = sent.body else {
            return client.fetch(sent.method, sent.path, &headers).await;
        };
        headers.push(("content-type", content_type));
        client.request(sent.method, sent.path, &headers, body).await
    }

    fn as_sent(self, visitors: &Visitors) -> Sent<'_> {
        let get = |path, token| Sent {
            method: Method::GET,
            path,
            token,
            body: None,
        };
        let post = |path, token, body: Value| Sent {
            method: Method::POST,
            path,
            token,
            body: Some(("application/json", body.to_string().into())),
        };
        let login = |name: &str, password: &str| {
            let email = format!("{name}@example.com");
            let body = json!({ "email": email, "password": password });
            post("/auth/login", None, body)
        };
        let refresh = |token: &str| {
            let body = json!({ "refresh_token": token });
            post("/auth/refresh", None, body)
        };
        let reset = |link: &str| {
            let body = json!({ "token": link, "new_password": NEW_PASSWORD });
            post("/auth/password/reset", None, body)
        };
        match self {
            Self::Me => get("/me", Some(&visitors.reader.access)),
            Self::MeJustRevoked => get("/me", Some(&visitors.just_revoked.access)),
            Self::MeRevokedElsewhere => get("/me", Some(&visitors.revoked_elsewhere.access)),
            Self::MeInvalid => get("/me", Some("invalid")),
            Self::MeWithKey => get("/me", Some(&visitors.key)), // chapter: api-keys
            Self::MeWithInvalidKey => get("/me", Some(&visitors.invalid_key)), // chapter: api-keys
            Self::Login => login("ada", PASSWORD),
            Self::LoginWrong => login("bob", "wrong"),
            Self::Refresh => refresh(&visitors.refresher.refresh),
            Self::RefreshInvalid => refresh("invalid"),
            Self::Logout => post("/auth/logout", Some(&visitors.leaving.access), json!({})),
            Self::LogoutAll => {
                let token = &visitors.leaving_all.access;
                post("/auth/logout-all", Some(token), json!({}))
            }
            Self::Register => {
                let account = json!({ "email": visitors.newcomer(), "password": PASSWORD });
                post("/auth/register", None, account)
            }
            Self::Forgot => {
                let body = json!({ "email": "ada@example.com" });
                post("/auth/password/forgot", None, body)
            }
            Self::Reset => reset(&visitors.link),
            Self::ResetInvalid => reset("invalid"),
            // chapter: sms {
            Self::SendCode => {
                let body = json!({ "current_password": PASSWORD, "phone": visitors.phone() });
                let token = &visitors.reader.access;
                post("/auth/second-factor/sms", Some(token), body)
            }
            // chapter: sms }
            // chapter: avatars {
            Self::Upload => Sent {
                method: Method::PUT,
                path: "/me/avatar",
                token: Some(&visitors.reader.access),
                body: Some((
                    "image/png",
                    Bytes::from_static(include_bytes!("../../api/pixel.png")),
                )),
            },
            Self::Avatar => get("/me/avatar", Some(&visitors.reader.access)),
            // chapter: avatars }
            Self::Health => get("/healthz", None),
            Self::Ready => get("/readyz", None),
            Self::PublicKeys => get("/.well-known/jwks.json", None),
            Self::Message => unreachable!("it is not sent by a client"),
        }
    }
}
