//! [`Scene`]: the program, with a dependency that can be put out of order.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use futures_util::future::join_all;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::log::Log;
use super::need::{Fault, Need};
use super::request::Request;
use super::servers::Servers;
use super::visitors::{PATIENCE, Visitors};
use crate::support::program::{PROGRAM, clean};
use crate::support::proxy::{Passage, Proxy};
use crate::support::redis::Redis;
use crate::support::server::{find, missing};
use crate::support::{Answer, Client, Place, Service, Tokens, postgres};

/// How long the service believes that its database can be written to, and a little more.
const READY_FOR: Duration = Duration::from_millis(1100);
const POLL: Duration = Duration::from_millis(20);
/// Runs the program so that a file that must not grow is an error, and not a signal that ends it.
const SHELL: &str = r#"trap "" XFSZ; exec "$0""#;

/// The response to a request, and what the log says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// `None` if there is no response, because it is not a request.
    pub(super) status: Option<u16>,
    /// The header that says what to do about the response.
    pub(super) header: Option<&'static str>,
    pub(super) log: Vec<String>,
}

pub(super) struct Scene {
    need: Need,
    child: Child,
    client: Client,
    log: Log,
    servers: Servers,
    proxy: Option<Proxy>,
    /// Holds the lock of a SQLite file.
    lock: Option<SqliteConnection>,
    place: Place,
    /// Another process of the same service, which reaches everything directly.
    beside: Service,
    visitors: Visitors,
    /// When the database was last known to be writable.
    ready_at: Instant,
}

// === impl Seen ===

impl Seen {
    async fn of(answer: &Answer, log: &Log, id: &str) -> Self {
        let has = |name| answer.headers.contains_key(name);
        let header = match (has(RETRY_AFTER), has(WWW_AUTHENTICATE)) {
            (true, false) => Some("Retry-After"),
            (false, true) => Some("WWW-Authenticate"),
            (false, false) => None,
            (true, true) => panic!("{answer:?}"),
        };
        if header == Some("Retry-After") {
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{answer:?}");
        }
        Self {
            status: Some(answer.status.as_u16()),
            header,
            log: log.about(id).await,
        }
    }
}

// === impl Scene ===

impl Scene {
    /// Starts everything, and registers the users. Returns `None` with a message if a server is missing.
    pub(super) async fn set(need: Need) -> Option<Self> {
        if need == Need::Sqlite && find(&["prlimit"], Vec::new()).is_none() {
            missing("prlimit");
            return None;
        }
        let place = match need {
            Need::Postgres | Need::Redis => postgres::shared().await?.new_place().await,
            _ => Place::sqlite(),
        };
        let servers = Servers::start(need).await?;
        let proxy = servers.port(need, &place).map(Proxy::to);
        let mut command = clean("sh", place.folder.path());
        command.args(["-c", SHELL, PROGRAM]);
        command.envs([
            ("JWT_SECRET", "pJ4v0qkX9sTz2mWb7LhR5yNcE1uGdA8fKoViQwZxS3M"),
            ("JWT_ISSUER", "https://auth.test"),
            ("JWT_AUDIENCE", "test-api"),
            ("PUBLIC_URL", "https://app.test"),
            (
                "SEALING_KEYS",
                "1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            ),
            ("REQUIRE_VERIFIED_EMAIL", "false"),
            ("MAIL_FROM", "no-reply@example.com"),
            ("RATE_LIMIT_PER_MINUTE", "6000"),
            ("LOG_FORMAT", "json"),
            ("BIND_ADDR", "127.0.0.1:0"),
        ]);
        for (name, value) in servers.variables(&place) {
            let value = match (&proxy, servers.port(need, &place)) {
                (Some(proxy), Some(port)) => {
                    value.replacen(&format!(":{port}"), &format!(":{}", proxy.port), 1)
                }
                _ => value,
            };
            command.env(name, value);
        }
        let (child, client, log) = spawn_blocking(|| start(command)).await.unwrap();
        let elsewhere = Place {
            redis_url: servers.redis.as_ref().map(Redis::url),
            ..Place::at(place.database_url.clone())
        };
        let beside = Service::start_in(elsewhere).await;
        let visitors = Visitors::register(&client, &servers.mail).await;
        Some(Self {
            need,
            child,
            client,
            log,
            servers,
            proxy,
            lock: None,
            place,
            beside,
            visitors,
            ready_at: Instant::now(),
        })
    }

    /// Sends each request while the dependency is out of order, or while all is well. Afterwards it is in order
    /// again, and everything works.
    pub(super) async fn play(&mut self, fault: Option<Fault>) -> Vec<(Request, Seen)> {
        let name = fault.map_or("none", Fault::name);
        let mail = self.servers.mail.clone();
        let trying = format!("{:?} {fault:?}", self.need);
        self.visitors.prepare(&self.client, &mail, trying).await;
        let is_revoked_before = fault.is_none_or(Fault::forbids_writing);
        if is_revoked_before {
            self.visitors.revoke_elsewhere(&self.beside).await;
            self.visitors.assert_revocation_seen(&self.client).await;
        }
        sleep_until(self.ready_at + READY_FOR).await;
        self.visitors.revoke_here(&self.client).await;
        let start = self.log.len();
        if let Some(fault) = fault {
            self.begin(fault).await;
        }
        if !is_revoked_before {
            self.visitors.revoke_elsewhere(&self.beside).await;
        }
        let mut seen = Vec::new();
        let mut refreshed = None;
        let mut is_link_used = false;
        for (request, answer) in self.ask_all(name).await {
            let id = id(name, request);
            match (request, answer.status) {
                (Request::Refresh, StatusCode::OK) => refreshed = Some(answer.tokens()),
                (Request::Reset, status) => is_link_used = status.is_success(),
                _ => {}
            }
            seen.push((request, Seen::of(&answer, &self.log, &id).await));
        }
        if let Some((sent, not_sent)) = Request::message_through(self.need) {
            let log = Seen {
                status: None,
                header: None,
                log: vec![self.outcome(start, sent, not_sent).await.to_owned()],
            };
            seen.push((Request::Message, log));
        }
        if let Some(fault) = fault {
            self.end(fault).await;
        }
        self.recover(refreshed, is_link_used).await;
        seen
    }

    /// Sends all requests at once.
    async fn ask_all(&self, name: &str) -> Vec<(Request, Answer)> {
        let asking = Request::ALL.iter().map(|&request| async move {
            let id = id(name, request);
            let sent = request.send(&id, &self.client, &self.visitors);
            let answer = tokio::time::timeout(PATIENCE, sent).await;
            (request, answer.expect("a response"))
        });
        join_all(asking).await
    }

    async fn recover(&mut self, refreshed: Option<Tokens>, is_link_used: bool) {
        self.visitors
            .assert_recovered(&self.client, refreshed, is_link_used)
            .await;
        self.ready_at = Instant::now();
        if let Some((sent, _)) = Request::message_through(self.need) {
            // No later round mistakes a message of this one for its own.
            let begun = Instant::now();
            while !self.has_arrived(sent) {
                assert!(begun.elapsed() < PATIENCE, "{:?}", self.need);
                sleep(POLL).await;
            }
        }
        self.log.assert_no_fault();
    }

    /// Waits until a message of this round is sent, or an attempt has failed, and returns what is logged then.
    async fn outcome<'m>(&self, start: usize, sent: &'m str, not_sent: &'m str) -> &'m str {
        let begun = Instant::now();
        loop {
            if self.log.count(start, not_sent) > 0 {
                return not_sent;
            }
            if self.has_arrived(sent) && self.log.count(start, sent) > 0 {
                return sent;
            }
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.need);
            sleep(POLL).await;
        }
    }

    /// Returns whether the messages of this round and of those before have arrived. Each round has one SMS, and
    /// emails to others besides.
    fn has_arrived(&self, sent: &str) -> bool {
        match self.need {
            Need::MailServer => self.visitors.have_mail(&self.servers.mail),
            _ => self.log.count(0, sent) >= self.visitors.rounds(),
        }
    }

    /// Puts the dependency out of order.
    async fn begin(&mut self, fault: Fault) {
        if let (Some(passage), Some(proxy)) = (fault.passage(self.need), &mut self.proxy) {
            return proxy.set(passage).await;
        }
        match (self.need, fault) {
            (Need::Postgres, _) => self.set_read_only("on").await,
            (Need::Sqlite, Fault::Locked) => {
                let mut lock = SqliteConnection::connect(&self.place.database_url)
                    .await
                    .unwrap();
                sqlx::raw_sql("BEGIN IMMEDIATE")
                    .execute(&mut lock)
                    .await
                    .unwrap();
                self.lock = Some(lock);
            }
            (Need::Sqlite, _) => self.limit_files("0"),
            (Need::Redis, _) => {
                self.redis().tell("REPLICAOF 127.0.0.1 1");
                // Until the service knows it, the server looks like a primary to requests that only read.
                self.visitors.assert_not_ready(&self.client).await;
            }
            (Need::MailServer, _) => self.defer_mail(u32::MAX),
            (Need::SmsGateway, _) => self.servers.sms.answers(StatusCode::BAD_GATEWAY, ""), // chapter: sms
            (Need::Storage, _) => self.servers.bucket.set(Some(fault)), // chapter: avatars
            (Need::Breached, _) => {
                let page = "<!doctype html>\n<title>Log in to the network</title>\n";
                self.servers.breached.answers(StatusCode::OK, page);
            }
        }
    }

    /// Puts the dependency in order again.
    async fn end(&mut self, fault: Fault) {
        if let (Some(_), Some(proxy)) = (fault.passage(self.need), &mut self.proxy) {
            return proxy.set(Passage::Open).await;
        }
        match self.need {
            Need::Postgres => self.set_read_only("off").await,
            Need::Sqlite => {
                if let Some(lock) = self.lock.take() {
                    lock.close().await.unwrap();
                }
                self.limit_files("unlimited");
            }
            Need::Redis => self.redis().tell("REPLICAOF NO ONE"),
            Need::MailServer => self.defer_mail(0),
            Need::SmsGateway => self.servers.sms.answers(StatusCode::OK, ""), // chapter: sms
            Need::Storage => self.servers.bucket.set(None),                   // chapter: avatars
            Need::Breached => self.servers.breached.answers(StatusCode::OK, ""),
        }
    }

    /// Sets whether new connections can only read. Open connections are closed when that begins, and stay as they are
    /// when it is over, like connections to a server that is no longer the primary.
    async fn set_read_only(&self, value: &str) {
        let url = &self.place.database_url;
        let mut connection = PgConnection::connect(url).await.unwrap();
        let own = "SET default_transaction_read_only = off".to_owned();
        let change = format!(
            "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
             ' SET default_transaction_read_only = {value}'; END $$"
        );
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let end = (value == "on").then(|| end.to_owned());
        for statement in [own, change].into_iter().chain(end) {
            let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
            statement.execute(&mut connection).await.unwrap();
        }
    }

    /// Sets the size that a file may grow to.
    fn limit_files(&self, size: &str) {
        let pid = self.child.id().to_string();
        let limit = format!("--fsize={size}:unlimited");
        let done = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    fn redis(&self) -> &Redis {
        self.servers.redis.as_ref().unwrap()
    }

    fn defer_mail(&self, count: u32) {
        use std::sync::atomic::Ordering;
        self.servers.mail.later.store(count, Ordering::SeqCst);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id(fault: &str, request: Request) -> String {
    format!("{fault}-{request:?}")
}

/// Starts the program, and reads its log.
fn start(mut command: Command) -> (Child, Client, Log) {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let log = Log::read(child.stderr.take().unwrap());
    let mut first = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://");
    let address = address.expect("the program starts").parse().unwrap();
    (child, Client::new(address), log)
}
