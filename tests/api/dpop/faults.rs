//! The faults that a proof can have, by the checks of RFC 9449 section 4.3.

use std::time::Duration;

use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::{ProofKey, ProofRequest};

use super::checks::nonce_of;
use super::support::{ORDERS, World};
use crate::support::SECRET;

/// A request that is being built.
pub struct Sent<'k> {
    pub method: &'static str,
    pub path: &'static str,
    pub token: String,
    pub proof: ProofRequest<'k>,
    /// What happens to the signed proof.
    pub headers: fn(String) -> Vec<String>,
}

pub struct Fault {
    pub name: &'static str,
    pub reason: &'static str,
    /// Also receives the key of another client.
    pub make: fn(&World, Sent<'static>, &Stranger) -> Sent<'static>,
}

pub struct Stranger {
    pub key: &'static ProofKey,
    pub token: String,
}

const fn fault(
    name: &'static str,
    reason: &'static str,
    make: fn(&World, Sent<'static>, &Stranger) -> Sent<'static>,
) -> Fault {
    Fault { name, reason, make }
}

fn claim(sent: Sent<'static>, name: &str, value: impl serde::Serialize) -> Sent<'static> {
    let proof = sent.proof.claim(name, value);
    Sent { proof, ..sent }
}

fn header(sent: Sent<'static>, name: &str, value: impl serde::Serialize) -> Sent<'static> {
    let proof = sent.proof.header(name, value);
    Sent { proof, ..sent }
}

#[allow(clippy::too_many_lines)] // a table
pub fn faults() -> Vec<Fault> {
    vec![
        // 1: exactly one header
        fault("no proof", "proof_missing", |_, sent, _| Sent {
            headers: |_| Vec::new(),
            ..sent
        }),
        fault("two proofs", "two_proofs", |_, sent, _| Sent {
            headers: |proof| vec![proof.clone(), proof],
            ..sent
        }),
        // 2: a well-formed JWT
        fault("an empty proof", "malformed_proof", |_, sent, _| Sent {
            headers: |_| vec![String::new()],
            ..sent
        }),
        fault("two proofs in one", "malformed_proof", |_, sent, _| Sent {
            headers: |proof| vec![format!("{proof}, {proof}")],
            ..sent
        }),
        fault(
            "a proof without signature",
            "malformed_proof",
            |_, sent, _| Sent {
                headers: |proof| vec![proof.rsplit_once('.').unwrap().0.to_owned()],
                ..sent
            },
        ),
        fault("a proof of 16 KiB", "malformed_proof", |_, sent, _| {
            claim(sent, "filler", "x".repeat(16 * 1024))
        }),
        fault(
            "a proof with an extension",
            "malformed_proof",
            |_, sent, _| header(sent, "crit", json!(["exp"])),
        ),
        // 3: all claims
        fault("no jti", "proof_claim_missing", |_, sent, _| {
            claim(sent, "jti", ())
        }),
        fault("an empty jti", "proof_claim_missing", |_, sent, _| {
            claim(sent, "jti", "")
        }),
        fault(
            "a jti that is a number",
            "proof_claim_missing",
            |_, sent, _| claim(sent, "jti", 5),
        ),
        fault("no htm", "proof_claim_missing", |_, sent, _| {
            claim(sent, "htm", ())
        }),
        fault("no htu", "proof_claim_missing", |_, sent, _| {
            claim(sent, "htu", ())
        }),
        fault(
            "an htu that is a list",
            "proof_claim_missing",
            |_, sent, _| claim(sent, "htu", [ORDERS]),
        ),
        fault("no iat", "proof_claim_missing", |_, sent, _| {
            claim(sent, "iat", ())
        }),
        fault(
            "an iat that is a text",
            "proof_claim_missing",
            |_, sent, _| claim(sent, "iat", "1767225600"),
        ),
        fault("an iat before 1970", "proof_claim_missing", |_, sent, _| {
            claim(sent, "iat", -5)
        }),
        fault("no ath", "proof_claim_missing", |_, sent, _| {
            claim(sent, "ath", ())
        }),
        // 4: the type
        fault("no typ", "proof_of_wrong_type", |_, sent, _| {
            header(sent, "typ", ())
        }),
        fault("typ JWT", "proof_of_wrong_type", |_, sent, _| {
            header(sent, "typ", "JWT")
        }),
        fault("typ of a token", "proof_of_wrong_type", |_, sent, _| {
            header(sent, "typ", "at+jwt")
        }),
        // 5: an asymmetric algorithm that is accepted
        fault("no alg", "proof_algorithm_not_accepted", |_, sent, _| {
            header(sent, "alg", ())
        }),
        fault("alg none", "proof_algorithm_not_accepted", |_, sent, _| {
            header(sent, "alg", "none")
        }),
        fault(
            "a symmetric alg",
            "proof_algorithm_not_accepted",
            |_, sent, _| {
                let sent = header(sent, "alg", "HS256");
                header(sent, "jwk", json!({"kty": "oct", "k": "c2VjcmV0"}))
            },
        ),
        fault(
            "an alg that is not accepted",
            "proof_algorithm_not_accepted",
            |_, sent, _| header(sent, "alg", "PS512"),
        ),
        // 6: the signature, by the key in the header
        fault(
            "a key that has not signed",
            "bad_proof_signature",
            |_, sent, stranger| header(sent, "jwk", stranger.key.jwk()),
        ),
        fault("another signature", "bad_proof_signature", |_, sent, _| {
            Sent {
                headers: |proof| {
                    let (message, signature) = proof.rsplit_once('.').unwrap();
                    let other = if signature.starts_with('A') { 'B' } else { 'A' };
                    vec![format!("{message}.{other}{}", &signature[1..])]
                },
                ..sent
            }
        }),
        fault("no key", "proof_without_key", |_, sent, _| {
            header(sent, "jwk", ())
        }),
        fault(
            "a key that is a text",
            "unfit_key_in_proof",
            |_, sent, _| header(sent, "jwk", "key"),
        ),
        fault(
            "a key of another algorithm",
            "unfit_key_in_proof",
            |_, sent, _| header(sent, "alg", "ES256"),
        ),
        fault(
            "a key that says another algorithm",
            "unfit_key_in_proof",
            |_, sent, _| with_in_key(sent, "alg", json!("ES256")),
        ),
        fault(
            "a key for encryption",
            "unfit_key_in_proof",
            |_, sent, _| with_in_key(sent, "use", json!("enc")),
        ),
        // 7: no private key
        fault("a private key", "private_key_in_proof", |_, sent, _| {
            with_in_key(
                sent,
                "d",
                json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),
            )
        }),
        fault(
            "a part of a private key",
            "private_key_in_proof",
            |_, sent, _| with_in_key(sent, "dq", json!("AA")),
        ),
        fault(
            "a secret beside the key",
            "private_key_in_proof",
            |_, sent, _| with_in_key(sent, "k", json!("AA")),
        ),
        // 8: the method
        fault("another method", "proof_for_other_method", |_, sent, _| {
            Sent {
                method: "DELETE",
                ..sent
            }
        }),
        fault(
            "the method in other letters",
            "proof_for_other_method",
            |_, sent, _| claim(sent, "htm", "get"),
        ),
        // 9: the address
        fault("another path", "proof_for_other_address", |_, sent, _| {
            Sent {
                path: "/orders/7",
                ..sent
            }
        }),
        fault("another host", "proof_for_other_address", |_, sent, _| {
            claim(sent, "htu", "https://evil.example/orders")
        }),
        fault("another scheme", "proof_for_other_address", |_, sent, _| {
            claim(sent, "htu", "http://api.example/orders")
        }),
        // 10: the nonce
        fault("no nonce", "nonce_missing", |_, sent, _| {
            claim(sent, "nonce", ())
        }),
        fault("an empty nonce", "nonce_expired", |_, sent, _| {
            claim(sent, "nonce", "")
        }),
        fault(
            "a nonce of another server",
            "nonce_expired",
            |world, sent, _| claim(sent, "nonce", nonce_of(world, &[0x5a; 4])),
        ),
        fault(
            "a nonce that is a number",
            "malformed_proof",
            |_, sent, _| claim(sent, "nonce", 7),
        ),
        // 11: the time, which the nonce says here; without nonces, see `checks`
        fault("a nonce of last year", "nonce_expired", |world, sent, _| {
            let now = world.now();
            world.clock.set(now - Duration::from_secs(365 * 86_400));
            let nonce = nonce_of(world, b"");
            world.clock.set(now);
            claim(sent, "nonce", nonce)
        }),
        // 12: the token, and the key that it is bound to
        fault(
            "a proof for another token",
            "proof_for_other_token",
            |_, sent, stranger| {
                let proof = sent.proof.token(&stranger.token);
                Sent { proof, ..sent }
            },
        ),
        fault(
            "a hash of nothing",
            "proof_for_other_token",
            |_, sent, _| claim(sent, "ath", ""),
        ),
        fault(
            "another token",
            "proof_for_other_token",
            |_, sent, stranger| Sent {
                token: stranger.token.clone(),
                ..sent
            },
        ),
        fault(
            "a token of another key",
            "bound_to_other_key",
            |_, sent, stranger| {
                let proof = sent.proof.token(&stranger.token);
                let token = stranger.token.clone();
                Sent {
                    proof,
                    token,
                    ..sent
                }
            },
        ),
    ]
}

fn with_in_key(sent: Sent<'static>, name: &str, value: Value) -> Sent<'static> {
    // The key in the header is that of the signer, whose proofs `world` makes.
    let mut jwk = KEY.with(|key| key.jwk());
    jwk[name] = value;
    header(sent, "jwk", jwk)
}

thread_local! {
    pub static KEY: &'static ProofKey = Box::leak(Box::new(ProofKey::generate(Algorithm::EdDSA).unwrap()));
}

pub fn secret(more: &[u8]) -> Vec<u8> {
    [SECRET, more].concat()
}
