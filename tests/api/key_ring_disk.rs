//! A ring in a file on a disk that hangs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tower_jwt_auth::keys::KeySource;
use tower_jwt_auth::{Algorithm, AuthErrorKind, KeyRing, SigningKey};

use crate::key_ring_support::{Folder, PATIENCE, eventually, rotating, write};
use crate::support::ring_issuer as issuer;

/// A key file whose disk hangs: a pipe that nobody writes to.
struct DeadDisk {
    pipe: PathBuf,
}

impl DeadDisk {
    /// Replaces the file by the pipe.
    fn replaces(key_file: &Path) -> Self {
        let pipe = key_file.with_extension("pipe");
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&pipe)
            .status();
        assert!(made.expect("mkfifo is part of every Unix").success());
        let link = key_file.with_extension("link");
        fs::hard_link(&pipe, &link).unwrap();
        fs::rename(link, key_file).unwrap();
        Self { pipe }
    }

    /// Makes the disk respond again, with this text.
    fn answers(&self, key_file: &Path, text: &str) {
        let fresh = key_file.with_extension("fresh");
        write(&fresh, text);
        fs::rename(fresh, key_file).unwrap();
        fs::write(&self.pipe, text).unwrap(); // the reader that hangs reads it
    }
}

impl Drop for DeadDisk {
    fn drop(&mut self) {
        // Opening the pipe for reading and writing releases everyone who waits to open it. The runtime waits
        // for its threads when it ends, also if the test fails.
        let _ = File::options().read(true).write(true).open(&self.pipe);
    }
}

/// Runs a test on a runtime with few blocking threads: it stalls if they are used up.
fn with_few_threads(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(3);
    runtime.build().unwrap().block_on(test);
}

#[test]
fn a_hanging_disk_leaves_a_bounded_number_of_tasks() {
    with_few_threads(async {
        let folder = Folder::new();
        let (builder, clock) = rotating(&folder.file());
        let ring = builder
            .check_every(Duration::from_millis(5))
            .build()
            .unwrap();
        let good = fs::read_to_string(folder.file()).unwrap();
        let known = issuer(&ring, &clock).access("alice").issue().unwrap();
        let stranger = KeyRing::new(SigningKey::generate(Algorithm::EdDSA).unwrap());
        let strange = issuer(&stranger, &clock).access("eve").issue().unwrap();
        let verifier = issuer(&ring, &clock).verifier();
        let disk = DeadDisk::replaces(&folder.file());
        ring.watch().unwrap();

        // However many requests ask and are dropped.
        for _ in 0..500 {
            let asks = verifier.verify(&strange);
            let asked = tokio::time::timeout(Duration::from_micros(100), asks).await;
            assert!(asked.is_err());
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = metrics.num_alive_tasks();
        assert!(tasks <= 3, "{tasks} tasks are left");
        let other_work = tokio::task::spawn_blocking(|| 7);
        let other_work = tokio::time::timeout(PATIENCE, other_work).await;
        assert_eq!(other_work.expect("no thread is free").unwrap(), 7);

        // Requests that wait get a response in time, with the reason. Known keys do not need the disk.
        let refused = tokio::time::timeout(PATIENCE, verifier.verify(&strange));
        let refused = refused.await.expect("it hangs").unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::Unavailable);
        let told = ring.problem().unwrap().to_string();
        assert!(told.contains("keys.json"), "{told}");
        assert!(told.contains("the disk has not responded"), "{told}");
        let health = KeySource::health(&ring).unwrap();
        assert_eq!(health.last_error, Some(told));
        assert!(verifier.verify(&known).await.is_ok());

        disk.answers(&folder.file(), &good);
        eventually(|| ring.problem().is_none()).await;
        let refused = verifier.verify(&strange).await.unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::UnknownKey);
    });
}
