//! [`Scene`]: the program, with something that it needs behind a proxy.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router; // chapter: avatars
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use sqlx::{Connection, PgConnection};

use super::Answers;
use super::table::{Fault, Need, REQUESTS, Request};
use crate::support::proxy::{Passage, Proxy};
use crate::support::redis::Redis;
use crate::support::smtp::Sink;
use crate::support::{Answer, Client, PASSWORD, Place, Tokens, postgres, program};

/// Within every time limit of the service, and beyond each of them.
const SLOW: Duration = Duration::from_millis(20);
const TOO_SLOW: Duration = Duration::from_secs(600);

const READ_ONLY: &str = "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
     ' SET default_transaction_read_only = on'; END $$";
const CLOSE_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

pub(super) struct Scene {
    need: Need,
    child: Child,
    client: Client,
    place: Place,
    proxy: Proxy,
    redis: Redis,
    /// Tokens of different sessions, each for one request.
    tokens: Vec<(Request, Tokens)>,
}

// === impl Scene ===

impl Scene {
    /// Starts everything. Users log in while all is well.
    pub(super) async fn set(need: Need, fault: Fault) -> Option<Self> {
        let postgres = postgres::shared().await?;
        let place = postgres.new_place().await;
        let redis = Redis::start()?;
        let sink = Sink::start().await;
        let proxy = Proxy::to(match need {
            Need::Database => postgres.port(),
            Need::Redis => redis.port(),
            Need::MailServer => sink.address.port(),
            Need::Storage => storage().await, // chapter: avatars
        });
        let proxy = proxy.await;
        let through = |url: &str, port: u16, whose: Need| {
            let own = format!(":{}", proxy.port);
            let port = format!(":{port}");
            if whose == need {
                url.replacen(&port, &own, 1)
            } else {
                url.to_owned()
            }
        };
        let mut command = program::service(place.folder.path());
        let database = through(&place.database_url, postgres.port(), Need::Database);
        command.env("DATABASE_URL", database);
        command.env(
            "REDIS_URL",
            through(&redis.url(), redis.port(), Need::Redis),
        );
        let smtp = through(&sink.url(), sink.address.port(), Need::MailServer);
        command.env("SMTP_URL", smtp);
        command.env("MAIL_FROM", "no-reply@example.com");
        // chapter: avatars {
        if need == Need::Storage {
            let endpoint = format!("http://127.0.0.1:{}", proxy.port);
            command.envs([
                ("STORAGE_URL", "s3://bucket/prefix"),
                ("AWS_ENDPOINT_URL", &*endpoint),
                ("AWS_ALLOW_HTTP", "true"),
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_REGION", "eu-central-1"),
            ]);
        }
        // chapter: avatars }
        let (child, client) = start(command, &place);
        let mut scene = Self {
            need,
            child,
            client,
            place,
            proxy,
            redis,
            tokens: Vec::new(),
        };
        scene.log_in(fault).await;
        Some(scene)
    }

    async fn log_in(&mut self, fault: Fault) {
        for name in ["ada", "bob"] {
            let email = format!("{name}@example.com");
            let registered = self.client.register(&email).await;
            assert_eq!(registered.status, StatusCode::ACCEPTED, "{fault:?}");
        }
        for &request in REQUESTS {
            let name = match request {
                Request::LogoutAll => "bob",
                _ => "ada",
            };
            let email = format!("{name}@example.com");
            let login = self.client.login(&email, PASSWORD).await;
            self.tokens.push((request, login.tokens()));
        }
        let revoked = &self.of(Request::MeRevoked).access;
        let answer = self.client.logout(revoked).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }

    fn of(&self, request: Request) -> &Tokens {
        let tokens = self.tokens.iter().find(|(whose, _)| *whose == request);
        &tokens.unwrap().1
    }

    /// From here on something is wrong.
    pub(super) async fn begin(&mut self, fault: Fault) {
        let passage = match fault {
            Fault::Down => Passage::Refused,
            Fault::Silent => Passage::Silent,
            Fault::TooSlow => Passage::Late(TOO_SLOW),
            Fault::Slow => Passage::Late(SLOW),
            Fault::Garbage => Passage::Garbled,
            Fault::ReadOnly => return self.forbid_writing().await,
        };
        self.proxy.set(passage).await;
    }

    async fn forbid_writing(&self) {
        if self.need == Need::Redis {
            // A replica of a primary that is not there.
            self.redis.tell("REPLICAOF 127.0.0.1 1");
            return;
        }
        let mut database = PgConnection::connect(&self.place.database_url)
            .await
            .unwrap();
        for statement in [READ_ONLY, CLOSE_OTHERS] {
            sqlx::raw_sql(statement)
                .execute(&mut database)
                .await
                .unwrap();
        }
    }

    /// Sends each request, all at once.
    pub(super) async fn ask_all(&self) -> Answers {
        let asking = REQUESTS.iter().map(|&request| async move {
            let answer = self.ask(request).await;
            (request, described(&answer))
        });
        futures_util::future::join_all(asking).await
    }

    async fn ask(&self, request: Request) -> Answer {
        let (client, tokens) = (&self.client, self.of(request));
        match request {
            Request::Me | Request::MeRevoked => client.get("/me", &tokens.access).await,
            Request::MeGarbage => client.get("/me", "garbage").await,
            Request::Login => client.login("ada@example.com", PASSWORD).await,
            Request::LoginWrong => client.login("bob@example.com", "wrong").await,
            Request::Refresh => client.refresh(&tokens.refresh).await,
            Request::RefreshGarbage => client.refresh("garbage").await,
            Request::Logout => client.logout(&tokens.access).await,
            Request::LogoutAll => {
                let path = "/auth/logout-all";
                client.send(Method::POST, path, &tokens.access).await
            }
            Request::Register => client.register("eve@example.com").await,
            // chapter: avatars {
            Request::Avatar => {
                let bearer = format!("Bearer {}", tokens.access);
                let headers = [("authorization", &*bearer), ("content-type", "image/png")];
                let pixel = include_bytes!("../../api/pixel.png").as_slice();
                client
                    .request(Method::PUT, "/me/avatar", &headers, pixel)
                    .await
            }
            // chapter: avatars }
            Request::Health => client.request(Method::GET, "/healthz", &[], "").await,
            Request::Ready => client.request(Method::GET, "/readyz", &[], "").await,
        }
    }

    /// Waits until the program has logged this, and returns all that it has.
    pub(super) async fn end(self, told: Option<&str>) -> String {
        let start = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.place.folder.path().join("log")).unwrap();
            if told.is_none_or(|told| log.contains(told)) {
                return log;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no {told:?} in {log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status, with what belongs to it: when to come back after an outage, and a challenge to a refused token.
fn described(answer: &Answer) -> String {
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => {
            let is_ready = answer.code() == "not_ready"; // a probe comes back by itself
            assert_eq!(answer.headers.get(WWW_AUTHENTICATE), None);
            assert!(
                is_ready || answer.headers.contains_key(RETRY_AFTER),
                "{answer:?}"
            );
        }
        StatusCode::UNAUTHORIZED if answer.code() == "invalid_token" => {
            answer.assert_invalid_token();
        }
        _ => assert_eq!(answer.headers.get(RETRY_AFTER), None, "{answer:?}"),
    }
    answer.status.as_str().to_owned()
}

/// Starts the program with its log in a file.
fn start(mut command: Command, place: &Place) -> (Child, Client) {
    let log = File::create(place.folder.path().join("log")).unwrap();
    let command = command.env("BIND_ADDR", "127.0.0.1:0").stderr(log);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://");
    let address = address.expect("the program starts").parse().unwrap();
    // What it says next is read, so that it never waits.
    std::thread::spawn(move || output.lines().for_each(drop));
    (child, Client::new(address))
}

// chapter: avatars {
/// As much of S3 as it takes to keep an avatar.
async fn storage() -> u16 {
    let kept = Router::new().fallback(|| async { [("etag", "\"1\"")] });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, kept).await });
    port
}
// chapter: avatars }
