//! The cost of a request: verification for each algorithm, refusals, the layer compared with a bare service,
//! and the revocation check.
#![allow(missing_docs, clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer};

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// Enough tokens to exceed the caches of the processor.
const DISTINCT: usize = 2_000;

fn issuer(algorithm: Algorithm) -> TokenIssuer {
    issuer_with(SigningKey::generate(algorithm).unwrap())
}

fn issuer_with(key: SigningKey) -> TokenIssuer {
    TokenIssuer::builder(key)
        .issuer("https://me.example")
        .audience("api")
        .build()
        .unwrap()
}

/// About 400 bytes of claims.
fn token_of(tokens: &TokenIssuer, subject: &str) -> String {
    let claims = serde_json::json!({
        "email": "alice@example.com", "name": "Alice Example", "tenant": 42,
        "roles": ["reader", "writer"], "note": "x".repeat(80),
    });
    tokens
        .access(subject)
        .scopes(["read", "write"])
        .claims(claims)
        .issue()
        .unwrap()
}

fn token(tokens: &TokenIssuer) -> String {
    token_of(tokens, "alice")
}

fn verify(c: &mut Criterion) {
    for algorithm in ALGORITHMS {
        let mut group = c.benchmark_group(format!("verify {algorithm}"));
        let key = SigningKey::generate(algorithm).unwrap();
        let tokens = issuer_with(key.clone());
        let (verifier, good) = (tokens.verifier(), token(&tokens));
        group.bench_function("cold: by a verifier that was just built", |b| {
            let build = || issuer_with(key.clone()).verifier();
            b.iter_batched(
                build,
                |verifier| verifier.verify_local(black_box(&good)).unwrap(),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("repeat", |b| {
            b.iter(|| verifier.verify_local(black_box(&good)).unwrap());
        });
        let distinct: Vec<String> = (0..DISTINCT)
            .map(|user| token_of(&tokens, &format!("user-{user}")))
            .collect();
        let mut next = distinct.iter().cycle();
        group.bench_function("distinct", |b| {
            b.iter(|| verifier.verify_local(next.next().unwrap()).unwrap());
        });
        let other = SigningKey::generate(algorithm).unwrap();
        let other = issuer_with(other.with_key_id(key.key_id()).unwrap());
        let clock = ManualClock::at_now();
        clock.set(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let past = TokenIssuer::builder(key)
            .issuer("https://me.example")
            .audience("api")
            .clock(clock)
            .build()
            .unwrap();
        for (name, bad) in [
            ("garbage", "not.a.token".to_owned()),
            ("bad signature", token(&other)),
            ("expired", token(&past)),
        ] {
            group.bench_function(name, |b| {
                b.iter(|| verifier.verify_local(black_box(&bad)).unwrap_err());
            });
        }
        group.finish();
    }
}

/// The cost of the check for the request, if the answer is in memory.
fn revocation(c: &mut Criterion) {
    let mut group = c.benchmark_group("revocation check");
    let runtime = Runtime::new().unwrap();
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 36);
    let record = MemoryRevocations::new();
    for id in 0..100_000 {
        for revocation in [
            Revocation::token(Some("https://me.example"), format!("t{id}"), until),
            Revocation::session(Some("https://me.example"), format!("s{id}"), until),
        ] {
            runtime.block_on(record.revoke(&[revocation])).unwrap();
        }
    }
    let query = RevocationQuery::new("alice", "3q2-7wABAgMEBQYH", 1_700_000_000_000_000)
        .with_issuer("https://me.example")
        .with_session("0f8fad5b-d9cb-469f-a165-70867728950e");
    group.bench_function("nothing revoked", |b| {
        let empty = MemoryRevocations::new();
        b.iter(|| empty.peek(black_box(&query)).unwrap());
    });
    group.bench_function("200,000 revoked", |b| {
        b.iter(|| record.peek(black_box(&query)).unwrap());
    });
    #[cfg(feature = "cache")]
    {
        let lag = Duration::from_secs(3600);
        let cached = tower_jwt_auth::revocation::CachedRevocations::new(record).cache_for(lag);
        runtime.block_on(cached.is_revoked(&query)).unwrap();
        group.bench_function("cached", |b| {
            b.iter(|| cached.peek(black_box(&query)).unwrap());
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
                b.to_async(&runtime).iter(|| bare.oneshot(make()));
            }),
            Some(layer) => {
                let service = layer.layer(bare);
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
    let layer = JwtAuthLayer::new(tokens.verifier());
    bench("garbage", Some("not.a.token"), Some(layer.clone()));
    bench("no token", None, Some(layer));

    let record = MemoryRevocations::new();
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 36);
    for id in 0..100_000 {
        let revocation = Revocation::token(Some("https://me.example"), id.to_string(), until);
        runtime.block_on(record.revoke(&[revocation])).unwrap();
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

criterion_group!(benches, verify, layer, revocation);
criterion_main!(benches);
