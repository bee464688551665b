//! Argon2id hashes, two at a time: on the pool of the service, which reuses its memory, and on
//! `spawn_blocking`, which allocates memory for each hash.

use std::hint::black_box;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tower_jwt_auth::PasswordService;
use tower_jwt_auth::password::Argon2Params;

const PASSWORD: &str = "correct horse battery staple";
const WORKERS: usize = 2;
const PASSES: u32 = 2;

fn password(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for memory_kib in [19_456, 65_536] {
        let mut group = c.benchmark_group(format!("password/{} MiB", memory_kib / 1024));
        group.sample_size(20);
        let params = Argon2Params::new(memory_kib, PASSES, 1);
        let builder = PasswordService::builder().argon2(params).workers(WORKERS);
        let passwords = builder.build().expect("a service");
        group.bench_function("pool", |b| {
            b.iter_custom(|count| {
                runtime.block_on(keep_busy(count, || on_pool(passwords.clone())))
            });
        });
        group.bench_function("spawn_blocking", |b| {
            b.iter_custom(|count| {
                runtime.block_on(keep_busy(count, || with_fresh_memory(memory_kib)))
            });
        });
        group.finish();
    }
}

async fn on_pool(passwords: PasswordService) {
    black_box(passwords.hash(PASSWORD).await.expect("a hash"));
}

async fn with_fresh_memory(memory_kib: u32) {
    let hash = tokio::task::spawn_blocking(move || {
        let params = Params::new(memory_kib, PASSES, 1, Some(32)).expect("good parameters");
        let mut tag = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(PASSWORD.as_bytes(), b"0123456789abcdef", &mut tag)
            .expect("memory for one hash");
        tag
    });
    black_box(hash.await.expect("a hash"));
}

/// Keeps `WORKERS` hashes in flight until `count` are made.
async fn keep_busy<F>(count: u64, hash: impl Fn() -> F) -> Duration
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

criterion_group!(benches, password);
criterion_main!(benches);
