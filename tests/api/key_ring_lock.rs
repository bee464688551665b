//! A ring in a file while another process hangs and holds the lock, or changes the file by hand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tower_jwt_auth::clock::{Clock, ManualClock, SystemClock};
use tower_jwt_auth::keys::{KeySource, KeySourceState, KeyState};
use tower_jwt_auth::{Algorithm, AuthErrorKind, KeyRing, SigningKey, TokenIssuer, TokenVerifier};

use crate::key_ring_support::{
    DAY, Folder, PATIENCE, active, eventually, file_of, read, rotating, states, write,
};
use crate::support::{NOW, ring_issuer as issuer};

/// Another process that hangs while it holds the lock, until the value is dropped.
///
/// The lock belongs to an open file, so a second handle in this process has the same effect as a second
/// process.
struct HungProcess(#[allow(dead_code)] File);

impl HungProcess {
    fn locks(key_file: &Path) -> Self {
        let mut lock = File::options();
        let lock = lock.write(true).create(true).truncate(false);
        let lock = lock.open(lock_of(key_file)).unwrap();
        fs4::FileExt::lock(&lock).unwrap();
        Self(lock)
    }
}

fn lock_of(key_file: &Path) -> PathBuf {
    key_file.with_extension("json.lock")
}

/// Removes a key from the file as an operator does: writes a new file and renames it.
fn remove_by_hand(key_file: &Path, key_id: &str) {
    let mut file = read(key_file);
    let keys = file["keys"].as_array_mut().unwrap();
    let before = keys.len();
    keys.retain(|key| key["kid"] != key_id);
    assert_eq!(keys.len(), before - 1);
    let fresh = key_file.with_extension("by-hand");
    write(&fresh, file.to_string());
    fs::rename(fresh, key_file).unwrap();
}

/// Returns the result of the closure, and fails the test if it hangs.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(run()));
    result.recv_timeout(PATIENCE).expect("it hangs")
}

#[tokio::test]
async fn a_watched_ring_reads_its_file_while_the_lock_is_held() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let ring = builder
        .check_every(Duration::from_millis(5))
        .retire_for(DAY * 365)
        .build()
        .unwrap();
    let first = active(&ring);
    let stolen = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&stolen, clock.now()).unwrap();
    clock.advance(DAY * 89); // time for the next key
    let forged = TokenIssuer::builder(stolen.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();
    let forged = forged.access("mallory").issue().unwrap();
    let verifier = issuer(&ring, &clock).verifier();
    assert!(verifier.verify_local(&forged).is_ok());

    let hung = HungProcess::locks(&folder.file());
    ring.watch().unwrap();
    eventually(|| ring.problem().is_some()).await;
    let told = ring.problem().unwrap().to_string();
    let lock = lock_of(&folder.file()).display().to_string();
    assert!(told.contains(&lock), "{told}");
    assert!(told.contains("another process"), "{told}");
    let health = KeySource::health(&ring).unwrap();
    assert_eq!(health.state, KeySourceState::Stale);
    assert_eq!(health.last_error, Some(told));

    // Reading goes on, and the problem is reported as long as its cause exists.
    remove_by_hand(&folder.file(), stolen.key_id());
    eventually(|| ring.keys().len() == 1).await;
    let refused = verifier.verify(&forged).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    assert_eq!(active(&ring), first);
    assert!(ring.problem().is_some());

    drop(hung);
    eventually(|| ring.problem().is_none()).await;
    assert_eq!(states(&ring), [KeyState::Active, KeyState::Standby]);
    let health = KeySource::health(&ring).unwrap();
    assert_eq!(health.state, KeySourceState::Fresh);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_while_others_wait_for_the_lock() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let ring = builder.build().unwrap();
    let other = KeyRing::builder().file(folder.file()).clock(clock.clone());
    let other = other.build().unwrap();
    let (fresh, stolen) = (active(&ring), {
        let stolen = SigningKey::generate(Algorithm::EdDSA).unwrap();
        ring.add(&stolen, clock.now()).unwrap();
        stolen
    });
    let forged = issuer(&ring, &clock).access("mallory").issue().unwrap();
    let verifier = TokenVerifier::builder()
        .key_source(other.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap();

    let hung = HungProcess::locks(&folder.file());
    // A thread of this ring waits for the lock as well.
    let (waits, late) = (other.clone(), clock.now() + DAY);
    let adds = std::thread::spawn(move || {
        waits.add(&SigningKey::generate(Algorithm::EdDSA).unwrap(), late)
    });
    // A key that another node has added is found, and one that does not exist is unknown.
    verifier.verify(&forged).await.unwrap();
    let stranger = KeyRing::new(SigningKey::generate(Algorithm::EdDSA).unwrap());
    let strange = issuer(&stranger, &clock).access("eve").issue().unwrap();
    let refused = verifier.verify(&strange).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);

    remove_by_hand(&folder.file(), stolen.key_id());
    let refused = verifier.verify(&strange).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    let refused = verifier.verify(&forged).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    assert_eq!(active(&other), fresh);

    let reloads = other.clone();
    assert_eq!(in_time(move || reloads.reload()), Ok(false));
    let error = in_time(move || adds.join().unwrap()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(hung);
}

#[test]
fn changes_fail_while_another_process_holds_the_lock() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let ring = builder.build().unwrap();
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&key, clock.now() + DAY).unwrap();
    let hung = HungProcess::locks(&folder.file());
    let before = ring.keys();
    let failed = std::thread::scope(|scope| {
        let changes: [fn(&KeyRing, &str) -> _; 3] = [
            |ring, key_id| ring.remove(key_id),
            |ring, key_id| ring.activate(key_id),
            |ring, _| {
                ring.add(
                    &SigningKey::generate(Algorithm::EdDSA).unwrap(),
                    SystemTime::UNIX_EPOCH,
                )
            },
        ];
        let changes = changes.map(|change| {
            let (ring, key_id) = (ring.clone(), key.key_id().to_owned());
            scope.spawn(move || in_time(move || change(&ring, &key_id)))
        });
        changes.map(|change| change.join().unwrap().unwrap_err().to_string())
    });
    for told in failed {
        assert!(told.contains(&lock_of(&folder.file()).display().to_string()));
        assert!(told.contains("another process"), "{told}");
    }
    assert_eq!(ring.keys(), before);
    drop(hung);
    ring.remove(key.key_id()).unwrap();
    assert_eq!(ring.problem(), None);
}

#[test]
fn a_node_with_good_keys_starts_while_the_lock_is_held() {
    let (folder, empty) = (Folder::new(), Folder::new());
    let (builder, clock) = rotating(&folder.file());
    let first = active(&builder.clone().build().unwrap());
    clock.advance(DAY * 89);
    let hung = [folder.file(), empty.file()].map(|file| HungProcess::locks(&file));
    // Without a key, the ring cannot start.
    let (without, _) = rotating(&empty.file());
    let without = std::thread::spawn(move || in_time(move || without.build()));
    let ring = in_time(move || builder.build()).unwrap();
    assert_eq!(active(&ring), first);
    let told = ring.problem().unwrap().to_string();
    assert!(told.contains("another process"), "{told}");
    let error = without.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    assert!(!empty.file().exists());
    drop(hung);
    ring.maintain().unwrap();
    assert_eq!(ring.problem(), None);
    assert_eq!(ring.keys().len(), 2);
}

/// Replaces the file by hand when a change reads the clock: after the change has read the file, and before it
/// writes it.
#[derive(Debug)]
struct Meanwhile {
    clock: ManualClock,
    file: PathBuf,
    remove: std::sync::Mutex<Option<String>>,
}

impl Clock for Meanwhile {
    fn now(&self) -> SystemTime {
        // Not before somebody holds the lock.
        let lock = File::options().write(true).open(lock_of(&self.file));
        let is_held = lock.is_ok_and(|lock| fs4::FileExt::try_lock(&lock).is_err());
        let remove = is_held
            .then(|| self.remove.lock().unwrap().take())
            .flatten();
        if let Some(key_id) = remove {
            remove_by_hand(&self.file, &key_id);
        }
        self.clock.now()
    }
}

#[test]
fn a_process_that_hung_does_not_restore_a_removed_key() {
    let folder = Folder::new();
    write(&folder.file(), file_of(2));
    let stolen = read(&folder.file())["keys"][0]["kid"].clone();
    let stolen = stolen.as_str().unwrap().to_owned();
    let clock = Meanwhile {
        clock: ManualClock::at_unix_seconds(NOW),
        file: folder.file(),
        remove: std::sync::Mutex::new(Some(stolen.clone())),
    };
    let ring = KeyRing::builder().file(folder.file()).clock(clock);
    let ring = ring.build().unwrap();
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    ring.add(&key, SystemTime::UNIX_EPOCH + DAY).unwrap();
    let file = read(&folder.file());
    let keys = file["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "one removed, one added");
    assert!(keys.iter().all(|key| key["kid"] != stolen));
    assert!(keys.iter().any(|one| one["kid"] == key.key_id()));
    assert!(ring.keys().iter().all(|key| key.key_id != stolen));
}

#[test]
fn a_change_that_nobody_could_read_is_not_written() {
    let folder = Folder::new();
    let mut file = serde_json::from_str::<Value>(&file_of(1)).unwrap();
    file["about"] = "x".repeat(1_048_576 - 500).into();
    write(&folder.file(), file.to_string());
    let ring = KeyRing::from_file(folder.file()).unwrap();
    let soon = SystemClock.now() + DAY;
    let error = loop {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        match ring.add(&key, soon) {
            Ok(()) => assert_eq!(ring.reload(), Ok(false)),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("1 MiB"), "{error}");
    assert_eq!(ring.reload(), Ok(false));
}

#[tokio::test]
async fn dropped_requests_leave_no_tasks_while_the_lock_is_held() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let ring = builder.build().unwrap();
    let stranger = KeyRing::new(SigningKey::generate(Algorithm::EdDSA).unwrap());
    let strange = issuer(&stranger, &clock).access("eve").issue().unwrap();
    let verifier = issuer(&ring, &clock).verifier();
    let hung = HungProcess::locks(&folder.file());
    // A thread of this ring waits for the lock for the longest time.
    let waits = ring.clone();
    let adds = std::thread::spawn(move || {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        waits.add(&key, SystemTime::UNIX_EPOCH + DAY)
    });
    for _ in 0..500 {
        let asks = verifier.verify(&strange);
        let _ = tokio::time::timeout(Duration::from_micros(100), asks).await;
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    assert!(tasks <= 2, "{tasks} tasks are left");
    drop(hung);
    let _ = in_time(move || adds.join().unwrap());
}
