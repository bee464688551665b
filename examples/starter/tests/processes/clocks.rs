//! Two processes with different clocks, and one whose clock was wrong for a while.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::start_with;
use crate::new_place;
use crate::support::program::Running;
use crate::support::{Client, Folder, PASSWORD, Place, clock, mail};

const EMAIL: &str = "ada@example.com";
const DAY: i64 = 24 * 3600;

/// Starts a process whose clock is this many seconds ahead.
fn start(place: &Place, library: &str, ahead: i64) -> (Running, Client) {
    let ahead = ahead.to_string();
    start_with(
        place,
        &[
            ("RATE_LIMIT_PER_MINUTE", "0"),
            ("PUBLIC_URL", "https://app.test"),
            ("LD_PRELOAD", library),
            ("CLOCK_AHEAD", &ahead),
        ],
    )
}

/// The date in responses of a process shows its clock.
async fn assert_ahead(client: &Client, seconds: u64) {
    let tokens = client.login(EMAIL, PASSWORD).await.tokens();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let issued = tokens.claims()["iat"].as_u64().unwrap();
    assert!(
        (now + seconds - 60..=now + seconds).contains(&issued),
        "{issued} at {now}"
    );
}

#[tokio::test]
async fn different_clocks_refuse_no_right_password() {
    let folder = Folder::new("clock");
    let (Some(library), Some(place)) = (clock::library(&folder), new_place().await) else {
        return;
    };
    let library = library.to_str().unwrap();
    let processes = [start(&place, library, 0), start(&place, library, 2)];
    let [here, ahead] = processes.each_ref().map(|(_, client)| client);
    here.user(EMAIL).await;
    for _ in 0..5 {
        ahead.login(EMAIL, PASSWORD).await.tokens();
        here.login(EMAIL, PASSWORD).await.tokens();
        let wrong = ahead.login(EMAIL, "wrong").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        here.login(EMAIL, PASSWORD).await.tokens();
    }
}

#[tokio::test]
async fn a_clock_that_was_40_days_ahead_locks_nobody_out() {
    let folder = Folder::new("clock");
    let (Some(library), Some(place)) = (clock::library(&folder), new_place().await) else {
        return;
    };
    let library = library.to_str().unwrap();
    let (here, client) = start(&place, library, 0);
    client.user(EMAIL).await;
    let mail = place.folder.path().join("data/mail");
    mail::Letter::wait(&mail, EMAIL, 1).await;

    let forty = 40 * DAY;
    let (wrong, wrong_client) = start(&place, library, forty);
    assert_ahead(&wrong_client, u64::try_from(forty).unwrap()).await;
    // As many links as are allowed, and as many failures as cause a wait.
    for letter in 2..7 {
        let body = json!({ "email": EMAIL });
        wrong_client.post("/auth/password/forgot", &body).await;
        mail::Letter::wait(&mail, EMAIL, letter).await;
    }
    for _ in 0..11 {
        wrong_client.login(EMAIL, "wrong").await;
    }
    drop(wrong);

    // A wait that began in the future begins now, and ends.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let answer = client.login(EMAIL, PASSWORD).await;
        if answer.status == StatusCode::OK {
            break;
        }
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!(wait <= 5, "{wait}");
        assert!(tokio::time::Instant::now() < deadline, "a wait without end");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    client.login(EMAIL, PASSWORD).await.tokens();

    // Links from the future do not work, and do not prevent another one.
    let before = mail::Letter::all(&mail, EMAIL);
    let future = mail::Letter::wait(&mail, EMAIL, 6).await;
    let reset = async |token: &str| {
        let body = json!({ "token": token, "new_password": PASSWORD }).to_string();
        let headers = [("content-type", "application/json")];
        let path = "/auth/password/reset";
        client.request(Method::POST, path, &headers, body).await
    };
    let answer = reset(&future.token("reset-password")).await;
    assert_eq!(answer.code(), "invalid_link");
    let body = json!({ "email": EMAIL });
    client.post("/auth/password/forgot", &body).await;
    mail::Letter::wait(&mail, EMAIL, 7).await;
    // They are sorted by the clock of their process.
    let mut letters = mail::Letter::all(&mail, EMAIL).into_iter();
    let new = |letter: &mail::Letter| before.iter().all(|old| old.text != letter.text);
    let letter = letters.find(new).expect("another letter");
    let answer = reset(&letter.token("reset-password")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    drop(here);
}
