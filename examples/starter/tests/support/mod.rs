//! A service under test, in this process. The test binary decides where it stores its data.

pub(crate) mod authenticator; // chapter: passkeys
mod client;
#[cfg(unix)]
pub(crate) mod clock;
pub(crate) mod factor; // chapter: second-factor
pub(crate) mod folder;
pub(crate) mod key_holder;
pub(crate) mod mail;
pub(crate) mod mail_server;
pub(crate) mod pgbouncer; // chapter: postgres
pub(crate) mod postgres; // chapter: postgres
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod smtp;
pub(crate) mod social_login; // chapter: social-login
pub(crate) mod tls_mail_server;
pub(crate) mod web;

pub(crate) use client::{Answer, Client, PASSWORD, Tokens, claims};
pub(crate) use folder::Folder;

use std::ops::Deref;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use service::{App, MailSettings, Settings, serve};
use sqlx::{AnyConnection, Connection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::password::Argon2Params;
use tower_jwt_auth::{PasswordService, TokenIssuer};

/// The data that a service leaves when it stops.
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) database_url: String,
    pub(crate) redis_url: Option<String>,
    /// The mail server, which writes into the same folder as the service without one.
    pub(crate) smtp_url: Option<String>,
    pub(crate) lease: Option<postgres::Lease>, // chapter: postgres
}

/// A service and its client.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) place: Place,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// Starts a service at a new place. If this machine lacks what the place needs, a message says so, and the
/// test ends.
macro_rules! started {
    () => {
        $crate::support::started!(service::SessionSettings::default())
    };
    (with |$settings:ident| $change:expr) => {
        match $crate::new_place().await {
            Some(place) => {
                let change = |$settings: &mut service::Settings| $change;
                $crate::support::Service::start_with(place, change).await
            }
            None => return,
        }
    };
    ($sessions:expr) => {
        $crate::support::started!(with | settings | settings.sessions = $sessions)
    };
}
pub(crate) use started;

pub(crate) fn config() -> AuthConfig {
    AuthConfig::from_vars([
        ("JWT_SECRET", "pJ4v0qkX9sTz2mWb7LhR5yNcE1uGdA8fKoViQwZxS3M"),
        ("JWT_ISSUER", "https://auth.test"),
        ("JWT_AUDIENCE", "test-api"),
    ])
    .unwrap()
}

/// Returns a service that hashes quickly, so that tests do not wait for it. The program itself hashes at full cost.
fn cheap_passwords() -> PasswordService {
    let passwords = PasswordService::builder().argon2(Argon2Params::new(64, 1, 1));
    passwords.dangerous_weak_parameters().build().unwrap()
}

/// Returns a client address that no other test has, because tests may share a Redis server.
pub(crate) fn random_ip() -> String {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    let [a, b, c, d] = bytes;
    format!("2001:db8:{a:x}{b:02x}:{c:x}{d:02x}::1")
}

/// Returns an issuer that makes tokens as the service did some time ago.
pub(crate) fn issuer_in_the_past(ago: Duration) -> TokenIssuer {
    let clock = ManualClock::at_now();
    clock.set(std::time::SystemTime::now() - ago);
    config()
        .issuer_builder()
        .unwrap()
        .clock(clock)
        .build()
        .unwrap()
}

// === impl Place ===

impl Place {
    /// Makes a new SQLite file.
    pub(crate) fn sqlite() -> Self {
        let folder = Folder::new("place");
        let file = folder.path().join("service.sqlite");
        Self {
            database_url: format!("sqlite:{}", file.display()),
            redis_url: None,
            smtp_url: None,
            folder,
            lease: None, // chapter: postgres
        }
    }

    /// Returns the name of the folder.
    fn name(&self) -> &str {
        self.folder.path().file_name().unwrap().to_str().unwrap()
    }

    /// Uses an existing database.
    pub(crate) fn at(database_url: String) -> Self {
        Self {
            database_url,
            ..Self::sqlite()
        }
    }

    /// Stores sessions and revocations in this Redis, and users where they were.
    pub(crate) fn with_redis(self, url: String) -> Self {
        Self {
            redis_url: Some(url),
            ..self
        }
    }

    /// Sends emails through this mail server.
    pub(crate) fn with_smtp(self, url: String) -> Self {
        Self {
            smtp_url: Some(url),
            ..self
        }
    }

    /// Returns the default settings of a service under test.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            bind_address: "127.0.0.1:0".to_owned(),
            database_url: self.database_url.clone(),
            redis_url: self.redis_url.clone(),
            auth: config(),
            passwords: cheap_passwords(),
            sessions: service::SessionSettings::default(),
            operations: service::Operations::default(),
            new_passwords: service::PasswordSettings::default(),
            trusted_proxies: service::TrustedProxies::default(),
            rate_limit: None,
            mail: MailSettings {
                smtp_url: self.smtp_url.clone(),
                without_tls: false,
                folder: self.folder.path().join("mail"),
                from: format!("no-reply@{}.test", self.name()).parse().unwrap(),
                public_url: "https://app.test".to_owned(),
            },
            // chapter: sms {
            sms: service::SmsSettings {
                url: None,
                from: String::new(),
                folder: self.folder.path().join("sms"),
                is_offered: true,
                per_day: 1000,
            },
            // chapter: sms }
            // chapter: avatars {
            storage: service::StorageSettings {
                url: None,
                folder: self.folder.path().join("storage"),
                publish_jwks: None,
            },
            // chapter: avatars }
            // chapter: second-factor {
            sealing: service::SealingKeys::parse("1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
                .unwrap(),
            // chapter: second-factor }
            login_providers: Vec::new(), // chapter: social-login
            require_verified_email: false,
            development: false,
        }
    }
}

// === impl Service ===

impl Service {
    pub(crate) async fn start_in(place: Place) -> Self {
        Self::start_with(place, |_| {}).await
    }

    /// Starts a service with changed settings.
    pub(crate) async fn start_with(place: Place, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = place.settings();
        change(&mut settings);
        let app = App::open(&settings).await.unwrap();
        let listener = tokio::net::TcpListener::bind(&settings.bind_address)
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn({
            let app = app.clone();
            async move { serve(listener, app, stopped).await.unwrap() }
        });
        Self {
            app,
            place,
            client: Client::new(address),
            stop,
            served,
        }
    }

    /// Stops the service like a signal would, and returns its data.
    pub(crate) async fn stop(self) -> Place {
        self.stop.send(()).unwrap();
        drop(self.client);
        self.served.await.unwrap();
        self.place
    }

    /// Waits for this many emails to this address, and returns the last one.
    pub(crate) async fn letter(&self, to: &str, count: usize) -> mail::Letter {
        mail::Letter::wait(&self.place.folder.path().join("mail"), to, count).await
    }

    /// Registers a user, confirms the address with the first email to it, and logs in.
    pub(crate) async fn proved_user(&self, email: &str) -> Tokens {
        assert_eq!(self.register(email).await.status, StatusCode::ACCEPTED);
        let link = self.letter(email, 1).await.token("confirm-email");
        let answer = self
            .post("/auth/email/verify", &json!({ "token": link }))
            .await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        self.login(email, PASSWORD).await.tokens()
    }

    /// Opens a separate connection to the same database, like another program.
    pub(crate) async fn database(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.place.database_url)
            .await
            .unwrap()
    }
}

impl Deref for Service {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
