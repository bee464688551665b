//! Used DPoP proofs in SQLite and PostgreSQL.

use std::time::{Duration, SystemTime};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::dpop::{Dpop, ReplayEntry, ReplayStore};
use tower_jwt_auth::testing::{ProofKey, check_replay_store};
use tower_jwt_auth::{Algorithm, AuthError, JwtAuthLayer, SigningKey, TokenIssuer};

use crate::support::{give_up_after, now, text};

/// A client with a token that is bound to its key, and the issuer of the token.
struct Client {
    key: ProofKey,
    tokens: TokenIssuer,
    token: String,
}

impl Client {
    async fn new(replays: impl ReplayStore) -> Self {
        let key = ProofKey::generate(Algorithm::EdDSA).unwrap();
        let signer = SigningKey::generate(Algorithm::HS256).unwrap();
        let tokens = TokenIssuer::builder(signer).issuer("me").audience("api");
        let tokens = tokens.build().unwrap();
        let dpop = policy(replays);
        let proof = key.proof("POST", "https://api.example/token").sign();
        let request = Request::post("/token").header("DPoP", proof);
        let request = request.body(()).unwrap();
        let proof = dpop
            .verify_proof(request.method(), request.uri(), request.headers())
            .unwrap();
        proof.mark_used().await.unwrap();
        let token = tokens.access("alice").dpop(&proof).issue().unwrap();
        Self { key, tokens, token }
    }

    fn proof(&self) -> String {
        let proof = self.key.proof("GET", "https://api.example/");
        proof.token(&self.token).sign()
    }

    /// The status of a request to a node, and the reason of a refusal.
    async fn ask(&self, node: impl ReplayStore, proof: &str) -> String {
        let layer = JwtAuthLayer::new(self.tokens.verifier()).dpop(policy(node));
        let handler = service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        });
        let request = Request::get("/")
            .header("Authorization", format!("DPoP {}", self.token))
            .header("DPoP", proof)
            .body(())
            .unwrap();
        let response = layer.layer(handler).oneshot(request).await.unwrap();
        let error = response.extensions().get::<AuthError>();
        let reason = error.map_or("", AuthError::reason);
        format!("{} {reason}", response.status().as_u16())
    }
}

fn policy(replays: impl ReplayStore) -> Dpop {
    // The machine may be busy: the result is tested, and not the time.
    Dpop::builder("https://api.example", replays)
        .store_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

/// Uses one proof 64 times at once on two nodes, three times.
async fn one_of_64_passes<S: ReplayStore + Clone>(nodes: [S; 2]) {
    let client = std::sync::Arc::new(Client::new(nodes[0].clone()).await);
    for _ in 0..3 {
        let proof = client.proof();
        let mut running = JoinSet::new();
        for number in 0..64 {
            let (client, proof) = (std::sync::Arc::clone(&client), proof.clone());
            let node = nodes[number % 2].clone();
            running.spawn(async move { client.ask(node, &proof).await });
        }
        let answers = running.join_all().await;
        let count = |told: &str| answers.iter().filter(|answer| *answer == told).count();
        assert_eq!(count("200 "), 1, "{answers:?}");
        assert_eq!(count("401 proof_replayed"), 63, "{answers:?}");
    }
}

/// Drops calls at any point: each has taken effect completely or not at all.
async fn dropped_futures<S: ReplayStore>(store: &S) {
    let mut given_up = 0;
    for polls in 0..30_u8 {
        let entry = |byte: u8| ReplayEntry::new([byte ^ polls; 32], now(), now() + 60_000_000);
        let first = give_up_after(polls.into(), store.insert(entry(0x80))).await;
        given_up += u32::from(first.is_none());
        let again = store.insert(entry(0x80)).await.unwrap();
        assert!(first.is_none() || !again, "what was told was done");
        assert!(!store.insert(entry(0x80)).await.unwrap());
    }
    assert!(given_up > 0);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use tower_jwt_auth::dpop::SqliteReplays;

    use super::*;
    use crate::sqlite::{options, pool};
    use crate::support::Directory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn used_proofs_in_sqlite_keep_every_rule() {
        let directory = Directory::new("proofs");
        let store = SqliteReplays::open(pool(options(&directory)).await);
        let store = store.await.unwrap();
        store.migrate().await.unwrap();
        check_replay_store(&store).await;
        dropped_futures(&store).await;
        let other = SqliteReplays::new(pool(options(&directory)).await);
        one_of_64_passes([store, other]).await;
    }

    #[tokio::test]
    async fn old_proofs_are_removed_from_sqlite() {
        let directory = Directory::new("proofs");
        let database = pool(options(&directory)).await;
        let store = SqliteReplays::open(database.clone()).await.unwrap();
        for number in 0..30 {
            let until = if number < 20 { 1_000 } else { now() * 2 };
            let entry = ReplayEntry::new([number; 32], 0, until);
            assert!(store.insert(entry).await.unwrap());
        }
        let now = SystemTime::now();
        assert_eq!(store.clean_up(now, 15).await.unwrap(), 15);
        assert_eq!(store.clean_up(now, 15).await.unwrap(), 5);
        assert_eq!(store.clean_up(now, 15).await.unwrap(), 0);
        let entry = ReplayEntry::new([0; 32], 0, 1_000);
        assert!(store.insert(entry).await.unwrap());
        let task = store.clean_up_every(Duration::from_secs(60)).unwrap();
        let left = async || {
            let count = sqlx::query_scalar("SELECT count(*) FROM jwt_proofs");
            let count: i64 = count.fetch_one(&database).await.unwrap();
            count
        };
        while left().await > 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(task);
        assert!(store.clean_up_every(Duration::ZERO).is_err());
        let plan = "EXPLAIN QUERY PLAN SELECT digest FROM jwt_proofs WHERE until <= 5 \
                    ORDER BY until LIMIT 5";
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(plan).fetch_all(&database).await.unwrap();
        assert!(
            plan.iter().all(|(.., step)| step.starts_with("SEARCH")),
            "{plan:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_table_is_an_outage() {
        let directory = Directory::new("proofs");
        let client = Client::new(tower_jwt_auth::dpop::MemoryReplays::new()).await;
        let store = SqliteReplays::new(pool(options(&directory)).await);
        let entry = ReplayEntry::new([0; 32], 0, 1);
        let error = store.insert(entry).await.unwrap_err();
        assert!(text(&error).contains("no such table"), "{}", text(&error));
        assert_eq!(client.ask(store, &client.proof()).await, "503 unavailable");
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use tower_jwt_auth::dpop::PostgresReplays;

    use super::*;
    use crate::support::postgres::Server;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn used_proofs_in_postgres_keep_every_rule() {
        let Some(server) = Server::start().await else {
            return;
        };
        let database = server.pool(20).await;
        // Eight nodes start at once.
        let mut nodes: JoinSet<_> = (0..8)
            .map(|_| PostgresReplays::open(database.clone()))
            .collect();
        while let Some(node) = nodes.join_next().await {
            node.unwrap().unwrap();
        }
        let store = PostgresReplays::new(database.clone());
        check_replay_store(&store).await;
        dropped_futures(&store).await;
        let other = PostgresReplays::new(server.pool(20).await);
        one_of_64_passes([store.clone(), other]).await;

        let over = ReplayEntry::new([0; 32], 0, 1_000);
        assert!(store.insert(over).await.unwrap());
        let now = SystemTime::now();
        assert_eq!(store.clean_up(now, 1).await.unwrap(), 1);
        assert!(store.insert(over).await.unwrap());

        let client = Client::new(store.clone()).await;
        let proof = client.proof();
        database.close().await;
        assert_eq!(client.ask(store, &proof).await, "503 unavailable");
    }
}
