//! Sessions: step by step compared with the in-memory store, one winner among many, limits under concurrency.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tower_jwt_auth::clock::{Clock, SystemClock};
use tower_jwt_auth::sessions::{
    CreateOutcome, EndReason, EndSessions, EndedSession, MemorySessions, RedisSessions, Rotation,
    RotationOutcome, SessionLimit, SessionRecord, SessionStore, SessionTarget, WhenFull,
};

use crate::server::{Server, patient};

pub(crate) const HOUR: u64 = 3_600_000_000;

pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

pub(crate) fn now() -> u64 {
    micros(SystemClock.now())
}

pub(crate) fn session(id: &str, subject: &str, now: u64) -> SessionRecord {
    let mut record = SessionRecord::new(id, subject, now);
    record.token_id = format!("{id}-0");
    record.idle_ttl = 10 * HOUR;
    record.expires_at = now + 24 * HOUR;
    record
}

/// Random numbers that are the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

fn sorted(mut ended: Vec<EndedSession>) -> Vec<EndedSession> {
    ended.sort_by(|a, b| a.id.cmp(&b.id));
    ended
}

/// `MemorySessions` is the reference: each result is compared with its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_has_the_same_result_as_in_the_memory_store() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    for seed in 0..12 {
        let redis = RedisSessions::new(server.patient().await);
        let redis = redis.prefix(&format!("{seed}:"));
        compare(&redis, Dice::new(seed), 400).await;
    }
}

pub(crate) async fn compare(redis: &impl SessionStore, mut dice: Dice, steps: u32) {
    let memory = MemorySessions::new();
    // The store removes nothing by a clock that is more than a day ahead of the server's.
    let latest = now() + 20 * HOUR;
    let mut now = now();
    let mut opened = 0;
    let mut seen = BTreeSet::new();
    for step in 0..steps {
        now += [1, 1_000_000, 9_000_000, 11_000_000, HOUR / 4, 3 * HOUR][dice.roll(6) as usize];
        let subject = ["alice", "bob}{", ""][dice.roll(3) as usize];
        let id = format!("s{}}}", dice.roll(opened + 1));
        match dice.roll(14) {
            0..=2 => {
                let mut record = session(&format!("s{opened}}}"), subject, now);
                record.label = (dice.roll(2) == 0).then(|| "a \"phone\"\0".to_owned());
                record.generation = dice.roll(3);
                record.client = [None, Some("a".to_owned())][dice.roll(2) as usize].take();
                opened += 1;
                let limit = (dice.roll(3) > 0).then(|| {
                    let max = 1 + u32::try_from(dice.roll(3)).unwrap();
                    let when_full = [WhenFull::Refuse, WhenFull::EndOldest][dice.roll(2) as usize];
                    SessionLimit::new(max, when_full)
                });
                let sorted = |created| match created {
                    CreateOutcome::Opened { ended } => CreateOutcome::Opened {
                        ended: sorted(ended),
                    },
                    other => other,
                };
                let expected = sorted(memory.create(&record, limit).await.unwrap());
                let got = sorted(redis.create(&record, limit).await.unwrap());
                assert_eq!(got, expected, "step {step}: {limit:?}");
            }
            3..=8 => {
                let generation = dice.roll(8);
                let mut rotation = Rotation::new(&id, generation, format!("t{step}"), now);
                rotation.lost_response_grace = [u64::MAX, HOUR, 0][dice.roll(3) as usize];
                rotation.max_lost_responses = 1 + u32::try_from(dice.roll(3)).unwrap();
                let client = [None, Some("a"), Some("a"), Some("b")][dice.roll(4) as usize];
                rotation.client = client.map(str::to_owned);
                let expected = memory.rotate(&rotation).await.unwrap();
                let got = redis.rotate(&rotation).await.unwrap();
                assert_eq!(got, expected, "step {step}: {rotation:?}");
                seen.insert(format!("{:?}", rotation.outcome(got.as_ref())));
                // The cluster driver may send it twice.
                let twice = memory.rotate(&rotation).await.unwrap();
                let again = redis.rotate(&rotation).await.unwrap();
                assert_eq!(again, twice, "step {step}: {rotation:?}");
                let outcome = rotation.outcome(again.as_ref());
                assert_eq!(outcome, rotation.outcome(expected.as_ref()), "step {step}");
            }
            9 => {
                let generation = dice.roll(8);
                memory.acknowledge(&id, generation).await.unwrap();
                redis.acknowledge(&id, generation).await.unwrap();
            }
            10 | 11 => {
                let expected = memory.list(subject, now).await.unwrap();
                assert_eq!(
                    redis.list(subject, now).await.unwrap(),
                    expected,
                    "step {step}"
                );
            }
            12 => {
                let session = id.as_str();
                let target = match dice.roll(4) {
                    0 => SessionTarget::Session(session),
                    1 => SessionTarget::SessionOf { session, subject },
                    2 => SessionTarget::OthersOf { session, subject },
                    _ => SessionTarget::Subject(subject),
                };
                let mut end = EndSessions::new(target, EndReason::Revoked, now);
                end.ended_since = now - 4 * HOUR * dice.roll(4);
                let expected = memory.end(end).await.unwrap();
                let got = redis.end(end).await.unwrap();
                assert_eq!(sorted(got), sorted(expected), "step {step}: {end:?}");
            }
            _ => {
                let before = latest.min(now - HOUR * dice.roll(3));
                let expected = memory.clean_up(before, 1000).await.unwrap();
                let got = redis.clean_up(before, 1000).await.unwrap();
                assert_eq!(got, expected, "step {step}");
            }
        }
    }
    assert!(seen.len() > 4, "{seen:?}");
}

/// A node whose clock was ahead when it started.
#[tokio::test]
async fn a_clock_that_is_40_days_ahead_removes_no_open_session() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::connect(server.url()).await.unwrap();
    let mut open = session("a", "alice", now());
    open.idle_ttl = 30 * 24 * HOUR;
    open.expires_at = now() + open.idle_ttl;
    store.create(&open, None).await.unwrap();
    let ahead = now() + 40 * 24 * HOUR;
    assert_eq!(store.clean_up(ahead, 10).await.unwrap(), 0);
    assert_eq!(store.list("alice", now()).await.unwrap(), [open]);
    // One that is over is still removed at its time.
    let end = EndSessions::new(SessionTarget::Session("a"), EndReason::Revoked, now());
    store.end(end).await.unwrap();
    assert_eq!(store.clean_up(now() + HOUR, 10).await.unwrap(), 1);
}

/// One process carries out its share of the rotations.
async fn rotate_at_once(store: &RedisSessions, session: &str, calls: u32) -> Vec<(bool, String)> {
    let mut tasks = JoinSet::new();
    let now = now();
    for call in 0..calls {
        let (store, session) = (store.clone(), session.to_owned());
        let token_id = format!("{}-{call}", std::process::id());
        tasks.spawn(async move {
            let rotation = Rotation::new(session, 0, token_id, now);
            let after = store.rotate(&rotation).await.unwrap();
            let rotated = match rotation.outcome(after.as_ref()) {
                RotationOutcome::Rotated { rewound: false } => true,
                RotationOutcome::Converged(_) => false,
                other => panic!("{other:?}"),
            };
            (rotated, after.unwrap().token_id)
        });
    }
    tasks.join_all().await
}

fn assert_one_winner(outcomes: &[(bool, String)]) {
    assert_eq!(outcomes.len(), 64);
    assert_eq!(outcomes.iter().filter(|(rotated, _)| *rotated).count(), 1);
    let tokens: BTreeSet<_> = outcomes.iter().map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_rotations_at_once_one_rotates_and_the_others_converge() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::new(server.patient().await);
    for round in 0..20 {
        let id = format!("s{round}");
        store
            .create(&session(&id, "alice", now()), None)
            .await
            .unwrap();
        assert_one_winner(&rotate_at_once(&store, &id, 64).await);
    }
}

const CHILD: &str = "JWT_REDIS_TEST_CHILD";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_rotations_in_4_processes_one_rotates() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    let store = RedisSessions::new(server.patient().await);
    store
        .create(&session("s", "alice", now()), None)
        .await
        .unwrap();
    let start = now() + 1_000_000;
    let children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sessions::child", "--nocapture"])
                .env(CHILD, format!("{} {start}", server.url()))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut outcomes = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        outcomes.extend(text.lines().filter_map(|line| {
            let (rotated, token) = line.split_once("outcome ")?.1.split_once(' ')?;
            Some((rotated == "true", token.to_owned()))
        }));
    }
    assert_one_winner(&outcomes);
}

/// Not a test of its own: one of the processes above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, clippy::print_stdout)] // tells its parent
async fn child() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (url, start) = told.split_once(' ').unwrap();
    let store = RedisSessions::new(patient(url).await);
    let wait = start.parse::<u64>().unwrap().saturating_sub(now());
    tokio::time::sleep(Duration::from_micros(wait)).await;
    println!();
    for (rotated, token) in rotate_at_once(&store, "s", 16).await {
        println!("outcome {rotated} {token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_when_all_log_in_at_once() {
    let Some(server) = Server::start(&[]).await else {
        return;
    };
    for when_full in [WhenFull::Refuse, WhenFull::EndOldest] {
        let subject = format!("{when_full:?}");
        let mut tasks = JoinSet::new();
        for login in 0..24 {
            let (url, subject) = (server.url(), subject.clone());
            tasks.spawn(async move {
                let store = RedisSessions::new(patient(&url).await);
                let record = session(&format!("{subject}{login}"), &subject, now());
                let limit = Some(SessionLimit::new(3, when_full));
                store.create(&record, limit).await.unwrap()
            });
        }
        let created = tasks.join_all().await;
        let full = created
            .iter()
            .filter(|created| **created == CreateOutcome::Full)
            .count();
        let store = RedisSessions::new(server.patient().await);
        let live = store.list(&subject, now()).await.unwrap();
        assert_eq!(live.len(), 3, "{when_full:?}");
        assert_eq!(full, if when_full == WhenFull::Refuse { 21 } else { 0 });
    }
}
