//! Checks with statistics that times do not tell who has an account (OWASP ASVS 5.0 V6.3.8).

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{PASSWORD, Service, started};

/// A hash of another kind, which takes far less time, so that it ends on the same step as the others even
/// on a slow machine.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuGGgFFcYeueaAql8Z7U7CnCTRw4DR77W";
const ROUNDS: usize = 12;
/// How often a difference is measured again. Other programs may disturb once, but a leak is always there.
const MEASUREMENTS: usize = 3;
/// What an attacker could see: a shift of the median by this many milliseconds...
const SHIFT: f64 = 5.0;
/// ...if one kind takes longer in this share of all pairs. By chance alone, with this many rounds, that
/// happens less than once in a thousand times.
const LONGER: f64 = 0.88;

/// The milliseconds of one request of each kind in each round. Each round begins with another kind.
async fn times<K: Copy>(kinds: &[K], ask: impl AsyncFn(K, usize)) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); kinds.len()];
    for round in 0..ROUNDS {
        for place in 0..kinds.len() {
            let kind = (round + place) % kinds.len();
            let start = Instant::now();
            ask(kinds[kind], round).await;
            times[kind].push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    times
}

/// Returns whether the times tell the two kinds apart.
fn differ(a: &[f64], b: &[f64]) -> bool {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let longer = pairs.filter(|(a, b)| a > b).count() as f64 / (a.len() * b.len()) as f64;
    (median(a) - median(b)).abs() > SHIFT && !(1.0 - LONGER..=LONGER).contains(&longer)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn assert_alike<K: Copy + std::fmt::Debug>(kinds: &[K], ask: impl AsyncFn(K, usize)) {
    let mut seen = Vec::new();
    for _ in 0..MEASUREMENTS {
        let times = times(kinds, &ask).await;
        let told = (0..kinds.len()).find_map(|a| {
            let b = (0..a).find(|&b| differ(&times[a], &times[b]))?;
            Some((kinds[a], kinds[b], median(&times[a]), median(&times[b])))
        });
        match told {
            Some(told) => seen.push(told),
            None => return,
        }
    }
    panic!("they can be told apart: {seen:?}");
}

async fn forget_failures(service: &Service) {
    sqlx::query("DELETE FROM login_failures")
        .execute(&mut service.database().await)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn response_times_do_not_tell_why_a_login_failed() {
    let service = started!();
    for name in ["known", "disabled", "legacy"] {
        service.register(&format!("{name}@example.com")).await;
    }
    let mut database = service.database().await;
    sqlx::query("UPDATE users SET disabled = TRUE WHERE email = 'disabled@example.com'")
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::query("UPDATE users SET password_hash = $1 WHERE email = 'legacy@example.com'")
        .bind(BCRYPT)
        .execute(&mut database)
        .await
        .unwrap();
    let kinds = [
        ("known", "wrong"),
        ("unknown", "wrong"),
        ("disabled", PASSWORD),
        ("legacy", "wrong"),
    ];
    assert_alike(&kinds, async |(name, password), _| {
        let answer = service
            .login(&format!("{name}@example.com"), password)
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        // A client that has to wait is told so at once, which is not measured here.
        forget_failures(&service).await;
    })
    .await;
}

/// They tell neither whether there is such an account nor whether the password is right.
#[tokio::test(flavor = "multi_thread")]
async fn response_times_do_not_tell_why_one_has_to_wait() {
    let service = started!();
    service.register("locked@example.com").await;
    for name in ["locked", "unknown"] {
        let answer = service.login(&format!("{name}@example.com"), "wrong").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    sqlx::query("UPDATE login_failures SET failures = 60")
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let kinds = [
        ("locked", PASSWORD),
        ("locked", "wrong"),
        ("unknown", "wrong"),
    ];
    assert_alike(&kinds, async |(name, password), _| {
        let answer = service
            .login(&format!("{name}@example.com"), password)
            .await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_times_do_not_tell_whether_an_address_is_registered() {
    let service = started!();
    service.register("known@example.com").await;
    let count = std::sync::atomic::AtomicU32::new(0);
    assert_alike(&[true, false], async |known, _| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let email = match known {
            true => "known@example.com".to_owned(),
            false => format!("unknown{number}@example.com"),
        };
        let answer = service.register(&email).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_times_do_not_tell_whether_an_account_exists() {
    let service = started!();
    service.register("known@example.com").await;
    assert_alike(&["known", "unknown"], async |name, _| {
        let body = json!({ "email": format!("{name}@example.com") });
        let answer = service.post("/auth/password/forgot", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    })
    .await;
}

/// The statistics find a difference if there is one.
#[test]
fn the_timing_test_finds_differences_and_ignores_noise() {
    let noise = |n: usize| (n * 7 % 11) as f64;
    let plain: Vec<_> = (0..ROUNDS).map(|n| 250.0 + noise(n)).collect();
    let same: Vec<_> = (0..ROUNDS).map(|n| 250.0 + noise(n + 3)).collect();
    let slower: Vec<_> = (0..ROUNDS).map(|n| 265.0 + noise(n)).collect();
    assert!(!differ(&plain, &same));
    assert!(differ(&plain, &slower));
    assert!(differ(&slower, &plain));
}
