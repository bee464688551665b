//! Keys: the command `rotate-keys`, which rotates ahead of the schedule, secrets that all processes share, and for
//! the chapter `second-factor` the encryption of secrets in the database.
//!
//! Cannot be removed.

mod sealing; // chapter: second-factor
mod shared;

pub(crate) use sealing::Opened; // chapter: second-factor
pub use sealing::SealingKeys; // chapter: second-factor
pub(crate) use shared::shared_secret;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_jwt_auth::SigningKey;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::keys::{DEFAULT_PUBLISH_FOR, KeyState};

use crate::error::Error;

/// Adds a key to the ring. Returns lines that describe all keys of the ring.
///
/// The key signs from tomorrow on, when all services that verify our tokens know it. With `now`, it signs at once,
/// and all other keys are removed: what they signed is refused. Use that if somebody else may have a key. Running
/// services follow within 10 seconds.
///
/// # Errors
///
/// Fails if the keys are not a ring in a file, the file cannot be written, or another new key is already
/// waiting.
pub fn rotate_keys(config: &AuthConfig, now: bool) -> Result<Vec<String>, Error> {
    let tokens = config.issuer_builder()?.build()?;
    let Some(ring) = tokens.key_ring() else {
        return Err("the keys are not in a ring: set JWT_KEY_RING_FILE and JWT_ROTATE_KEYS".into());
    };
    let old = ring.keys();
    let waits = old.iter().any(|key| key.state == KeyState::Standby);
    if waits && !now {
        return Err(
            "a new key is already waiting to sign: to sign with a new key at once, add --now"
                .into(),
        );
    }
    let lead = if now {
        Duration::ZERO
    } else {
        DEFAULT_PUBLISH_FOR
    };
    let key = SigningKey::generate(ring.signing_key()?.algorithm())?;
    ring.add(&key, SystemTime::now() + lead)?;
    if now {
        for stolen in old.iter().filter(|key| key.state != KeyState::Removed) {
            ring.remove(&stolen.key_id)?;
        }
    }
    let told = ring.keys().into_iter().map(|key| {
        let (id, algorithm, state) = (key.key_id, key.algorithm, format!("{:?}", key.state));
        match key.until.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
            Some(until) => format!("{id} {algorithm} {state}, until {}", until.as_secs()),
            None => format!("{id} {algorithm} {state}"),
        }
    });
    Ok(told.collect())
}
