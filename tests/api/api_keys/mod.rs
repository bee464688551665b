//! API keys through the public API.

mod creating;
mod dropped;
mod form;
mod http;
mod last_use;
mod nodes;
mod outages;
mod revoking;
mod store;
mod streams;
mod verifying;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::api_keys::{ApiKeys, ApiKeysBuilder};

use crate::support::NOW;
use store::TestKeys;

/// One node with keys, and a clock that stands still.
struct Setting {
    keys: ApiKeys,
    clock: ManualClock,
    store: TestKeys,
    events: Arc<Mutex<Vec<String>>>,
}

fn setting() -> Setting {
    setting_with(|builder| builder)
}

fn setting_with(set: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder) -> Setting {
    let clock = ManualClock::at_unix_seconds(NOW);
    let store = TestKeys::default();
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&events);
    let builder = ApiKeys::builder("acme", store.clone())
        .clock(clock.clone())
        .on_event(move |event| {
            let text = format!("{} of {}", event.name(), event.owner());
            told.lock().unwrap().push(text);
        });
    Setting {
        keys: set(builder).build().unwrap(),
        clock,
        store,
        events,
    }
}

impl Setting {
    /// Another node with the same store and clock.
    fn node(&self) -> ApiKeys {
        self.node_with(|builder| builder)
    }

    fn node_with(&self, set: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder) -> ApiKeys {
        let builder = ApiKeys::builder("acme", self.store.clone()).clock(self.clock.clone());
        set(builder).build().unwrap()
    }

    /// Returns the id and the text of a new key of alice.
    async fn key(&self) -> (String, String) {
        let new = self.keys.create("alice").issue().await.unwrap();
        (new.id().to_owned(), new.text().to_owned())
    }

    async fn verdict(&self, key: &str) -> Result<(), AuthErrorKind> {
        verdict(&self.keys, key).await
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

async fn verdict(keys: &ApiKeys, key: &str) -> Result<(), AuthErrorKind> {
    let verified = keys.verify(key).await;
    verified.map(drop).map_err(|error| error.kind())
}

/// Lets the tasks that a request has started run. The test runtime has one thread.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Returns a key with this id and this secret and the right checksum, in the format that the guide describes.
fn forged(id: &str, secret: &str) -> String {
    with_checksum(format!("acme_{id}{secret}"))
}

fn with_checksum(body: String) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(body.as_bytes());
    let mut number = u32::from_be_bytes(digest[..4].try_into().unwrap());
    let mut sum = [b'0'; 6];
    for place in sum.iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    body + std::str::from_utf8(&sum).unwrap()
}

/// Returns a key with the id of another one and a wrong secret.
fn with_wrong_secret(key: &str) -> String {
    let secret = key[21..64].chars().rev().collect::<String>();
    forged(&key[5..21], &secret)
}

/// Returns a key that was never created.
fn unknown(number: usize) -> String {
    forged(&format!("{number:016}"), &"s".repeat(43))
}
