//! The checks of RFC 9449 section 4.3, broken one by one and in pairs.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::dpop::DpopNonces;
use tower_jwt_auth::testing::{ProofKey, ProofRequest};

use super::support::{Answer, ORDERS, World, get_orders, send};
use crate::support::SECRET;

/// A request in the making.
struct Sent<'k> {
    method: &'static str,
    path: &'static str,
    token: String,
    proof: ProofRequest<'k>,
    /// What becomes of the signed proof.
    headers: fn(String) -> Vec<String>,
}

struct Fault {
    name: &'static str,
    reason: &'static str,
    /// Gets the key of a stranger as well.
    make: fn(&World, Sent<'static>, &Stranger) -> Sent<'static>,
}

struct Stranger {
    key: &'static ProofKey,
    token: String,
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
fn faults() -> Vec<Fault> {
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
        // 11: the time
        fault("an old proof", "proof_too_old", |world, sent, _| {
            let time = world.now() - Duration::from_secs(61);
            let proof = sent.proof.issued_at(time);
            Sent { proof, ..sent }
        }),
        fault("a proof of last year", "proof_too_old", |_, sent, _| {
            claim(sent, "iat", 1)
        }),
        fault(
            "a proof of tomorrow",
            "proof_from_the_future",
            |world, sent, _| {
                let time = world.now() + Duration::from_secs(31);
                let proof = sent.proof.issued_at(time);
                Sent { proof, ..sent }
            },
        ),
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
    // The key is that of the one who signs, whose proofs are made by `world`.
    let mut jwk = KEY.with(|key| key.jwk());
    jwk[name] = value;
    header(sent, "jwk", jwk)
}

thread_local! {
    static KEY: &'static ProofKey = Box::leak(Box::new(ProofKey::generate(Algorithm::EdDSA).unwrap()));
}

fn secret(more: &[u8]) -> Vec<u8> {
    [SECRET, more].concat()
}

/// The newest nonce of a server with this secret.
fn nonce_of(world: &World, more: &[u8]) -> String {
    let nonces = DpopNonces::new(secret(more)).unwrap();
    let dpop = world.builder().nonces(nonces).build().unwrap();
    let proof = world.proof("GET", ORDERS).sign();
    let request = Request::get("/orders")
        .header("DPoP", proof)
        .body(())
        .unwrap();
    let error = dpop
        .verify_proof(request.method(), request.uri(), request.headers())
        .unwrap_err();
    let headers = error.headers();
    headers["DPoP-Nonce"].to_str().unwrap().to_owned()
}

async fn answer(world: &World, layer: &tower_jwt_auth::JwtAuthLayer, sent: Sent<'_>) -> Answer {
    let mut request = get_orders("DPoP", &sent.token, "-");
    *request.method_mut() = sent.method.parse().unwrap();
    *request.uri_mut() = sent.path.parse().unwrap();
    request.headers_mut().remove("dpop");
    for proof in (sent.headers)(sent.proof.sign()) {
        request.headers_mut().append("dpop", proof.parse().unwrap());
    }
    let _ = world;
    send(layer, request).await
}

struct Setting {
    world: World,
    layer: tower_jwt_auth::JwtAuthLayer,
    token: String,
    nonce: String,
    stranger: Stranger,
}

impl Setting {
    async fn new() -> Self {
        let mut world = World::new();
        world.key = KEY.with(|key| (*key).clone());
        let nonces = DpopNonces::new(secret(b"")).unwrap();
        let dpop = world.builder().nonces(nonces).build().unwrap();
        let layer = tower_jwt_auth::JwtAuthLayer::new(world.tokens.verifier()).require_dpop(dpop);
        let token = world.bound_token().await;
        let nonce = nonce_of(&world, b"");
        let key: &'static ProofKey =
            Box::leak(Box::new(ProofKey::generate(Algorithm::EdDSA).unwrap()));
        let stranger = Stranger {
            key,
            token: world.bound_to(key).await,
        };
        Self {
            world,
            layer,
            token,
            nonce,
            stranger,
        }
    }

    /// A request with which nothing is wrong.
    fn good(&self) -> Sent<'static> {
        let proof = KEY.with(|key| key.proof("GET", ORDERS));
        let proof = proof
            .issued_at(self.world.now())
            .token(&self.token)
            .nonce(&self.nonce);
        Sent {
            method: "GET",
            path: "/orders",
            token: self.token.clone(),
            proof,
            headers: |proof| vec![proof],
        }
    }

    async fn told(&self, sent: Sent<'_>) -> Answer {
        answer(&self.world, &self.layer, sent).await
    }
}

#[tokio::test]
async fn a_proof_with_one_fault_is_refused_for_that_fault() {
    let setting = Setting::new().await;
    let jkt = setting.world.key.thumbprint().to_owned();
    for fault in faults() {
        let good = setting.told(setting.good()).await;
        assert_eq!(good.told(), format!("200 Dpop {{ jkt: {jkt:?} }}"));
        let sent = (fault.make)(&setting.world, setting.good(), &setting.stranger);
        let answer = setting.told(sent).await;
        assert_eq!(
            answer.told(),
            format!("401 {}", fault.reason),
            "{}",
            fault.name
        );
        let challenges = answer.header("WWW-Authenticate");
        let code = match fault.reason {
            "nonce_missing" | "nonce_expired" => "use_dpop_nonce",
            "bound_to_other_key" => "invalid_token",
            _ => "invalid_dpop_proof",
        };
        assert_eq!(
            challenges,
            [format!(
                r#"DPoP realm="api", error="{code}", algs="ES256 EdDSA Ed25519 RS256""#
            )],
            "{}",
            fault.name
        );
        let has_nonce = answer.headers.contains_key("dpop-nonce");
        assert_eq!(has_nonce, code == "use_dpop_nonce", "{}", fault.name);
    }
}

#[tokio::test]
async fn a_proof_with_two_faults_is_refused() {
    let setting = Setting::new().await;
    let faults = faults();
    // Not a pair of faults: the second undoes the first.
    let undoes = |one: &Fault, other: &Fault| {
        let names = [one.name, other.name];
        names.contains(&"a token of another key") || names.contains(&"another token")
    };
    for one in &faults {
        for other in &faults {
            let sent = (one.make)(&setting.world, setting.good(), &setting.stranger);
            let sent = (other.make)(&setting.world, sent, &setting.stranger);
            let answer = setting.told(sent).await;
            let pair = format!("{} and {}", one.name, other.name);
            assert_eq!(answer.status, 401, "{pair}");
            if !undoes(one, other) {
                let reasons: Vec<_> = faults.iter().map(|fault| fault.reason).collect();
                assert!(reasons.contains(&&*answer.told), "{pair}: {}", answer.told);
            }
        }
    }
}

#[tokio::test]
async fn each_asymmetric_algorithm_makes_good_proofs_by_choice() {
    for algorithm in Algorithm::ALL.into_iter().filter(|one| !one.is_symmetric()) {
        let mut world = World::with_key(algorithm);
        world.tokens = tower_jwt_auth::TokenIssuer::builder(super::support::hs256())
            .issuer("me")
            .audience("api")
            .clock(world.clock.clone())
            .build()
            .unwrap();
        let only = world.builder().algorithms([algorithm]).build().unwrap();
        let request = |proof: String| {
            Request::get("/orders")
                .header("DPoP", proof)
                .body(())
                .unwrap()
        };
        for _ in 0..2 {
            let request = request(world.proof("GET", ORDERS).sign());
            let proof = only
                .verify_proof(request.method(), request.uri(), request.headers())
                .unwrap();
            assert_eq!(proof.thumbprint(), world.key.thumbprint());
            proof.spend().await.unwrap();
        }
        let others = Algorithm::ALL.into_iter();
        let others = others.filter(|one| !one.is_symmetric() && *one != algorithm);
        let others = world.builder().algorithms(others).build().unwrap();
        let request = request(world.proof("GET", ORDERS).sign());
        let error = others
            .verify_proof(request.method(), request.uri(), request.headers())
            .unwrap_err();
        assert_eq!(
            error.reason(),
            "proof_algorithm_not_accepted",
            "{algorithm}"
        );
    }
}

#[test]
fn a_policy_that_cannot_be_meant_is_not_built() {
    let world = World::new();
    let told =
        |builder: tower_jwt_auth::dpop::DpopBuilder| builder.build().unwrap_err().to_string();
    assert!(told(world.builder().algorithms([])).contains("no algorithm"));
    let symmetric = told(world.builder().algorithms([Algorithm::HS256]));
    assert!(symmetric.contains("`HS256` is symmetric"), "{symmetric}");
    assert!(told(world.builder().max_age(Duration::ZERO)).contains("longest age"));
    assert!(told(world.builder().max_age(Duration::from_secs(301))).contains("longest age"));
    told(world.builder().leeway(Duration::from_secs(301)));
    assert!(told(world.builder().address("api.example")).contains("`api.example`"));
    let nonces = DpopNonces::new(secret(b"")).unwrap();
    told(
        world
            .builder()
            .nonces(nonces.period(Duration::from_secs(1))),
    );
}
