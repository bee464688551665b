//! A rotation of any row has the same result as [`Rotation::apply`], also for rows that no rotation can
//! produce.

use std::cell::Cell;

use tower_jwt_auth::sessions::{Converged, EndReason, Rotation, SessionRecord, SessionStore};

const ROWS: u32 = 3_000;

/// Pseudo-random numbers, which are the same in each run.
struct Dice(Cell<u64>);

impl Dice {
    fn below(&self, end: u64) -> u64 {
        let next = self.0.get().wrapping_mul(6_364_136_223_846_793_005);
        self.0.set(next.wrapping_add(1_442_695_040_888_963_407));
        (self.0.get() >> 33) % end
    }

    fn one_of<T: Clone>(&self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }

    /// A time, or one that is close to it.
    fn near(&self, time: u64) -> u64 {
        self.one_of(&[time, time + 1, time - 1, time + self.below(9), time - 9])
    }
}

pub async fn rotate_as_apply(store: &impl SessionStore) {
    const NOW: u64 = 1_000_000;
    let clients = [None, Some("one".to_owned()), Some("other".to_owned())];
    let dice = Dice(Cell::new(7));
    let mut changed = 0;
    for number in 0..ROWS {
        let id = format!("row{number}");
        let mut rotation = Rotation::new(&id, dice.below(6), format!("{id}.next"), NOW);
        rotation.grace = dice.one_of(&[0, 100, u64::MAX]);
        rotation.lost_response_grace = dice.one_of(&[0, 200, u64::MAX]);
        rotation.max_lost_responses = dice.one_of(&[1, 2, 5, u32::MAX]);
        rotation.client = dice.one_of(&clients);

        let mut record = SessionRecord::new(&id, "rows", NOW - 10_000);
        record.generation = dice.below(6);
        record.previous_generation = record.generation.saturating_sub(dice.below(3));
        record.token_id = format!("{id}.now");
        record.acknowledged = dice.one_of(&[None, Some(dice.below(6)), Some(record.generation)]);
        record.rotated_at = dice.one_of(&[dice.near(NOW - 100), dice.near(NOW - 200), NOW + 50]);
        record.last_used_at = record.rotated_at.max(dice.near(NOW - 100));
        record.idle_ttl = dice.one_of(&[dice.near(100), 10_000, 10_000]);
        record.expires_at = dice.one_of(&[dice.near(NOW), NOW + 10_000, NOW + 10_000]);
        record.client = dice.one_of(&clients);
        let (concurrent, lost) = (Some(Converged::Concurrent), Some(Converged::LostResponse));
        record.converged = dice.one_of(&[None, concurrent, lost]);
        record.convergences = dice.one_of(&[0, 1, 4, 1 << 31]);
        record.lost_responses = dice.one_of(&[0, 1, 4, 5]);
        if dice.below(8) == 0 {
            record.ended_at = Some(dice.near(NOW));
            record.end_reason = Some(dice.one_of(&[EndReason::Revoked, EndReason::Replaced]));
        }
        store.create(&record, None).await.unwrap();

        let mut expected = record.clone();
        rotation.apply(&mut expected);
        let after = store.rotate(&rotation).await.unwrap().unwrap();
        assert_eq!(after, expected, "{rotation:?} of {record:?}");
        changed += u32::from(expected != record);
    }
    assert!(changed > ROWS / 4, "only {changed} of {ROWS} changed");
}
