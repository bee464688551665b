//! Several processes of the program at one place.

mod clocks;
mod log; // chapter: second-factor

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::json;
use tower_jwt_auth::revocation::DEFAULT_LAG;

use crate::new_place;
use crate::support::program::{self, Running};
use crate::support::{Client, PASSWORD, Place, Tokens, random_ip};

/// The program at this place. It finds the key for development there too.
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

/// How long it takes until the access token is refused.
async fn refused_after(client: &Client, tokens: &Tokens) -> Duration {
    let start = Instant::now();
    loop {
        let answer = client.get("/me", &tokens.access).await;
        if answer.status != StatusCode::OK {
            answer.assert_invalid_token();
            return start.elapsed();
        }
        let late = DEFAULT_LAG + Duration::from_secs(2);
        assert!(start.elapsed() < late, "a revoked token still passes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_one_process_revokes_the_others_refuse_within_the_lag() {
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
    let waits = [refused_after(b, &out).await, refused_after(c, &out).await];
    if place.redis_url.is_some() {
        // It is told, and not waited for.
        assert!(
            waits.iter().sum::<Duration>() < DEFAULT_LAG / 2,
            "{waits:?}"
        );
    }
    for client in [a, b, c] {
        client.assert_over(&out).await;
        let me = client.get("/me", &first.access).await;
        assert_eq!(me.status, StatusCode::OK);
    }

    // A session goes on at whichever process is asked, and a stolen token is found there.
    let second = c.refresh(&first.refresh).await.tokens();
    let third = a.refresh(&second.refresh).await.tokens();
    b.refresh(&first.refresh).await.assert_invalid_grant();
    c.refresh(&third.refresh).await.assert_invalid_grant();
    refused_after(a, &third).await;
    refused_after(c, &first).await;

    let all = b.send(Method::POST, "/auth/logout-all", &other.access);
    assert_eq!(all.await.status, StatusCode::NO_CONTENT);
    refused_after(a, &other).await;
    refused_after(c, &other).await;
    let again = c.login("ada@example.com", PASSWORD).await.tokens();
    a.assert_good(&again).await;
}

/// An attempt from this address; there is no such account.
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
async fn rate_limits_are_shared_in_redis_and_else_each_process_has_its_own() {
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
async fn of_registrations_at_several_processes_one_makes_the_account() {
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
        // A slow machine may turn some passwords away.
        assert!([StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE].contains(&status));
        let login = processes[0].1.login("ada@example.com", &password).await;
        logins += u32::from(login.status == StatusCode::OK);
    }
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn a_program_that_is_killed_while_it_answers_logs_nobody_out() {
    let Some(place) = new_place().await else {
        return;
    };
    let (running, client) = start(&place);
    let mut tokens = client.user("ada@example.com").await;
    drop(running); // SIGKILL

    let mut lost = 0;
    for delay in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 30] {
        let (running, client) = start(&place);
        // Whatever became of the last answer, the client goes on with the token that it has, and
        // refreshes once more in peace: responses that are lost five times in a row look like theft.
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
        drop(running); // SIGKILL, before, in, or after the answer
        match answer.await.unwrap() {
            Some(answer) => tokens = answer.tokens(),
            None => lost += 1,
        }
    }
    assert!(
        lost > 0,
        "no answer was lost: the delays prove nothing here"
    );
}

/// What the clients were told, and may rely on from then on.
#[derive(Default)]
struct Told {
    accounts: Vec<String>,
    /// Sessions that nobody ended, by their last tokens.
    open: Vec<Tokens>,
    ended: Vec<Tokens>,
}

// === impl Told ===

impl Told {
    fn is_enough(&self) -> bool {
        self.accounts.len() >= 6 && self.open.len() >= 3 && !self.ended.is_empty()
    }
}

/// Registers, logs in, refreshes, and logs out of every other session, until the program is gone.
async fn use_it(client: Client, name: String) -> Told {
    let mut told = Told::default();
    for count in 0.. {
        let email = format!("{name}-{count}@example.com");
        let account = json!({ "email": email, "password": PASSWORD });
        let registered = client.try_post("/auth/register", "", &account).await;
        if registered.is_none_or(|answer| answer.status != StatusCode::ACCEPTED) {
            break;
        }
        told.accounts.push(email);
        let Some(login) = client.try_post("/auth/login", "", &account).await else {
            break;
        };
        let mut tokens = login.tokens();
        for _ in 0..3 {
            // Without an answer the client goes on with what it has: that is still good.
            let Some(answer) = client.try_refresh(&tokens.refresh).await else {
                told.open.push(tokens);
                return told;
            };
            tokens = answer.tokens();
        }
        if count % 2 == 0 {
            told.open.push(tokens);
            continue;
        }
        let logout = client
            .try_post("/auth/logout", &tokens.access, &json!({}))
            .await;
        let Some(logout) = logout else {
            break; // it may have happened, or not
        };
        assert_eq!(logout.status, StatusCode::NO_CONTENT);
        told.ended.push(tokens);
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_outlives_kills_under_load() {
    let Some(place) = new_place().await else {
        return;
    };
    let mut all = Told::default();
    for round in 0.. {
        // Enough to prove something; a slow machine gets more and longer rounds.
        if round >= 5 && all.is_enough() {
            break;
        }
        let Told { accounts, .. } = &all;
        assert!(
            round < 30,
            "{} accounts: too little to prove anything",
            accounts.len()
        );
        let time = [700, 350, 900, 500, 800][round % 5] * (1 + round as u64 / 5);
        let (running, client) = start(&place);
        // Each client whose answer was lost comes back at once: within the minute in which a token
        // is good again in a session of which no access token was used.
        for tokens in &mut all.open {
            *tokens = client.refresh(&tokens.refresh).await.tokens();
        }
        let clients: Vec<_> = (0..4)
            .map(|number| tokio::spawn(use_it(client.clone(), format!("user-{round}-{number}"))))
            .collect();
        tokio::time::sleep(Duration::from_millis(time)).await;
        drop(running); // SIGKILL
        for client in clients {
            let told = client.await.unwrap();
            all.accounts.extend(told.accounts);
            all.open.extend(told.open);
            all.ended.extend(told.ended);
        }
    }
    let Told {
        accounts,
        open,
        ended,
    } = all;
    let (_running, client) = start(&place);
    for tokens in &ended {
        client.assert_over(tokens).await;
    }
    for tokens in &open {
        client.refresh(&tokens.refresh).await.tokens();
    }
    for email in &accounts {
        client.login(email, PASSWORD).await.tokens();
    }
}

#[tokio::test]
async fn programs_that_start_at_once_bring_the_database_up_to_date_together() {
    let Some(place) = new_place().await else {
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
