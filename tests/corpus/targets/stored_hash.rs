//! Stored password hashes: if the library that makes such hashes can also read one that is read here, its costs
//! are within the limits.

use std::str::FromStr;
use std::sync::LazyLock;

use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::{PasswordAlgorithm, PasswordHash};

static SERVICE: LazyLock<PasswordService> = LazyLock::new(PasswordService::new);

/// Reads the text of a stored hash. No password is ever hashed.
pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(hash) = PasswordHash::parse(text) else {
        return;
    };
    assert_eq!(hash.as_str(), text);
    let _ = SERVICE.needs_rehash(&hash);
    let again = PasswordHash::from_str(hash.as_str()).unwrap();
    assert_eq!(again.algorithm(), hash.algorithm());
    // Other systems put a prefix before the hash.
    let start = match hash.algorithm() {
        PasswordAlgorithm::Bcrypt => "$2",
        _ => "$argon2",
    };
    let text = &text[text.find(start).unwrap()..];
    if hash.algorithm() == PasswordAlgorithm::Bcrypt {
        // The crate `bcrypt` refuses a salt that sets its unused bits, which C implementations ignore.
        let Ok(parts) = bcrypt::HashParts::from_str(text) else {
            return;
        };
        assert!((4..=16).contains(&parts.get_cost()));
        return;
    }
    // The crate `argon2` reads salts of at most 48 bytes in this form.
    let Ok(phc) = argon2::password_hash::phc::PasswordHash::new(text) else {
        return;
    };
    let params = argon2::Params::try_from(&phc).unwrap();
    assert!(params.m_cost() <= 1 << 20 && params.t_cost() <= 20 && params.p_cost() <= 16);
    assert!(phc.salt.is_some() && phc.hash.is_some());
}
