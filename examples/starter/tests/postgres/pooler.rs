//! PostgreSQL behind PgBouncer, with default settings except for the mode.

use std::process::Stdio;
use std::thread;

use axum::http::StatusCode;
use service::Database;

use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::{self, Postgres};
use crate::support::program::{self, Running};
use crate::support::{Client, PASSWORD, Place, Service};

/// Returns a new, empty database, reached through a pooler in this mode.
async fn place(settings: &str) -> Option<(&'static Postgres, PgBouncer, Place)> {
    let postgres = postgres::shared().await?;
    let pooler = PgBouncer::start(postgres, settings).await?;
    let mut place = postgres.new_place().await;
    let name = place.database_url.rsplit('/').next().unwrap();
    place.database_url = pooler.url(name);
    Some((postgres, pooler, place))
}

/// Returns a command that starts the program at this place.
fn service(place: &Place) -> std::process::Command {
    let mut command = program::service(place.folder.path());
    command.env("DATABASE_URL", &place.database_url);
    command.env("RATE_LIMIT_PER_MINUTE", "0");
    command
}

/// Returns the error of the program that does not start.
fn refusal(place: &Place) -> String {
    let mut command = service(place);
    command.env("BIND_ADDR", "127.0.0.1:0").stdin(Stdio::null());
    program::failure(&command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn session_pooling_works_with_a_statement_timeout() {
    let Some((_, _pooler, place)) = place("pool_mode = session").await else {
        return;
    };
    let service = Service::start_in(place).await;
    let tokens = service.user("ada@example.com").await;
    let next = service.refresh(&tokens.refresh).await.tokens();
    service.logout(&next.access).await;
    service.assert_over(&next).await;

    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    let Database::Postgres(pool) = Database::open(&service.place.database_url).await.unwrap()
    else {
        panic!("another database");
    };
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut connection = pool.acquire().await.unwrap();
        let timeout: String = sqlx::query_scalar("SHOW statement_timeout")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(timeout, "2s");
        connections.push(connection);
    }
    service.assert_good(&tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_start_at_once_through_a_pooler() {
    let Some((_, _pooler, place)) = place("pool_mode = session").await else {
        return;
    };
    let started: Vec<_> = thread::scope(|scope| {
        let starting: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Running::start(service(&place))))
            .collect();
        let started = starting.into_iter().map(|one| one.join().unwrap());
        started.collect()
    });
    let clients: Vec<_> = started
        .iter()
        .map(|running| Client::new(running.socket()))
        .collect();
    let tokens = clients[0].user("ada@example.com").await;
    for client in &clients {
        let me = client.get("/me", &tokens.access).await;
        assert_eq!(me.status, StatusCode::OK);
    }
    for running in started {
        let log = running.stop();
        assert!(!log.contains("already exists"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_pooling_without_a_timeout_is_refused_with_advice() {
    for size in [1, 20] {
        let settings = format!("pool_mode = transaction\ndefault_pool_size = {size}");
        let Some((postgres, pooler, mut place)) = place(&settings).await else {
            return;
        };
        let statements = [
            "DATABASE_URL",
            "mixes up prepared statements",
            "session pooling",
            "max_prepared_statements",
            "connect to PostgreSQL directly",
        ];
        let timeout = "ALTER ROLE CURRENT_USER SET statement_timeout = '2s'";
        let first = refusal(&place);
        for word in statements.into_iter().chain([timeout]) {
            assert!(first.contains(word), "{first}");
        }

        // Existing connections of the pooler keep their settings.
        drop(pooler);
        let name = place.database_url.rsplit('/').next().unwrap().to_owned();
        postgres.set_statement_timeout(&name).await;
        let pooler = PgBouncer::start(postgres, &settings).await.unwrap();
        place.database_url = pooler.url(&name);
        let second = refusal(&place);
        for word in statements {
            assert!(second.contains(word), "{second}");
        }
        assert!(!second.contains(timeout), "{second}");
    }
}
