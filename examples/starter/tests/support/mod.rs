//! A service under test, in this process: the test binary says where it keeps what it has.

mod client;
pub(crate) mod folder;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod server;

pub(crate) use client::{Answer, Client, PASSWORD, Tokens};
pub(crate) use folder::Folder;

use std::ops::Deref;
use std::time::Duration;

use sqlx::{AnyConnection, Connection};
use starter::{App, Operations, SessionSettings, Settings, serve};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::config::AuthConfig;

/// What a service has kept when it stops.
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) database_url: String,
    pub(crate) redis_url: Option<String>,
}

/// A service, and a client of it.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) place: Place,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// A service at a new place. Where this machine lacks what the place needs, that has been said,
/// and the test is over.
macro_rules! started {
    () => {
        $crate::support::started!(starter::SessionSettings::default())
    };
    ($sessions:expr) => {
        match $crate::new_place().await {
            Some(place) => $crate::support::Service::start_with(place, $sessions).await,
            None => return,
        }
    };
}
pub(crate) use started;

pub(crate) fn config() -> AuthConfig {
    AuthConfig::from_vars([
        ("JWT_SECRET", "pJ4v0qkX9sTz2mWb7LhR5yNcE1uGdA8fKoViQwZxS3M"),
        ("JWT_ISSUER", "https://starter.test"),
        ("JWT_AUDIENCE", "starter-test"),
    ])
    .unwrap()
}

/// Makes tokens as the service did some time ago.
pub(crate) fn issuer_in_the_past(ago: Duration) -> TokenIssuer {
    let clock = ManualClock::at_now();
    clock.set(std::time::SystemTime::now() - ago);
    config().issuer().unwrap().clock(clock).build().unwrap()
}

// === impl Place ===

impl Place {
    /// A new file of SQLite.
    pub(crate) fn sqlite() -> Self {
        let folder = Folder::new("place");
        let file = folder.path().join("starter.sqlite");
        Self {
            database_url: format!("sqlite:{}", file.display()),
            redis_url: None,
            folder,
        }
    }

    /// A database that is there already.
    pub(crate) fn at(database_url: String) -> Self {
        Self {
            database_url,
            ..Self::sqlite()
        }
    }

    /// Sessions and revocations in this Redis, the users where they were.
    pub(crate) fn with_redis(self, url: String) -> Self {
        Self {
            redis_url: Some(url),
            ..self
        }
    }
}

// === impl Service ===

impl Service {
    pub(crate) async fn start_in(place: Place) -> Self {
        Self::start_with(place, SessionSettings::default()).await
    }

    pub(crate) async fn start_with(place: Place, sessions: SessionSettings) -> Self {
        Self::start_where(place, sessions, Operations::default()).await
    }

    pub(crate) async fn start_where(
        place: Place,
        sessions: SessionSettings,
        operations: Operations,
    ) -> Self {
        let settings = Settings {
            bind_address: "127.0.0.1:0".to_owned(),
            database_url: place.database_url.clone(),
            redis_url: place.redis_url.clone(),
            auth: config(),
            sessions,
            operations,
            development: false,
        };
        Self::serve(&settings, place).await
    }

    /// A service that keeps what it has in the folder, and has settings of its own.
    pub(crate) async fn start_settings(settings: Settings, folder: Folder) -> Self {
        let place = Place {
            folder,
            database_url: settings.database_url.clone(),
            redis_url: settings.redis_url.clone(),
        };
        Self::serve(&settings, place).await
    }

    async fn serve(settings: &Settings, place: Place) -> Self {
        let app = App::open(settings).await.unwrap();
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

    /// Stops the service as a signal would, and leaves what it has kept.
    pub(crate) async fn stop(self) -> Place {
        self.stop.send(()).unwrap();
        drop(self.client);
        self.served.await.unwrap();
        self.place
    }

    /// A connection of its own to the same database, as another program would have.
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
