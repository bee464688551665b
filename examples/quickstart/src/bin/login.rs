//! The second step: register, log in with a password, refresh and log out. Users and sessions are in memory.
//! The starter keeps them in a database, and has what this file leaves out.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::issuer::TokenPair;
use tower_jwt_auth::password::{PasswordHash, Verification};
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::sessions::{MemorySessions, SessionError};
use tower_jwt_auth::{JwtAuthLayer, PasswordService, Sessions, VerifiedToken};

/// The minimum for a password that is the only factor (NIST SP 800-63B-4 section 3.1.1.2).
const MIN_PASSWORD_CHARS: usize = 15;
/// Anybody can register, so the number of users is limited.
const MAX_USERS: usize = 10_000;

#[derive(Clone)]
struct App {
    passwords: PasswordService,
    sessions: Sessions,
    users: Arc<RwLock<HashMap<String, PasswordHash>>>,
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[derive(Deserialize)]
struct RefreshRequest {
    refresh_token: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let config = if AuthConfig::env_is_empty() {
        AuthConfig::development()? // a random key, for this run
    } else {
        AuthConfig::from_env()?
    };
    let tokens = config.issuer_builder()?;
    let tokens = tokens.revocation(MemoryRevocations::new()).build()?;
    let app = App {
        passwords: config.password_service()?,
        sessions: Sessions::builder(&tokens, MemorySessions::new()).build()?,
        users: Arc::default(),
    };
    let routes = Router::new()
        .route("/me", get(me))
        .route("/logout", post(logout))
        .route_layer(JwtAuthLayer::new(tokens.verifier()))
        .route("/register", post(register))
        .route("/login", post(login))
        .route("/refresh", post(refresh))
        .with_state(app);

    let listener = TcpListener::bind(&address).await?;
    let host = listener.local_addr()?;
    println!("listening on http://{host}\n\nPaste these into another shell:\n");
    let user = r#"{"name":"ada","password":"correct horse battery"}"#;
    let json = format!("-H 'Content-Type: application/json' -d '{user}'");
    let token = r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#;
    println!("curl -i http://{host}/register {json}");
    println!("TOKEN=$(curl -s http://{host}/login {json} | {token})");
    println!("curl -i http://{host}/me -H \"Authorization: Bearer $TOKEN\"");
    println!("curl -i -X POST http://{host}/logout -H \"Authorization: Bearer $TOKEN\"");
    println!("curl -i http://{host}/me -H \"Authorization: Bearer $TOKEN\"   # 401 by now");
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn register(State(app): State<App>, Json(new): Json<Credentials>) -> Response {
    if app.passwords.char_count(&new.password) < MIN_PASSWORD_CHARS {
        let text = format!("the password must have at least {MIN_PASSWORD_CHARS} characters\n");
        return (StatusCode::UNPROCESSABLE_ENTITY, text).into_response();
    }
    let hash = match app.passwords.hash(&new.password).await {
        Ok(hash) => hash,
        Err(error) => return error.into_response(), // too long, or too many at once
    };
    let mut users = app.users.write().unwrap_or_else(PoisonError::into_inner);
    if users.contains_key(&new.name) {
        (StatusCode::CONFLICT, "this name is already taken\n").into_response()
    } else if users.len() >= MAX_USERS || new.name.len() > 100 {
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "too many users, or too long a name\n",
        )
            .into_response()
    } else {
        users.insert(new.name, hash);
        StatusCode::CREATED.into_response()
    }
}

async fn login(State(app): State<App>, Json(user): Json<Credentials>) -> Response {
    let stored = {
        let users = app.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(&user.name).cloned()
    };
    // An unknown name takes the same work, so that the response time does not reveal who is registered.
    let stored = stored.as_ref().map(PasswordHash::as_str);
    match app.passwords.verify_stored(&user.password, stored).await {
        Ok(Verification::Match { rehash }) => {
            if let Some(stronger) = rehash {
                let mut users = app.users.write().unwrap_or_else(PoisonError::into_inner);
                users.insert(user.name.clone(), stronger);
            }
            let session = app.sessions.open(user.name).scope("read");
            session.issue().await.into_response()
        }
        Ok(_) => (StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response(),
        Err(error) => error.into_response(),
    }
}

/// Extends the session. The old refresh token is then used up.
async fn refresh(
    State(app): State<App>,
    Json(request): Json<RefreshRequest>,
) -> Result<TokenPair, SessionError> {
    let session = app.sessions.refresh(&request.refresh_token).await?;
    Ok(session.issue().await?.tokens)
}

/// Ends the session: its refresh token and its access tokens are refused from now on.
async fn logout(State(app): State<App>, token: VerifiedToken) -> Result<StatusCode, SessionError> {
    app.sessions
        .end(token.session_id().unwrap_or_default())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn me(token: VerifiedToken) -> String {
    format!("{}\n", token.subject().unwrap_or_default())
}
