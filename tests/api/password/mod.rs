//! Passwords through the public API.

mod bcrypt_limits;
mod foreign;
mod load;
mod making;
mod others;
mod prehashed;
mod rows;
mod settings;
mod unicode;
mod unusable;

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{Argon2Params, PasswordHash, PasswordServiceBuilder, Verification};

/// "correct horse" by libxcrypt and by Python's bcrypt 5.0.0.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

/// 72 and 100 times "x" by libxcrypt.
const BCRYPT_LONG: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";

/// "pässwörd🔑" with the default parameters, by argon2-cffi 25.1.0.
const ARGON2_UNICODE: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw";

/// "correct horse" by `argon2.PasswordHasher().hash()` of argon2-cffi 25.1.0.
const ARGON2_CFFI: &str = "$argon2id$v=19$m=65536,t=3,p=4$l6p/GcdsJ+VjewaCzQYLqA$LxoTqDAvzrLVsZVo1Cy9Nhb4Q2PRjc0SY4qbR7q73QY";

/// "password", from the test file of the reference implementation (phc-winner-argon2, test.c).
const ARGON2_REFERENCE: [&str; 5] = [
    "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
    "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg",
];

/// "correct horse" by the low-level interface of argon2-cffi 25.1.0.
const ARGON2D: &str =
    "$argon2d$v=19$m=64,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$q8GmWt1VhoIHx6jP1k9sV3hz6bB9V2QssUGRU1eOj/k";

/// Fast parameters: these tests do not depend on their strength.
fn weak() -> PasswordServiceBuilder {
    PasswordService::builder()
        .argon2(Argon2Params::new(64, 1, 1))
        .dangerous_weak_parameters()
}

fn fast() -> PasswordService {
    weak().build().unwrap()
}

fn read(stored: &str) -> PasswordHash {
    PasswordHash::parse(stored).unwrap()
}

/// The new hash of a match.
#[track_caller]
fn matched(verification: Verification) -> Option<PasswordHash> {
    match verification {
        Verification::Match { rehash } => rehash,
        other => panic!("it does not match: {other:?}"),
    }
}
