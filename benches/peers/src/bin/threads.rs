//! Prints the throughput of two threads compared with one: `cargo run --release --bin threads`.
//!
//! It measures the elapsed time and the CPU time of the threads (on Linux only). The CPU time is the better
//! number on a machine that is busy with other work, but it does not include the time in which threads sleep.

use std::fs;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use peers::{ALGORITHMS, Case, Tokens};

const REQUESTS: usize = 20_000;
/// The best of this many rounds counts: other work on the machine only makes a round slower.
const ROUNDS: usize = 7;

/// The time that a thread takes for one request.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    on_processor: Duration,
}

fn main() {
    for algorithm in ALGORITHMS {
        let tokens = Tokens::new(algorithm, 1000);
        let (mut one, mut two) = (Cost::MAX, Cost::MAX);
        for _ in 0..ROUNDS {
            one = one.min(cost(&tokens, 1));
            two = two.min(cost(&tokens, 2));
        }
        let times = |one: Duration, two: Duration| 2.0 * one.as_secs_f64() / two.as_secs_f64();
        println!(
            "{algorithm}: {:.2} times as many requests on two threads as on one; by time on a \
             processor {:.2}",
            times(one.wall, two.wall),
            times(one.on_processor, two.on_processor),
        );
    }
}

/// The cost of a request for each of the threads, which use clones of one router.
fn cost(tokens: &Tokens, threads: usize) -> Cost {
    let router = peers::ours(tokens).into_router().expect("a router");
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let work = || {
            let mut contender = peers::routed("clone", router.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            barrier.wait();
            let (start, worked) = (Instant::now(), on_processor());
            runtime.block_on(async {
                for index in 0..REQUESTS {
                    let credentials = tokens.credentials(Case::First, index);
                    assert!(contender.lets_through(credentials).await);
                }
            });
            Cost {
                wall: start.elapsed(),
                on_processor: on_processor() - worked,
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let costs = running.into_iter().map(|one| one.join().unwrap());
        costs.fold(Cost::ZERO, Cost::max)
    })
}

/// The CPU time of this thread so far.
fn on_processor() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

impl Cost {
    const ZERO: Self = Self::both(Duration::ZERO);
    const MAX: Self = Self::both(Duration::MAX);

    const fn both(time: Duration) -> Self {
        Self {
            wall: time,
            on_processor: time,
        }
    }

    fn min(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            on_processor: self.on_processor.min(other.on_processor),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            wall: self.wall.max(other.wall),
            on_processor: self.on_processor.max(other.on_processor),
        }
    }
}
