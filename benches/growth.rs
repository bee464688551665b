//! How the cost of one step grows with what there is of it: sessions, revocations, issuers, tokens, bytes,
//! threads. Prints the tables of the guide's page "Design and measured figures":
//! `cargo bench --bench growth`, with the names of tables to print only those.
//!
//! Ten million sessions take about 8 GB of memory; `GROWTH_SESSIONS=1000000` stops at a million.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // a bench may read the environment

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::sessions::{
    EndReason, EndSessions, MemorySessions, SessionRecord, SessionStore, SessionTarget,
};
use tower_jwt_auth::{Algorithm, Sessions, SigningKey, TokenIssuer, TokenVerifier};

const ISSUER: &str = "https://me.example";
/// The number of rounds of a measurement. The median of them counts.
const ROUNDS: usize = 11;
/// The number of steps in a round.
const STEPS: usize = 2000;
/// The number of sessions of each subject.
const EACH: usize = 4;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let table = |name: &str, print: &dyn Fn()| {
        if wants(name) {
            print();
            println!();
        }
    };
    // First, because it measures the memory of the process.
    table("tokens", &tokens);
    table("bytes", &bytes);
    table("issuers", &issuers);
    table("threads", &threads);
    table("revocations", &|| revocations(&runtime));
    table("sessions", &|| sessions(&runtime));
}

// === The tables ===

fn sessions(runtime: &Runtime) {
    println!(
        "| sessions in memory | refresh | list the {EACH} of a subject | end one |\n|---:|---:|---:|---:|"
    );
    let most = std::env::var("GROWTH_SESSIONS").map_or(10_000_000, |most| most.parse().unwrap());
    let store = MemorySessions::new();
    let issuer = issuer(Algorithm::HS256, ISSUER);
    let sessions = Sessions::builder(&issuer, store.clone()).build().unwrap();
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let mut known = 0;
    for count in powers_of_ten(most) {
        for number in known..count {
            let mut record = SessionRecord::new(id(number), subject(number), now);
            record.expires_at = now + 1_000_000 * 86_400 * 30;
            record.idle_ttl = 1_000_000 * 86_400 * 30;
            runtime.block_on(store.create(&record, None)).unwrap();
        }
        known = count;
        let login = runtime.block_on(sessions.open("alice").issue()).unwrap();
        let mut current = login.refresh_token;
        let refresh = median(|_| {
            let refreshed = runtime.block_on(async {
                let refresh = sessions.refresh(&current).await.unwrap();
                refresh.issue().await.unwrap()
            });
            current = refreshed.tokens.refresh_token;
        });
        let list = median(|step| {
            let subject = subject(scattered(step, count));
            black_box(runtime.block_on(store.list(&subject, now)).unwrap());
        });
        let end = median(|step| {
            let id = id(scattered(step, count));
            let target = SessionTarget::Session(&id);
            let end = EndSessions::new(target, EndReason::Revoked, now);
            black_box(runtime.block_on(store.end(end)).unwrap());
        });
        println!(
            "| {} | {} | {} | {} |",
            grouped(count),
            ns(refresh),
            ns(list),
            ns(end)
        );
    }
}

fn revocations(runtime: &Runtime) {
    println!(
        "| revoked tokens in memory | find one | find that a token is not among them |\n|---:|---:|---:|"
    );
    let store = MemoryRevocations::new();
    let until = UNIX_EPOCH + Duration::from_secs(1 << 36);
    let mut known = 0;
    for count in powers_of_ten(1_000_000) {
        for number in known..count {
            let revocation = Revocation::token(Some(ISSUER), id(number), until);
            runtime.block_on(store.revoke(&[revocation])).unwrap();
        }
        known = count;
        let look_up = |id: &str, expected: bool| {
            let query = RevocationQuery::new("alice", id, 1).with_issuer(ISSUER);
            assert_eq!(store.peek(&query), Some(expected));
        };
        let found = median(|step| look_up(&id(scattered(step, count)), true));
        let absent = median(|step| look_up(&id(count + step), false));
        println!("| {} | {} | {} |", grouped(count), ns(found), ns(absent));
    }
}

fn issuers() {
    println!(
        "| issuers, each with a key | first use of a token | repeated use |\n|---:|---:|---:|"
    );
    for count in powers_of_ten(1000) {
        let issuers: Vec<_> = (0..count)
            .map(|number| {
                issuer(
                    Algorithm::HS256,
                    &format!("https://tenant-{number}.example"),
                )
            })
            .collect();
        let joined = |cached: usize| {
            let one = |issuer: &TokenIssuer| verifier(issuer, cached);
            TokenVerifier::for_issuers(issuers.iter().map(one)).unwrap()
        };
        let tokens: Vec<_> = issuers.iter().map(|issuer| token(issuer, 0)).collect();
        let (first, repeated) = (joined(0), joined(16));
        for _ in 0..20 {
            tokens.iter().for_each(|token| verify(&repeated, token));
        }
        let first = median(|step| verify(&first, &tokens[scattered(step, count)]));
        let repeated = median(|step| verify(&repeated, &tokens[scattered(step, count)]));
        println!("| {} | {} | {} |", grouped(count), ns(first), ns(repeated));
    }
}

fn tokens() {
    println!(
        "| tokens in turns, 16,384 in the cache | a use | of which cached | memory for each |\n|---:|---:|---:|---:|"
    );
    let issuer = issuer(Algorithm::ES256, ISSUER);
    for count in [1, 1000, 10_000, 100_000] {
        let tokens: Vec<_> = (0..count).map(|_| token(&issuer, 0)).collect();
        let before = resident();
        let verifier = verifier(&issuer, 16_384);
        // Zipf's law, as for words: the second token is used half as often as the first, the third a third.
        let sum: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
        let mut shares = Vec::with_capacity(count);
        let mut share = 0.0;
        for rank in 1..=count {
            share += 1.0 / rank as f64 / sum;
            shares.push(share);
        }
        let choose = |step: usize| {
            let random = scattered(step, 1 << 30) as f64 / f64::from(1 << 30);
            shares
                .partition_point(|&share| share < random)
                .min(count - 1)
        };
        for step in 0..(5 * count).max(300_000) {
            verify(&verifier, &tokens[choose(step)]);
        }
        let bytes = resident().saturating_sub(before) / count.min(16_384);
        let (mut cached, mut all) = (0, 0);
        let use_one = median(|step| {
            let verified = verifier.verify_local(&tokens[choose(step * 31)]).unwrap();
            all += 1;
            cached += usize::from(verified.is_cached());
        });
        let memory = if count < 1000 {
            "-".to_owned()
        } else {
            format!("{bytes} bytes")
        };
        println!(
            "| {} | {} | {} % | {memory} |",
            grouped(count),
            ns(use_one),
            100 * cached / all
        );
    }
}

fn bytes() {
    println!(
        "| length of the token | first use, HS256 | repeated use | first use, ES256 | repeated use |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for length in [400, 1000, 2000, 4000, 8000] {
        print!("| {} |", grouped(length));
        for algorithm in [Algorithm::HS256, Algorithm::ES256] {
            let issuer = issuer(algorithm, ISSUER);
            let token = token(&issuer, length);
            let (first, repeated) = (verifier(&issuer, 0), verifier(&issuer, 16));
            (0..20).for_each(|_| verify(&repeated, &token));
            let first = median(|_| verify(&first, &token));
            let repeated = median(|_| verify(&repeated, &token));
            print!(" {} | {} |", ns(first), ns(repeated));
        }
        println!();
    }
}

fn threads() {
    println!("| threads | first use of a token, ES256 | repeated use |\n|---:|---:|---:|");
    let issuer = issuer(Algorithm::ES256, ISSUER);
    let tokens: Vec<_> = (0..1000).map(|_| token(&issuer, 0)).collect();
    for threads in [1, 2] {
        let [first, repeated] = [0, 16_384].map(|cached| {
            let verifier = verifier(&issuer, cached);
            for _ in 0..20 {
                tokens.iter().for_each(|token| verify(&verifier, token));
            }
            let barrier = Barrier::new(threads);
            let work = || {
                barrier.wait();
                median(|step| verify(&verifier, &tokens[scattered(step, tokens.len())]))
            };
            std::thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                let each = running.into_iter().map(|one| one.join().unwrap());
                each.max().unwrap() / u32::try_from(threads).unwrap()
            })
        });
        println!("| {threads} | {} | {} |", ns(first), ns(repeated));
    }
}

// === What they share ===

/// Returns the time of one step, as the median of the rounds. `one` is given the number of the step.
fn median(mut one: impl FnMut(usize)) -> Duration {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|round| {
            let start = Instant::now();
            (0..STEPS).for_each(|step| one(round * STEPS + step));
            start.elapsed() / u32::try_from(STEPS).unwrap()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn powers_of_ten(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |count| Some(count * 10)).take_while(move |count| *count <= most)
}

/// Returns a number below `count`, in an order that a processor cannot predict.
fn scattered(step: usize, count: usize) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio
    let mixed = (step as u64 + 1).wrapping_mul(GOLDEN);
    ((u128::from(mixed) * count as u128) >> 64) as usize
}

/// Returns an id as long as those of this crate.
fn id(number: usize) -> String {
    format!("{number:032}")
}

fn subject(number: usize) -> String {
    format!("user-{:07}", number / EACH)
}

fn issuer(algorithm: Algorithm, name: &str) -> TokenIssuer {
    let key = SigningKey::generate(algorithm).unwrap();
    let builder = TokenIssuer::builder(key).issuer(name).audience("api");
    builder.build().unwrap()
}

/// A verifier without a revocation store, which caches this many tokens.
fn verifier(issuer: &TokenIssuer, cached: usize) -> TokenVerifier {
    let builder = issuer.verifier_builder().cached_tokens(cached);
    builder.build().unwrap()
}

/// A token of at most `length` bytes, or a short one.
fn token(issuer: &TokenIssuer, length: usize) -> String {
    let with = |more: usize| {
        let claims: BTreeMap<String, String> = (0..more.div_ceil(40))
            .map(|number| (format!("claim{number}"), "x".repeat(27.min(more))))
            .collect();
        let token = issuer.access("alice").scope("read").claims(claims);
        token.issue().unwrap()
    };
    let mut more = 0;
    while with(more + 20).len() <= length {
        more += 20;
    }
    with(more)
}

fn verify(verifier: &TokenVerifier, token: &str) {
    black_box(verifier.verify_local(token).unwrap());
}

/// The memory of the process, in bytes, or zero if the system does not report it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

fn ns(time: Duration) -> String {
    format!("{} ns", grouped(usize::try_from(time.as_nanos()).unwrap()))
}

/// Writes a number with a comma for each thousand.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
