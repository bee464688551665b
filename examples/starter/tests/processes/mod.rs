//! Several processes of the program at one place.

mod clocks;
mod log; // chapter: second-factor

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::json;
use tower_jwt_auth::revocation::DEFAULT_REVOCATION_CACHE_FOR;

use crate::support::program::{self, Running};
use crate::support::{Client, PASSWORD, Place, Tokens, random_ip};
use crate::{empty_place, new_place};

/// Starts the program at this place, where it also finds the development key.
fn start(place: &Place) -> (Running, Client) {
    start_with(place, &[("RATE_LIMIT_PER_MINUTE", "0")])
}

fn start_with(place: &Place, variables: &[(&str, &str)]) -> (Running, Client) {
    let mut command = program::service(place.folder.path());
    command.envs(variables.iter().copied());
    command.env("DATABASE_URL", &place.database_url);
    if let Some(url) = &place.redis_url {
        command.env("REDIS_URL", url);
    }
    let running = Running::start(command);
    let client = Client::new(running.socket());
    (running, client)
}

/// Waits until the access token is refused. Returns how long after the call the last successful request was
/// sent: unlike the end of the wait, that is the same on a busy machine.
async fn accepted_for(client: &Client, tokens: &Tokens) -> Duration {
    let start = Instant::now();
    let mut last = Duration::ZERO;
    loop {
        let sent = start.elapsed();
        let answer = client.get("/me", &tokens.access).await;
        if answer.status != StatusCode::OK {
            answer.assert_invalid_token();
            return last;
        }
        last = sent;
        assert!(
            last < DEFAULT_REVOCATION_CACHE_FOR,
            "a revoked token is still accepted"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn other_processes_refuse_revoked_tokens_within_the_lag() {
    let Some(place) = new_place().await else {
        return;
    };
    let processes = [start(&place), start(&place), start(&place)];
    let [a, b, c] = processes.each_ref().map(|(_, client)| client);
    let out = a.user("ada@example.com").await;
    let first = b.login("ada@example.com", PASSWORD).await.tokens();
    let other = c.login("ada@example.com", PASSWORD).await.tokens();
    for client in [a, b, c] {
        for tokens in [&out, &first, &other] {
            let me = client.get("/me", &tokens.access).await;
            assert_eq!(me.status, StatusCode::OK);
        }
        assert_eq!(client.sessions(&out.access).await.len(), 3);
    }

    let answer = a.logout(&out.access).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    a.assert_over(&out).await;
    accepted_for(b, &out).await;
    accepted_for(c, &out).await;
    for client in [a, b, c] {
        client.assert_over(&out).await;
        let me = client.get("/me", &first.access).await;
        assert_eq!(me.status, StatusCode::OK);
    }

    // A session continues at any process, and any process detects a stolen token.
    let second = c.refresh(&first.refresh).await.tokens();
    let third = a.refresh(&second.refresh).await.tokens();
    b.refresh(&first.refresh).await.assert_invalid_grant();
    c.refresh(&third.refresh).await.assert_invalid_grant();
    accepted_for(a, &third).await;
    accepted_for(c, &first).await;

    let all = b.send(Method::POST, "/auth/logout-all", &other.access);
    assert_eq!(all.await.status, StatusCode::NO_CONTENT);
    accepted_for(a, &other).await;
    accepted_for(c, &other).await;
    let again = c.login("ada@example.com", PASSWORD).await.tokens();
    a.assert_good(&again).await;
}

/// With Redis a revocation is pushed to the other processes, which need not wait until their data is too old.
/// A busy machine may delay some of the pushes.
#[tokio::test]
async fn revocations_are_pushed_with_redis() {
    let Some(place) = new_place().await else {
        return;
    };
    if place.redis_url.is_none() {
        return;
    }
    let (one, other) = (start(&place), start(&place));
    one.1.register("ada@example.com").await;
    for _ in 0..20 {
        let tokens = one.1.login("ada@example.com", PASSWORD).await.tokens();
        let me = other.1.get("/me", &tokens.access).await;
        assert_eq!(me.status, StatusCode::OK);
        let answer = one.1.logout(&tokens.access).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        if accepted_for(&other.1, &tokens).await < DEFAULT_REVOCATION_CACHE_FOR / 2 {
            return;
        }
    }
    panic!("none of 20 revocations was pushed");
}

async fn attempt(client: &Client, ip: &str) -> StatusCode {
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", ip),
    ];
    let body = json!({ "email": "nobody@example.com", "password": PASSWORD }).to_string();
    let path = "/auth/login";
    client
        .request(Method::POST, path, &headers, body)
        .await
        .status
}

#[tokio::test]
async fn failures_are_counted_by_all_processes_together() {
    let Some(place) = new_place().await else {
        return;
    };
    let processes = [start(&place), start(&place), start(&place)];
    for number in 0..10 {
        let status = attempt(&processes[number % 3].1, "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    for (_, client) in &processes {
        assert_eq!(attempt(client, "").await, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn rate_limits_are_shared_only_with_redis() {
    let Some(place) = new_place().await else {
        return;
    };
    let variables = [
        ("RATE_LIMIT_PER_MINUTE", "2"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let processes = [(); 3].map(|()| start_with(&place, &variables));
    let ip = random_ip();
    let mut passed = 0;
    for _ in 0..3 {
        for (_, client) in &processes {
            let status = attempt(client, &ip).await;
            passed += u32::from(status != StatusCode::TOO_MANY_REQUESTS);
        }
    }
    let expected = if place.redis_url.is_some() { 2 } else { 6 };
    assert_eq!(passed, expected);
}

#[tokio::test]
async fn registrations_at_several_processes_make_one_account() {
    let Some(place) = new_place().await else {
        return;
    };
    let processes = [start(&place), start(&place)];
    let racers: Vec<_> = (0..8)
        .map(|number| {
            let client = processes[number % 2].1.clone();
            let password = format!("{PASSWORD} {number}");
            tokio::spawn(async move {
                let account = json!({ "email": "ada@example.com", "password": password });
                (
                    client.post("/auth/register", &account).await.status,
                    password,
                )
            })
        })
        .collect();
    let mut logins = 0;
    for racer in racers {
        let (status, password) = racer.await.unwrap();
        // A slow machine may refuse some passwords with 503.
        assert!([StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE].contains(&status));
        let login = processes[0].1.login("ada@example.com", &password).await;
        logins += u32::from(login.status == StatusCode::OK);
    }
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn killing_a_process_logs_nobody_out() {
    let Some(place) = new_place().await else {
        return;
    };
    let (running, client) = start(&place);
    let mut tokens = client.user("ada@example.com").await;
    drop(running); // SIGKILL

    let mut lost = 0;
    for delay in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 30] {
        let (running, client) = start(&place);
        // Whatever happened to the last response, the client continues with the token that it has. It
        // refreshes once more without a kill, because five lost responses in a row look like theft.
        for _ in 0..2 {
            tokens = client.refresh(&tokens.refresh).await.tokens();
            let me = client.get("/me", &tokens.access).await;
            assert_eq!(me.status, StatusCode::OK);
        }

        let answer = tokio::spawn({
            let (client, token) = (client.clone(), tokens.refresh.clone());
            async move { client.try_refresh(&token).await }
        });
        tokio::time::sleep(Duration::from_millis(delay)).await;
        drop(running); // SIGKILL, before, during or after the response
        match answer.await.unwrap() {
            Some(answer) => tokens = answer.tokens(),
            None => lost += 1,
        }
    }
    assert!(
        lost > 0,
        "no response was lost, so the delays prove nothing here"
    );
}

/// What the clients were told, and may rely on.
#[derive(Default)]
struct Told {
    accounts: Vec<String>,
    /// Sessions that nobody has ended, with their last tokens.
    open: Vec<Tokens>,
    ended: Vec<Tokens>,
}

/// The responses of one round, as they arrive.
type Answers = Arc<Mutex<Told>>;

/// Registers, logs in, refreshes, and logs out of every other session, until the program is killed.
async fn use_it(client: Client, name: String, answers: Answers) {
    for count in 0.. {
        let email = format!("{name}-{count}@example.com");
        let account = json!({ "email": email, "password": PASSWORD });
        let registered = client.try_post("/auth/register", "", &account).await;
        if registered.is_none_or(|answer| answer.status != StatusCode::ACCEPTED) {
            return;
        }
        answers.lock().unwrap().accounts.push(email);
        let Some(login) = client.try_post("/auth/login", "", &account).await else {
            return;
        };
        let mut tokens = login.tokens();
        for _ in 0..3 {
            // Without a response, the client continues with its old token, which is still valid.
            let Some(answer) = client.try_refresh(&tokens.refresh).await else {
                answers.lock().unwrap().open.push(tokens);
                return;
            };
            tokens = answer.tokens();
        }
        if count % 2 == 0 {
            answers.lock().unwrap().open.push(tokens);
            continue;
        }
        let logout = client
            .try_post("/auth/logout", &tokens.access, &json!({}))
            .await;
        let Some(logout) = logout else {
            return; // it may have happened or not
        };
        assert_eq!(logout.status, StatusCode::NO_CONTENT);
        answers.lock().unwrap().ended.push(tokens);
    }
}

/// Waits until this many accounts were made and this many sessions ended, however long that takes.
async fn enough(answers: &Answers, accounts: usize, ended: usize) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        {
            let told = answers.lock().unwrap();
            if told.accounts.len() >= accounts && told.ended.len() >= ended {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no request gets a response");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_changes_survive_kills_under_load() {
    let Some(place) = new_place().await else {
        return;
    };
    let mut all = Told::default();
    for (round, (accounts, ended)) in [(2, 0), (4, 1), (1, 0), (6, 2), (4, 0)].iter().enumerate() {
        let (running, client) = start(&place);
        // Each client that lost a response comes back at once. In a session of which no access token was
        // used, the token still works within a minute.
        for tokens in &mut all.open {
            *tokens = client.refresh(&tokens.refresh).await.tokens();
        }
        let answers = Answers::default();
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let name = format!("user-{round}-{number}");
                tokio::spawn(use_it(client.clone(), name, answers.clone()))
            })
            .collect();
        enough(&answers, *accounts, *ended).await;
        drop(running); // SIGKILL, while the clients are working
        for client in clients {
            client.await.unwrap();
        }
        let told = std::mem::take(&mut *answers.lock().unwrap());
        all.accounts.extend(told.accounts);
        all.open.extend(told.open);
        all.ended.extend(told.ended);
    }
    let (_running, client) = start(&place);
    for tokens in &all.ended {
        client.assert_over(tokens).await;
    }
    assert!(!all.open.is_empty());
    for tokens in &all.open {
        client.refresh(&tokens.refresh).await.tokens();
    }
    for email in &all.accounts {
        client.login(email, PASSWORD).await.tokens();
    }
}

#[tokio::test]
async fn processes_that_start_at_once_migrate_the_database_once() {
    let Some(place) = empty_place().await else {
        return;
    };
    let started: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| start(&place))).collect();
        starting
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let tokens = started[0].1.user("ada@example.com").await;
    for (_, client) in &started {
        let me = client.get("/me", &tokens.access).await;
        assert_eq!(me.status, StatusCode::OK);
    }
}
