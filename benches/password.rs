//! One Argon2id hash of the default parameters: on the pool of the service, whose memory is
//! kept from hash to hash, and on `spawn_blocking`, which takes fresh memory for each.

use std::hint::black_box;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower_jwt_auth::password::PasswordService;

const PASSWORD: &str = "correct horse battery staple";
const WORKERS: usize = 2;

/// Keeps `WORKERS` hashes in flight until `count` are made.
async fn keep_busy<F>(count: u64, mut hash: impl FnMut() -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let mut flying = JoinSet::new();
    for _ in 0..count {
        if flying.len() == WORKERS {
            flying.join_next().await;
        }
        flying.spawn(hash());
    }
    flying.join_all().await;
    start.elapsed()
}

async fn with_fresh_memory() {
    let hash = tokio::task::spawn_blocking(|| {
        let params = Params::new(19_456, 2, 1, Some(32)).expect("the default parameters");
        let mut tag = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(PASSWORD.as_bytes(), b"0123456789abcdef", &mut tag)
            .expect("memory for one hash");
        tag
    });
    black_box(hash.await.expect("a hash"));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn password(c: &mut Criterion) {
    let runtime = runtime();
    let passwords = PasswordService::builder()
        .workers(WORKERS)
        .build()
        .expect("a service");

    let mut group = c.benchmark_group("password");
    group.sample_size(30);
    for (name, in_flight) in [("one at a time", false), ("two at a time", true)] {
        group.bench_function(format!("pool, {name}"), |b| {
            b.iter_custom(|count| {
                let hash = || {
                    let passwords = passwords.clone();
                    async move {
                        black_box(passwords.hash(PASSWORD).await.expect("a hash"));
                    }
                };
                runtime.block_on(async {
                    if in_flight {
                        keep_busy(count, hash).await
                    } else {
                        one_by_one(count, hash).await
                    }
                })
            });
        });
        group.bench_function(format!("spawn_blocking, {name}"), |b| {
            b.iter_custom(|count| {
                runtime.block_on(async {
                    if in_flight {
                        keep_busy(count, with_fresh_memory).await
                    } else {
                        one_by_one(count, with_fresh_memory).await
                    }
                })
            });
        });
    }
    group.finish();
}

async fn one_by_one<F: Future<Output = ()>>(count: u64, mut hash: impl FnMut() -> F) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        hash().await;
    }
    start.elapsed()
}

criterion_group!(benches, password);
criterion_main!(benches);
