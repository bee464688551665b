//! The responses if a handler returns an error of the crate, or a token pair.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::refresh_cookie::RefreshCookieError;
use tower_jwt_auth::sessions::{MemorySessions, SessionError, SessionErrorKind, WhenFull};

use crate::support::{NOW, builder, tokens};

/// A whole response, as a client sees it.
#[derive(Debug)]
pub struct Shown {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Shown {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The only value of the header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next().map_or("", |value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "two of {name}");
        first
    }

    /// All headers except `Content-Length`, sorted by name.
    fn all_headers(&self) -> String {
        let mut lines: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

const PLAIN: &str = "cache-control: no-store\ncontent-type: application/json\npragma: no-cache";
const LATER: &str =
    "cache-control: no-store\ncontent-type: application/json\npragma: no-cache\nretry-after: ";

// === Sessions ===

async fn session_error(error: SessionError) -> (u16, String, String) {
    let kind = error.kind().clone();
    let response = error.into_response();
    let logged = response.extensions().get::<SessionError>();
    assert_eq!(logged.map(SessionError::kind), Some(&kind));
    let shown = Shown::of(response).await;
    (shown.status.as_u16(), shown.all_headers(), shown.body)
}

#[tokio::test]
async fn a_session_error_is_a_response_of_rfc_6749() {
    let (builder, clock) = builder();
    let tokens = builder.build().unwrap();
    let sessions = Sessions::builder(&tokens, MemorySessions::new())
        .limit(1, WhenFull::Refuse)
        .build()
        .unwrap();
    let login = sessions.open("alice").issue().await.unwrap();
    let refresh = async || sessions.refresh(&login.refresh_token).await;

    let error = sessions.refresh("a.b.c").await.unwrap_err();
    assert!(matches!(error.kind(), SessionErrorKind::InvalidToken(_)));
    let (status, headers, body) = session_error(error).await;
    assert_eq!((status, &*headers), (400, PLAIN));
    assert_eq!(
        body,
        r#"{"error":"invalid_grant","error_description":"The refresh token is not valid, or its session is over."}"#
    );

    let error = refresh().await.unwrap().scopes(["admin"]).issue().await;
    let (status, headers, body) = session_error(error.unwrap_err()).await;
    assert_eq!((status, &*headers), (400, PLAIN));
    assert!(body.contains(r#""error":"invalid_scope""#), "{body}");

    let error = sessions.open("alice").issue().await.unwrap_err();
    let (status, headers, body) = session_error(error).await;
    assert_eq!((status, &*headers), (403, PLAIN));
    assert!(body.contains(r#""error":"access_denied""#), "{body}");

    let error = sessions.open("bob").claim("iss", "x").issue().await;
    let (status, headers, body) = session_error(error.unwrap_err()).await;
    assert_eq!((status, &*headers), (500, PLAIN));
    assert_eq!(
        body,
        r#"{"error":"server_error","error_description":"The request could not be processed."}"#
    );

    clock.set(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 3600));
    let (status, headers, body) = session_error(refresh().await.unwrap_err()).await;
    assert_eq!((status, headers), (503, format!("{LATER}1")));
    assert!(
        body.contains(r#""error":"temporarily_unavailable""#),
        "{body}"
    );
}

#[tokio::test]
async fn a_handler_returns_a_pair_or_a_session_error() {
    async fn login(sessions: &Sessions, sub: &str) -> Result<TokenPair, SessionError> {
        sessions.open(sub).issue().await
    }
    let sessions = Sessions::builder(&tokens(), MemorySessions::new());
    let sessions = sessions.build().unwrap();
    let shown = Shown::of(login(&sessions, "alice").await.into_response()).await;
    assert_eq!((shown.status.as_u16(), &*shown.all_headers()), (200, PLAIN));
    let body: serde_json::Value = serde_json::from_str(&shown.body).unwrap();
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "access_token",
            "expires_in",
            "refresh_expires_in",
            "refresh_token",
            "token_type"
        ]
    );

    let shown = Shown::of(login(&sessions, "").await.into_response()).await;
    assert_eq!((shown.status.as_u16(), &*shown.all_headers()), (500, PLAIN));
}

#[tokio::test]
async fn a_pair_without_its_refresh_token_is_a_response() {
    let pair = tokens().pair("alice").issue().unwrap();
    let shown = Shown::of(pair.without_refresh_token().into_response()).await;
    assert_eq!((shown.status.as_u16(), &*shown.all_headers()), (200, PLAIN));
    assert!(!shown.body.contains("refresh_token"), "{}", shown.body);
}

// === The refresh cookie ===

#[tokio::test]
async fn a_refresh_cookie_error_is_a_response_that_leaves_the_cookie() {
    for (error, status, code) in [
        (RefreshCookieError::MissingOrigin, 403, "cross_origin"),
        (RefreshCookieError::CrossOrigin, 403, "cross_origin"),
        (RefreshCookieError::DuplicateCookie, 400, "invalid_request"),
        (RefreshCookieError::TokenTooLong, 500, "server_error"),
        (RefreshCookieError::MalformedToken, 500, "server_error"),
    ] {
        let response = error.into_response();
        assert_eq!(response.extensions().get(), Some(&error));
        let shown = Shown::of(response).await;
        assert_eq!(
            (shown.status.as_u16(), &*shown.all_headers()),
            (status, PLAIN)
        );
        assert_eq!(shown.body, error.body());
        assert!(shown.body.contains(&format!(r#""error":"{code}""#)));
    }
}

// === Passwords ===

#[cfg(feature = "password")]
mod passwords {
    use tower_jwt_auth::PasswordService;
    use tower_jwt_auth::password::{PasswordError, PasswordHash, Verification};

    use super::{Duration, IntoResponse, LATER, PLAIN, Shown};

    async fn shown(error: PasswordError) -> (u16, String, String) {
        assert_eq!(error.status().is_server_error(), {
            let code = error.code();
            code == "server_error" || code == "temporarily_unavailable"
        });
        let body = error.body();
        let response = error.clone().into_response();
        assert_eq!(response.extensions().get(), Some(&error));
        let shown = Shown::of(response).await;
        assert_eq!(shown.body, body);
        (shown.status.as_u16(), shown.all_headers(), shown.body)
    }

    #[tokio::test]
    async fn a_password_that_cannot_be_used_is_the_clients_mistake() {
        for (error, description) in [
            (
                PasswordError::TooLong { max: 1024 },
                "The password is longer than 1024 bytes.",
            ),
            (PasswordError::Empty, "The password is empty."),
            (
                PasswordError::BcryptTooLong,
                "The password is longer than 72 bytes.",
            ),
            (
                PasswordError::NulByte,
                "The password contains a NUL character.",
            ),
        ] {
            let (status, headers, body) = shown(error).await;
            assert_eq!((status, &*headers), (400, PLAIN));
            let expected = serde_json::json!({
                "error": "invalid_request",
                "error_description": description,
            });
            assert_eq!(body, expected.to_string());
        }
    }

    #[tokio::test]
    async fn an_overload_says_when_to_retry_in_whole_seconds() {
        for (millis, expected) in [(2000, "2"), (2001, "3"), (1, "1"), (1999, "2"), (0, "0")] {
            let retry_after = Duration::from_millis(millis);
            let error = PasswordError::Overloaded { retry_after };
            assert_eq!(error.retry_after(), Some(retry_after));
            let (status, headers, body) = shown(error).await;
            assert_eq!((status, headers), (503, format!("{LATER}{expected}")));
            assert!(body.contains(r#""error":"temporarily_unavailable""#));
        }
        assert_eq!(PasswordError::Empty.retry_after(), None);
    }

    #[tokio::test]
    async fn an_unusable_hash_looks_like_a_wrong_password() {
        for error in [
            PasswordError::InvalidHash {
                reason: "the salt is not base64",
            },
            PasswordError::UnsupportedAlgorithm,
            PasswordError::CostTooHigh,
            PasswordError::UnknownPepper,
        ] {
            let (status, headers, body) = shown(error).await;
            assert_eq!((status, &*headers), (401, PLAIN));
            assert_eq!(
                body,
                r#"{"error":"invalid_credentials","error_description":"The user name or the password is wrong."}"#
            );
        }
    }

    #[tokio::test]
    async fn a_failure_of_the_machine_is_a_500() {
        let (status, headers, body) = shown(PasswordError::Internal).await;
        assert_eq!((status, &*headers), (500, PLAIN));
        assert!(body.contains(r#""error":"server_error""#));
    }

    #[tokio::test]
    async fn a_damaged_row_reaches_the_client_as_a_wrong_password() {
        async fn login(stored: &str) -> Result<Verification, PasswordError> {
            let stored = PasswordHash::parse(stored)?;
            PasswordService::new().verify("x", Some(&stored)).await
        }
        let error = login("$argon2id$v=19$m=1").await.unwrap_err();
        assert_eq!(shown(error).await.0, 401);
    }
}
