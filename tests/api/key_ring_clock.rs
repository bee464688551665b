//! Rings on nodes whose clocks differ: no node removes keys that the others need.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use tower_jwt_auth::clock::{Clock as _, ManualClock};
use tower_jwt_auth::keys::{DEFAULT_RETIRE_FOR, KeySource, KeySourceState, KeyState};
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey};

use crate::key_ring_support::{DAY, Folder, active, file_of, read, rotating, states, write};
use crate::support::NOW;

use KeyState::{Active, Retiring, Standby};

/// A node with the same file and schedule, and its own clock.
fn node(folder: &Folder) -> (KeyRing, ManualClock) {
    let (builder, clock) = rotating(&folder.file());
    (builder.build().unwrap(), clock)
}

#[test]
fn a_key_far_in_the_future_is_reported_and_rotation_goes_on() {
    let folder = Folder::new();
    let (ring, clock) = node(&folder);
    let start = clock.now();
    clock.advance(DAY * 400); // the clock is wrong for a moment
    ring.maintain().unwrap();
    clock.set(start);
    let far = ring.keys()[1].key_id.clone();
    assert_eq!(ring.keys()[1].until, Some(start + DAY * 401));

    let told = ring.problem().unwrap().to_string();
    for part in [
        far.as_str(),
        "2027-02-06T00:00:00Z",
        "clock",
        "remove",
        "activate",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let health = KeySource::health(&ring).unwrap();
    assert_eq!(health.state, KeySourceState::Stale);
    assert_eq!(health.last_error, Some(told.clone()));

    // The next key is added on time, as if the other key were not there.
    ring.maintain().unwrap();
    assert_eq!(states(&ring), [Active, Standby]);
    clock.set(start + DAY * 89);
    ring.maintain().unwrap();
    assert_eq!(states(&ring), [Active, Standby, Standby]);
    ring.maintain().unwrap();
    assert_eq!(ring.keys().len(), 3, "one is enough");
    assert_eq!(ring.problem().unwrap().to_string(), told);
    clock.set(start + DAY * 90);
    assert_eq!(states(&ring), [Active, Standby, Retiring]);

    // It waits, and becomes the next key once its time is near enough.
    for days in (91..=401).step_by(5) {
        clock.set(start + DAY * days);
        ring.maintain().unwrap();
    }
    assert_eq!(ring.problem(), None);
    clock.set(start + DAY * 401);
    assert_eq!(active(&ring), far);
    clock.set(start + DAY * 490);
    ring.maintain().unwrap();
    assert_eq!(ring.keys()[1].state, Standby);
}

#[test]
fn a_key_far_in_the_future_is_removed_or_activated_by_hand() {
    for activate in [false, true] {
        let folder = Folder::new();
        let (ring, clock) = node(&folder);
        let far = SigningKey::generate(Algorithm::EdDSA).unwrap();
        // One day for publishing, 90 for signing, and one day for clocks that differ.
        ring.add(&far, clock.now() + DAY * 92).unwrap();
        assert_eq!(ring.problem(), None);
        ring.remove(far.key_id()).unwrap();
        ring.add(&far, clock.now() + DAY * 92 + Duration::from_secs(1))
            .unwrap();
        assert!(ring.problem().is_some());
        if activate {
            ring.activate(far.key_id()).unwrap();
        } else {
            ring.remove(far.key_id()).unwrap();
        }
        assert_eq!(ring.problem(), None);
        assert_eq!(active(&ring) == far.key_id(), activate);
    }
}

#[test]
fn a_file_by_a_node_with_a_fast_clock_gets_a_current_key() {
    let folder = Folder::new();
    let (builder, clock) = rotating(&folder.file());
    let start = clock.now();
    clock.advance(DAY * 3650);
    let ring = builder.clone().build().unwrap();
    let far = active(&ring);
    clock.set(start);
    // It signs until the key that other nodes have to learn first takes over.
    for ring in [ring, builder.build().unwrap()] {
        ring.maintain().unwrap();
        assert_eq!(states(&ring), [Active, Standby]);
        assert_eq!(ring.keys()[1].key_id, far);
        assert_eq!(active(&ring), ring.keys()[0].key_id);
        assert!(ring.problem().unwrap().to_string().contains(&far));
    }
    clock.set(start + DAY * 100);
    let ring = KeyRing::builder()
        .file(folder.file())
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_ne!(active(&ring), far);
}

#[test]
fn the_creation_time_of_a_key_does_not_matter() {
    let folder = Folder::new();
    let mut file: serde_json::Value = serde_json::from_str(&file_of(1)).unwrap();
    file["keys"][0]["iat"] = json!(NOW + 400 * 86_400);
    write(&folder.file(), file.to_string());
    let (ring, clock) = node(&folder);
    assert_eq!(ring.problem(), None);
    clock.advance(DAY * 89);
    ring.maintain().unwrap();
    assert_eq!(states(&ring), [Active, Standby]);
}

#[test]
fn a_node_a_year_ahead_drops_no_key_that_others_need() {
    let folder = Folder::new();
    let (ring, clock) = node(&folder);
    clock.advance(DAY * 89);
    ring.maintain().unwrap();
    clock.advance(DAY * 2);
    assert_eq!(states(&ring), [Active, Retiring]);
    let needed: Vec<_> = ring.keys().into_iter().map(|key| key.key_id).collect();

    let (ahead, its_clock) = node(&folder);
    its_clock.set(clock.now());
    for _ in 0..40 {
        its_clock.advance(DAY * 365);
        ahead.maintain().unwrap();
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        ahead.add(&key, its_clock.now()).unwrap();
        ahead.remove(key.key_id()).unwrap();
        its_clock.set(clock.now());
    }
    ring.reload().unwrap();
    for key_id in needed {
        let kept = ring.keys().into_iter().find(|key| key.key_id == key_id);
        assert!(matches!(kept.unwrap().state, Active | Retiring));
    }
}

/// Three nodes with one file maintain it every day. The clocks of two are wrong for almost half a year. The
/// keys of the third must stay available as long as its tokens live, and its rotation must go on.
#[test]
fn nodes_whose_clocks_differ_keep_each_others_keys() {
    for skews in [
        [-20_000, 1],
        [-400, 20_000],
        [-60, -1],
        [60, 365],
        [89, 100],
        [200, 300],
    ] {
        let folder = Folder::new();
        let (right, clock) = node(&folder);
        let wrong = skews.map(|days| (node(&folder), days));
        let mut needed: HashMap<String, u64> = HashMap::new();
        let (mut signed, mut told) = (Vec::new(), false);
        for day in 0..500_u64 {
            let now = NOW + day * 86_400;
            let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
            clock.set(at(now));
            right.maintain().unwrap();
            for ((ring, clock), days) in &wrong {
                let skew: i64 = if day < 170 { days * 86_400 } else { 0 };
                clock.set(at(now.saturating_add_signed(skew)));
                ring.maintain().unwrap();
            }
            right.reload().unwrap();
            told |= right.problem().is_some();
            let key_id = active(&right);
            needed.insert(key_id.clone(), now + DEFAULT_RETIRE_FOR.as_secs());
            if signed.last() != Some(&key_id) {
                signed.push(key_id);
            }
            needed.retain(|_, until| now < *until);
            let keys = right.keys();
            for key_id in needed.keys() {
                let key = keys.iter().find(|key| key.key_id == *key_id);
                let key = key.unwrap_or_else(|| panic!("{skews:?}: day {day}: {key_id} is gone"));
                assert_ne!(key.state, KeyState::Removed, "{skews:?}: day {day}");
            }
        }
        // About every 90 days.
        assert!((4..=10).contains(&signed.len()), "{}", signed.len());
        let kept = read(&folder.file())["keys"].as_array().unwrap().len();
        assert!(kept <= 12, "{skews:?}: {kept} keys are kept");
        assert_eq!(told, skews.iter().any(|days| *days > 91), "{skews:?}");
    }
}
