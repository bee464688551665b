//! What a request with a bound token costs compared with a bearer token: the check of the proof's signature,
//! and about 2 microseconds.
#![allow(missing_docs, clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service as _, service_fn};
use tower_jwt_auth::dpop::{Dpop, DpopNonces, MemoryReplays};
use tower_jwt_auth::testing::ProofKey;
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer};

const SECRET: &[u8] = b"\x3d\x91\x0c\x5a\xe7\x33\xb8\x4d\xf1\x26\xc9\x70\x1e\xa5\x88\x42\xdb\
\x07\xf6\x3b\x94\x6e\xd0\x15\xac\x59\xe3\x80\x2f\xc7\x61\xba";
const ADDRESS: &str = "https://api.example/orders/4711";

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

fn bound(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let bare = service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let mut group = c.benchmark_group(format!("bound by {algorithm}"));
        let key = ProofKey::generate(algorithm).unwrap();
        let signer = SigningKey::generate(Algorithm::ES256).unwrap();
        let tokens = TokenIssuer::builder(signer)
            .issuer("https://me.example")
            .audience("api");
        let tokens = tokens.build().unwrap();
        // The store has room for all iterations, so that the request is measured and not a full store.
        let dpop = Dpop::builder(
            "https://api.example",
            MemoryReplays::with_capacity(50_000_000),
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
        let with_proof = tokens.access("alice").scope("read").dpop(&proof);
        let with_proof = with_proof.issue().unwrap();
        let bearer = tokens.access("alice").scope("read").issue().unwrap();
        let plain = JwtAuthLayer::new(tokens.verifier()).layer(bare);
        let checking = JwtAuthLayer::new(tokens.verifier()).dpop(dpop).layer(bare);
        group.bench_function("bearer token, layer without DPoP", |b| {
            b.iter_batched(
                || (plain.clone(), request("Bearer", &bearer, None)),
                |(mut service, request)| {
                    let response = runtime.block_on(service.call(request)).unwrap();
                    assert_eq!(response.status(), 200);
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("bearer token", |b| {
            b.iter_batched(
                || (checking.clone(), request("Bearer", &bearer, None)),
                |(mut service, request)| {
                    let response = runtime.block_on(service.call(request)).unwrap();
                    assert_eq!(response.status(), 200);
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("bound token", |b| {
            b.iter_batched(
                || {
                    let proof = key.proof("GET", ADDRESS).token(&with_proof).nonce(&nonce);
                    let request = request("DPoP", &with_proof, Some(proof.sign()));
                    (checking.clone(), request)
                },
                |(mut service, request)| {
                    let response = runtime.block_on(service.call(request)).unwrap();
                    assert_eq!(response.status(), 200);
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

/// Only the check of a signature.
fn signature(c: &mut Criterion) {
    let mut group = c.benchmark_group("signature alone");
    let message = [b'x'; 520];
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = pair.sign(&random, &message).unwrap();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).unwrap();
    group.bench_function("ES256", |b| {
        b.iter(|| {
            key.verify_sig(black_box(&message), signature.as_ref())
                .unwrap();
        });
    });
    let pair = Ed25519KeyPair::generate().unwrap();
    let signature = pair.sign(&message);
    let key = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()).unwrap();
    group.bench_function("EdDSA", |b| {
        b.iter(|| {
            key.verify_sig(black_box(&message), signature.as_ref())
                .unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, bound, signature);
criterion_main!(benches);
