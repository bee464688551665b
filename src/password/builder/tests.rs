//! What the builder refuses, and its defaults.

use super::*;

fn refused(builder: &PasswordServiceBuilder) -> Unfit {
    builder.check().unwrap_err()
}

#[test]
fn every_mistake_is_named() {
    use Unfit as E;
    let new = PasswordServiceBuilder::new;
    let weak = Argon2Params::new(8, 1, 1);
    let (key, other) = ([7; 32], [8; 32]);
    assert_eq!(refused(&new().argon2(weak)), E::BelowFloor);
    assert_eq!(refused(&new().workers(0)), E::NoWorkers);
    assert_eq!(refused(&new().max_wait(Duration::ZERO)), E::NoWait);
    assert_eq!(
        refused(&new().memory_budget(0)),
        E::MemoryBudget {
            needed: 19_456 * 1024
        }
    );
    assert_eq!(refused(&new().pepper("", &key)), E::PepperId);
    assert_eq!(refused(&new().pepper("too long!", &key)), E::PepperId);
    assert_eq!(refused(&new().pepper("1", &key[1..])), E::PepperTooShort);
    let twice = new().pepper("1", &key).previous_pepper("1", &other);
    assert_eq!(refused(&twice), E::DuplicatePepper);
    assert_eq!(
        refused(&new().make_bcrypt_hashes(9)),
        E::BcryptCost { min: 10, max: 16 }
    );
    assert_eq!(
        refused(&new().make_bcrypt_hashes(17)),
        E::BcryptCost { min: 10, max: 16 }
    );
    let both = new().make_bcrypt_hashes(12).pepper("1", &key);
    assert_eq!(refused(&both), E::PepperWithBcrypt);
    let many = new().workers(14);
    assert_eq!(
        refused(&many),
        E::MemoryBudget {
            needed: 14 * 19_456 * 1024
        }
    );
}

#[test]
fn the_number_of_workers_follows_the_memory_budget() {
    let workers = |budget| {
        PasswordServiceBuilder::new()
            .memory_budget(budget)
            .chosen_workers()
    };
    assert_eq!(workers(20 * 1024 * 1024), 1);
    assert!(workers(u64::MAX) >= 1);
}

#[test]
fn the_defaults_pass_their_own_checks() {
    assert!(PasswordServiceBuilder::new().build().is_ok());
}
