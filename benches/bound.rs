//! What a request with a bound token costs compared with a bearer token: the check of the proof's signature, and
//! the rest, which is printed in the last column.
//!
//! Each request has its own proof, as real clients send it. The three kinds of work take turns, so that a busy
//! machine slows them alike, and their medians are compared. `cargo bench --bench bound --features testing`
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, service_fn};
use tower_jwt_auth::dpop::{Dpop, DpopNonces, MemoryReplays};
use tower_jwt_auth::testing::ProofKey;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer};

const REQUESTS: usize = 10_000;
const SECRET: &[u8] = b"\x3d\x91\x0c\x5a\xe7\x33\xb8\x4d\xf1\x26\xc9\x70\x1e\xa5\x88\x42\xdb\
\x07\xf6\x3b\x94\x6e\xd0\x15\xac\x59\xe3\x80\x2f\xc7\x61\xba";
const ADDRESS: &str = "https://api.example/orders/4711";

fn main() {
    println!("ns per request    bound    bearer    signature    rest");
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        measure(algorithm);
    }
}

fn measure(algorithm: Algorithm) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let key = ProofKey::generate(algorithm).unwrap();
    let signer = SigningKey::generate(Algorithm::ES256).unwrap();
    let tokens = TokenIssuer::builder(signer)
        .issuer("https://me.example")
        .audience("api")
        .build()
        .unwrap();
    // The store has room for all requests, so that the request is measured and not a full store.
    let dpop = Dpop::builder(
        "https://api.example",
        MemoryReplays::with_capacity(REQUESTS * 2),
    )
    .nonces(DpopNonces::new(SECRET).unwrap())
    .build()
    .unwrap();
    let nonce = nonce(&dpop, &key);
    let proof = key.proof("GET", ADDRESS).nonce(&nonce).sign();
    let login = request("DPoP", "-", Some(proof));
    let proof = dpop
        .verify_proof(login.method(), login.uri(), login.headers())
        .unwrap();
    runtime.block_on(proof.mark_used()).unwrap();
    let token = tokens.access("alice").scope("read").dpop(&proof);
    let token = token.issue().unwrap();
    let bearer = tokens.access("alice").scope("read").issue().unwrap();
    let bare = service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let mut service = JwtAuthLayer::new(tokens.verifier()).dpop(dpop).layer(bare);
    let sign = |_| {
        let proof = key.proof("GET", ADDRESS).token(&token).nonce(&nonce);
        proof.sign()
    };
    let proofs: Vec<String> = (0..REQUESTS).map(sign).collect();
    let check = signature_check(algorithm, &proofs[0]);
    let [mut bound, mut plain, mut signature] = [const { Vec::new() }; 3];
    for (number, proof) in proofs.iter().enumerate() {
        let asked = request("DPoP", &token, Some(proof.clone()));
        bound.push(time(&runtime, &mut service, asked));
        let asked = request("Bearer", &bearer, None);
        plain.push(time(&runtime, &mut service, asked));
        // Another proof, because checking one twice in a row is faster the second time.
        let other = proofs[(number + REQUESTS / 2) % REQUESTS].clone();
        let (message, tag) = other.rsplit_once('.').unwrap();
        let tag = decoded(tag);
        let start = Instant::now();
        check(black_box(message.as_bytes()), black_box(&tag));
        signature.push(start.elapsed());
    }
    let [bound, plain, signature] = [bound, plain, signature].map(median);
    let rest = bound.saturating_sub(plain + signature);
    let [bound, plain, signature, rest] =
        [bound, plain, signature, rest].map(|part| part.as_nanos());
    println!("{algorithm:<14}{bound:>9}{plain:>10}{signature:>13}{rest:>8}");
}

fn time<S>(runtime: &Runtime, service: &mut S, request: Request<String>) -> Duration
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let start = Instant::now();
    let response = runtime.block_on(service.call(request)).unwrap();
    let took = start.elapsed();
    assert_eq!(response.status(), 200);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Returns a function that checks signatures with the key in the header of this proof.
fn signature_check(algorithm: Algorithm, proof: &str) -> impl Fn(&[u8], &[u8]) + use<> {
    let header = proof.split_once('.').unwrap().0;
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let number = |name: &str| decoded(header["jwk"][name].as_str().unwrap());
    let key = match algorithm {
        Algorithm::ES256 => {
            let point = [vec![4], number("x"), number("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        }
        Algorithm::EdDSA => ParsedPublicKey::new(&ED25519, number("x")),
        _ => {
            let (n, e) = (number("n"), number("e"));
            let key = RsaPublicKeyComponents { n, e };
            let key = key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
            Ok(key.unwrap())
        }
    };
    let key = key.unwrap();
    move |message, tag| key.verify_sig(message, tag).unwrap()
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The newest nonce.
fn nonce(dpop: &Dpop, key: &ProofKey) -> String {
    let request = Request::get("/orders/4711").header("DPoP", key.proof("GET", ADDRESS).sign());
    let request = request.body(()).unwrap();
    let error = dpop.verify_proof(request.method(), request.uri(), request.headers());
    let headers = error.unwrap_err().headers();
    headers["dpop-nonce"].to_str().unwrap().to_owned()
}

fn request(scheme: &str, token: &str, proof: Option<String>) -> Request<String> {
    let mut request = Request::get("/orders/4711")
        .header("Authorization", format!("{scheme} {token}"))
        .body(String::new())
        .unwrap();
    if let Some(proof) = proof {
        request.headers_mut().insert("dpop", proof.parse().unwrap());
    }
    request
}
