//! What a request costs: verification per algorithm, the layer over a bare service, refusals, rotation.
#![allow(missing_docs, clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_jwt_auth::keys::Algorithm;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationStore};
use tower_jwt_auth::session::MemorySessions;
use tower_jwt_auth::{JwtAuthLayer, SigningKey, TokenIssuer};

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

fn issuer(algorithm: Algorithm) -> TokenIssuer {
    let key = SigningKey::generate(algorithm).unwrap();
    TokenIssuer::builder(key)
        .issuer("https://me.example")
        .audience("api")
        .build()
        .unwrap()
}

/// About 400 bytes of claims.
fn token(tokens: &TokenIssuer) -> String {
    let claims = serde_json::json!({
        "email": "alice@example.com", "name": "Alice Example", "tenant": 42,
        "roles": ["reader", "writer"], "note": "x".repeat(80),
    });
    tokens
        .access("alice")
        .scopes(["read", "write"])
        .claims(claims)
        .issue()
        .unwrap()
}

fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("verify");
    for algorithm in ALGORITHMS {
        let tokens = issuer(algorithm);
        let (verifier, token) = (tokens.verifier(), token(&tokens));
        group.bench_function(algorithm.as_str(), |b| {
            b.iter(|| verifier.verify_local(black_box(&token)).unwrap());
        });
    }
    let tokens = issuer(Algorithm::HS256);
    let (verifier, good) = (tokens.verifier(), token(&tokens));
    let forged = format!("{}A", &good[..good.len() - 1]);
    for (name, bad) in [
        ("garbage", "not.a.token"),
        ("bad signature", forged.as_str()),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| verifier.verify_local(black_box(bad)).unwrap_err());
        });
    }
    group.finish();
}

fn layer(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let bare = service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let request = |token: Option<&str>| {
        let mut request = Request::new(String::new());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        request
    };
    let mut group = c.benchmark_group("layer");
    let mut bench = |name: &str, token: Option<&str>, layer: Option<JwtAuthLayer>| {
        let make = || request(token);
        match layer {
            None => group.bench_function(name, |b| {
                b.to_async(&runtime).iter(|| bare.clone().oneshot(make()));
            }),
            Some(layer) => {
                let service = layer.layer(bare.clone());
                group.bench_function(name, |b| {
                    b.to_async(&runtime).iter(|| service.clone().call(make()));
                })
            }
        };
    };
    let tokens = issuer(Algorithm::HS256);
    let good = token(&tokens);
    bench("bare service", Some(&good), None);
    for algorithm in ALGORITHMS {
        let tokens = issuer(algorithm);
        let good = token(&tokens);
        let layer = JwtAuthLayer::new(tokens.verifier());
        bench(algorithm.as_str(), Some(&good), Some(layer));
    }
    bench("no token", None, Some(JwtAuthLayer::new(tokens.verifier())));

    let record = MemoryRevocations::new();
    let until = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 36);
    for id in 0..100_000 {
        let revocation = Revocation::token(Some("https://me.example"), id.to_string(), until);
        runtime.block_on(record.revoke(&revocation)).unwrap();
    }
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let tokens = TokenIssuer::builder(key)
        .issuer("https://me.example")
        .audience("api");
    let tokens = tokens.revocation(record).build().unwrap();
    let good = token(&tokens);
    let layer = JwtAuthLayer::new(tokens.verifier());
    bench("HS256, 100,000 tokens revoked", Some(&good), Some(layer));
    group.finish();
}

fn rotate(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let tokens = TokenIssuer::builder(key)
        .issuer("https://me.example")
        .audience("api")
        .sessions(MemorySessions::new())
        .build()
        .unwrap();
    let login = runtime
        .block_on(tokens.open_session("alice").scope("read").issue())
        .unwrap();
    let mut current = login.refresh_token;
    c.bench_function("rotate, in memory", |b| {
        b.iter(|| {
            let rotated = runtime.block_on(tokens.rotate(&current)).unwrap();
            current = rotated.issue().unwrap().refresh_token;
        });
    });
}

criterion_group!(benches, verify, layer, rotate);
criterion_main!(benches);
