//! Helpers for the tests of rings in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::keys::{KeyRingBuilder, KeyState};
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey};

use crate::support::NOW;

pub const DAY: Duration = Duration::from_secs(86_400);

/// How long a test waits for an event; only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that is removed when the value is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tower-jwt-auth-ring-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file as an operator would.
pub fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    set_mode(path, 0o600);
}

#[cfg(unix)]
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A ring that rotates EdDSA keys in this file every 90 days, with its clock at [`NOW`].
pub fn rotating(path: &Path) -> (KeyRingBuilder, ManualClock) {
    let clock = ManualClock::at_unix_seconds(NOW);
    let ring = KeyRing::builder()
        .file(path)
        .auto_rotate(Algorithm::EdDSA)
        .clock(clock.clone());
    (ring, clock)
}

pub fn states(ring: &KeyRing) -> Vec<KeyState> {
    ring.keys().into_iter().map(|key| key.state).collect()
}

pub fn active(ring: &KeyRing) -> String {
    ring.signing_key().unwrap().key_id().to_owned()
}

/// The text of a file with this many new keys, one hour apart.
pub fn file_of(keys: u32) -> String {
    let folder = Folder::new();
    let (ring, clock) = rotating(&folder.file());
    let ring = ring.build().unwrap();
    for hours in 1..keys {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        ring.add(&key, clock.now() + Duration::from_secs(3600) * hours)
            .unwrap();
    }
    fs::read_to_string(folder.file()).unwrap()
}

/// Waits until a condition holds.
pub async fn eventually(mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .expect("it did not come to pass");
}
