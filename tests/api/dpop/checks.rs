//! The checks of RFC 9449 section 4.3, broken one by one and in pairs.

use std::time::Duration;

use http::Request;
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::dpop::DpopNonces;
use tower_jwt_auth::testing::ProofKey;

use super::faults::{Fault, KEY, Sent, Stranger, faults, secret};
use super::support::{Answer, ORDERS, World, get_orders, send};

/// The newest nonce of a server with this secret.
pub fn nonce_of(world: &World, more: &[u8]) -> String {
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

    /// A valid request.
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
async fn without_nonces_the_time_in_a_proof_must_be_right() {
    let world = World::new();
    let layer = world.layer();
    let token = world.bound_token().await;
    for (seconds, told) in [
        (-365 * 86_400, "401 proof_too_old"),
        (-61, "401 proof_too_old"),
        (-59, "200"),
        (29, "200"),
        (31, "401 proof_from_the_future"),
        (365 * 86_400, "401 proof_from_the_future"),
    ] {
        let difference = Duration::from_secs(i64::unsigned_abs(seconds));
        let time = match seconds {
            ..0 => world.now() - difference,
            _ => world.now() + difference,
        };
        let proof = world.proof("GET", ORDERS).token(&token).issued_at(time);
        let answer = send(&layer, get_orders("DPoP", &token, &proof.sign())).await;
        assert!(
            answer.told().starts_with(told),
            "{seconds}: {}",
            answer.told()
        );
    }
}

#[tokio::test]
async fn a_proof_with_two_faults_is_refused() {
    let setting = Setting::new().await;
    let faults = faults();
    // This is not a pair of faults: the second undoes the first.
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
async fn each_asymmetric_algorithm_can_be_allowed_for_proofs() {
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
            proof.mark_used().await.unwrap();
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
fn an_impossible_policy_does_not_build() {
    let world = World::new();
    let told =
        |builder: tower_jwt_auth::dpop::DpopBuilder| builder.build().unwrap_err().to_string();
    assert!(told(world.builder().algorithms([])).contains("no algorithm"));
    let symmetric = told(world.builder().algorithms([Algorithm::HS256]));
    assert!(symmetric.contains("`HS256` is symmetric"), "{symmetric}");
    assert!(told(world.builder().max_age(Duration::ZERO)).contains("maximum age"));
    assert!(told(world.builder().max_age(Duration::from_secs(301))).contains("maximum age"));
    told(world.builder().leeway(Duration::from_secs(301)));
    assert!(told(world.builder().address("api.example")).contains("`api.example`"));
    let nonces = DpopNonces::new(secret(b"")).unwrap();
    told(
        world
            .builder()
            .nonces(nonces.period(Duration::from_secs(1))),
    );
}
