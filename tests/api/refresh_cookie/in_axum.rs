//! The cookie in the handlers of an axum application.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, http};
use http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt;
use tower_jwt_auth::Sessions;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::refresh_cookie::{RefreshCookie, RefreshCookieError};
use tower_jwt_auth::sessions::{MemorySessions, SessionError, WhenFull};

use super::{ATTRIBUTES, OURS, clock_at, cookie};
use crate::error_responses::Shown;
use crate::support::{NOW, builder, request};

#[derive(Clone)]
struct App {
    sessions: Sessions,
    cookie: RefreshCookie,
}

async fn login(State(app): State<App>, headers: HeaderMap) -> Result<Response, RefreshCookieError> {
    app.cookie.check_origin(&headers)?;
    Ok(match app.sessions.open("alice").issue().await {
        Ok(pair) => app.cookie.respond(pair),
        Err(error) => app.cookie.reject(error),
    })
}

async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, RefreshCookieError> {
    let Some(token) = app.cookie.read(&headers)? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let next = async || -> Result<TokenPair, SessionError> {
        Ok(app.sessions.refresh(token).await?.issue().await?.tokens)
    };
    Ok(match next().await {
        Ok(pair) => app.cookie.respond(pair),
        Err(error) => app.cookie.reject(error),
    })
}

async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, RefreshCookieError> {
    if let Some(token) = app.cookie.read(&headers)?
        && let Err(error) = app.sessions.end_by_token(token).await
    {
        return Ok(app.cookie.reject(error));
    }
    Ok(app.cookie.clear_response())
}

struct Server {
    app: Router,
    clock: tower_jwt_auth::clock::ManualClock,
    sessions: Sessions,
}

impl Server {
    fn new() -> Self {
        let (builder, clock) = builder();
        let tokens = builder.build().unwrap();
        let sessions = Sessions::builder(&tokens, MemorySessions::new())
            .limit(1, WhenFull::Refuse)
            .build()
            .unwrap();
        let state = App {
            sessions: sessions.clone(),
            cookie: cookie(),
        };
        let app = Router::new()
            .route("/login", post(login))
            .route("/refresh", post(refresh))
            .route("/logout", post(logout))
            .with_state(state);
        Self {
            app,
            clock,
            sessions,
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Shown {
        let mut request: Request<Body> = request(headers).map(Body::from);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        Shown::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    /// A request from one of our pages with this cookie.
    async fn post(&self, path: &str, cookie: &str) -> Shown {
        let headers = [("origin", OURS), ("cookie", cookie)];
        self.send(Method::POST, path, &headers).await
    }
}

/// What the browser sends back.
fn kept(response: &Shown) -> String {
    let set = response.header("set-cookie");
    set.split_once(';').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_page_logs_in_refreshes_and_logs_out() {
    let server = Server::new();
    let login = server.post("/login", "").await;
    assert_eq!(login.status, 200);
    assert_eq!(login.header("content-type"), "application/json");
    assert_eq!(login.header("cache-control"), "no-store");
    assert_eq!(login.header("pragma"), "no-cache");
    assert!(login.header("set-cookie").ends_with(ATTRIBUTES));
    let body: serde_json::Value = serde_json::from_str(&login.body).unwrap();
    assert!(body["access_token"].is_string());
    assert!(!login.body.contains("refresh_token"), "{}", login.body);
    assert_eq!(body["refresh_expires_in"], 2_592_000);

    let next = server.post("/refresh", &kept(&login)).await;
    assert_eq!(next.status, 200);
    assert_ne!(kept(&next), kept(&login));

    let out = server.post("/logout", &kept(&next)).await;
    assert_eq!(out.status, 204);
    assert_eq!(out.header("cache-control"), "no-store");
    let cleared = format!("__Host-refresh=; Max-Age=0; {ATTRIBUTES}");
    assert_eq!(out.header("set-cookie"), cleared);
    assert!(server.sessions.list("alice").await.unwrap().is_empty());

    let over = server.post("/refresh", &kept(&next)).await;
    assert_eq!(over.status, 400);
    assert!(over.body.contains(r#""error":"invalid_grant""#));
    assert_eq!(over.header("set-cookie"), cleared);
    assert_eq!(over.header("cache-control"), "no-store");

    let nobody = server.post("/refresh", "").await;
    assert_eq!(
        (nobody.status, nobody.header("set-cookie")),
        (204.try_into().unwrap(), "")
    );
}

#[tokio::test]
async fn garbage_in_the_cookie_is_removed() {
    let server = Server::new();
    for garbage in ["x", "a.b.c", "\"quoted\"", "a=b"] {
        let response = server
            .post("/refresh", &format!("__Host-refresh={garbage}"))
            .await;
        assert_eq!(response.status, 400);
        assert!(
            response.header("set-cookie").contains("Max-Age=0"),
            "{garbage}"
        );
    }
}

#[tokio::test]
async fn no_other_refusal_touches_the_cookie() {
    let server = Server::new();
    let login = server.post("/login", "").await;
    let cookie = kept(&login);
    let ours = ("origin", OURS);
    let theirs = ("origin", "https://evil.example");
    let post = Method::POST;
    let twice = format!("{cookie}; __Host-refresh=another");

    for path in ["/refresh", "/logout"] {
        let sent = ("cookie", &*cookie);
        for (status, method, headers) in [
            (403, &post, &[theirs, sent][..]),
            (403, &post, &[("origin", "null"), sent]),
            (403, &post, &[sent]),
            (400, &post, &[ours, ("cookie", &twice)]),
            (405, &Method::GET, &[ours, sent]),
        ] {
            let response = server.send(method.clone(), path, headers).await;
            assert_eq!(response.status, status, "{path} {headers:?}");
            assert_eq!(response.header("set-cookie"), "", "{path} {headers:?}");
        }
    }
    let full = server.post("/login", &cookie).await;
    assert_eq!(
        (full.status, full.header("set-cookie")),
        (StatusCode::FORBIDDEN, "")
    );
    let foreign = server.send(post, "/login", &[theirs]).await;
    assert_eq!(
        (foreign.status, foreign.header("set-cookie")),
        (StatusCode::FORBIDDEN, "")
    );

    server.clock.set(clock_at(NOW - 3600));
    for path in ["/refresh", "/logout"] {
        let later = server.post(path, &cookie).await;
        assert_eq!(
            (later.status.as_u16(), later.header("retry-after")),
            (503, "1")
        );
        assert_eq!(later.header("set-cookie"), "", "{path}");
    }

    server.clock.set(clock_at(NOW));
    let next = server.post("/refresh", &cookie).await;
    assert_eq!(next.status, 200, "the session is as it was");
}

#[tokio::test]
async fn a_refresh_token_that_does_not_fit_is_a_500_without_a_cookie() {
    let server = Server::new();
    let mut pair = server.sessions.open("alice").issue().await.unwrap();
    pair.refresh_token = "a".repeat(5000);
    let response = Shown::of(cookie().respond(pair)).await;
    assert_eq!(response.status, 500);
    assert_eq!(response.header("set-cookie"), "");
    assert!(response.body.contains("server_error"), "{}", response.body);
    assert!(!response.body.contains("access_token"), "{}", response.body);
}
