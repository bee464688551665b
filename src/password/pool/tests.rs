//! The limits of the pool, one at a time.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};

use super::*;

const LONG: Duration = Duration::from_secs(20);

const LIMITS: Limits = Limits {
    workers: 1,
    queue: 8,
    wait: LONG,
    blocks: 100,
    kept: 10,
};

fn job<T>(
    blocks: usize,
    work: impl FnOnce(&mut Scratch) -> Result<T, PasswordError> + Send + 'static,
) -> Job<T> {
    Job {
        blocks,
        work: Box::new(work),
    }
}

/// Creates a job that reports its start and runs until it is told to end.
fn gate(blocks: usize) -> (Job<()>, Receiver<()>, Sender<()>) {
    let ((started, has_started), (end, ended)) = (channel(), channel());
    let job = job(blocks, move |_| {
        let _ = started.send(());
        let _ = ended.recv();
        Ok(())
    });
    (job, has_started, end)
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn queued(pool: &Pool) -> usize {
    pool.0.lock().queue.len()
}

/// Waits, without a fixed pause, for what other threads do soon.
fn soon(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "the condition did not become true");
        thread::yield_now();
    }
}

#[test]
fn no_thread_runs_before_the_first_job() {
    let pool = Pool::new(LIMITS);
    assert_eq!(pool.0.lock().workers, 0);
    assert_eq!(pool.run_blocking(job(1, |_| Ok(7))), Ok(7));
    assert_eq!(pool.0.lock().workers, 1);
}

#[test]
fn the_threads_end_with_the_pool() {
    let pool = Pool::new(Limits {
        workers: 3,
        ..LIMITS
    });
    let gates: Vec<_> = (0..3).map(|_| gate(1)).collect();
    let mut futures = Vec::new();
    let mut ends = Vec::new();
    for (job, started, end) in gates {
        let mut future = Box::pin(pool.run(job));
        assert!(poll_once(future.as_mut()).is_pending());
        started.recv_timeout(LONG).unwrap();
        futures.push(future);
        ends.push(end);
    }
    drop(futures);
    let shared = Arc::downgrade(&pool.0);
    drop(pool);
    drop(ends);
    soon(|| shared.strong_count() == 0);
}

#[test]
fn jobs_start_in_the_order_in_which_they_were_queued() {
    let pool = Pool::new(LIMITS);
    let (first, started, end) = gate(1);
    let mut first = pin!(pool.run(first));
    assert!(poll_once(first.as_mut()).is_pending());
    started.recv_timeout(LONG).unwrap();
    let (seen, order) = channel();
    let mut futures = Vec::new();
    for number in 0..5 {
        let seen = seen.clone();
        let mut future = Box::pin(pool.run(job(1, move |_| {
            let _ = seen.send(number);
            Ok(())
        })));
        assert!(poll_once(future.as_mut()).is_pending());
        futures.push(future);
    }
    end.send(()).unwrap();
    let order: Vec<i32> = (0..5).map(|_| order.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn a_job_whose_caller_left_before_the_start_is_skipped() {
    let pool = Pool::new(LIMITS);
    let (first, started, end) = gate(1);
    let mut first = Box::pin(pool.run(first));
    assert!(poll_once(first.as_mut()).is_pending());
    started.recv_timeout(LONG).unwrap();
    let (ran, has_run) = channel();
    let mut second = Box::pin(pool.run(job(1, move |_| {
        let _ = ran.send(());
        Ok(())
    })));
    assert!(poll_once(second.as_mut()).is_pending());
    drop(second);
    end.send(()).unwrap();
    assert_eq!(pool.run_blocking(job(1, |_| Ok(1))), Ok(1));
    assert!(has_run.recv_timeout(LONG).is_err());
}

#[test]
fn a_running_job_keeps_its_worker_when_its_caller_leaves() {
    let pool = Pool::new(Limits { queue: 0, ..LIMITS });
    let (first, started, end) = gate(60);
    let mut first = Box::pin(pool.run(first));
    assert!(poll_once(first.as_mut()).is_pending());
    started.recv_timeout(LONG).unwrap();
    drop(first);
    assert_eq!(pool.0.lock().leased, 60);
    let refused = pool.run_blocking(job(1, |_| Ok(())));
    assert_eq!(
        refused,
        Err(PasswordError::Overloaded { retry_after: LONG })
    );
    end.send(()).unwrap();
    soon(|| pool.0.lock().running == 0);
    assert_eq!(pool.0.lock().leased, 0);
    assert_eq!(pool.run_blocking(job(1, |_| Ok(()))), Ok(()));
}

#[test]
fn a_full_queue_refuses_at_once_and_forgets_dropped_callers() {
    let pool = Pool::new(Limits { queue: 1, ..LIMITS });
    let (first, started, end) = gate(1);
    let mut first = pin!(pool.run(first));
    assert!(poll_once(first.as_mut()).is_pending());
    started.recv_timeout(LONG).unwrap();
    let mut second = Box::pin(pool.run(job(1, |_| Ok(()))));
    assert!(poll_once(second.as_mut()).is_pending());
    let third = pool.run_blocking(job(1, |_| Ok(())));
    assert_eq!(third, Err(PasswordError::Overloaded { retry_after: LONG }));
    drop(second);
    let mut fourth = Box::pin(pool.run(job(1, |_| Ok(()))));
    assert!(poll_once(fourth.as_mut()).is_pending());
    assert_eq!(queued(&pool), 1);
    drop(end);
}

#[test]
fn a_wait_ends_after_max_wait() {
    let wait = Duration::from_millis(30);
    let pool = Pool::new(Limits { wait, ..LIMITS });
    // On a busy machine, the first job may itself wait too long for its thread.
    let (_first, end) = std::iter::repeat_with(|| {
        let (job, started, end) = gate(1);
        let mut future = Box::pin(pool.run(job));
        assert!(poll_once(future.as_mut()).is_pending());
        started.recv_timeout(LONG).is_ok().then_some((future, end))
    })
    .find_map(|first| first)
    .unwrap();
    for _ in 0..2 {
        let begin = Instant::now();
        let late = pool.run_blocking(job(1, |_| Ok(())));
        let retry_after = Duration::from_secs(1);
        assert_eq!(late, Err(PasswordError::Overloaded { retry_after }));
        assert!(begin.elapsed() >= wait);
        assert_eq!(queued(&pool), 0);
    }
    drop(end);
}

#[test]
fn a_longer_run_than_max_wait_is_not_cut_short() {
    let wait = Duration::from_millis(10);
    let pool = Pool::new(Limits { wait, ..LIMITS });
    loop {
        let (start, has_started) = channel();
        let slow = job(1, move |_| {
            let _ = start.send(());
            let begin = Instant::now();
            while begin.elapsed() < wait * 5 {
                thread::yield_now();
            }
            Ok(7)
        });
        let result = pool.run_blocking(slow);
        if has_started.try_recv().is_ok() {
            assert_eq!(result, Ok(7));
            break;
        }
        // On a busy machine, a job may wait longer than this for its thread.
        let retry_after = Duration::from_secs(1);
        assert_eq!(result, Err(PasswordError::Overloaded { retry_after }));
    }
}

#[test]
fn a_panic_ends_one_job_but_no_worker() {
    let pool = Pool::new(LIMITS);
    for _ in 0..3 {
        let failed = pool.run_blocking::<()>(job(10, |_| panic!("on purpose")));
        assert_eq!(failed, Err(PasswordError::Internal));
    }
    soon(|| pool.0.lock().running == 0);
    assert_eq!(pool.run_blocking(job(1, |_| Ok(7))), Ok(7));
    let state = pool.0.lock();
    assert_eq!((state.workers, state.running, state.leased), (1, 0, 0));
}

#[test]
fn memory_is_wiped_and_kept_but_larger_memory_is_released() {
    let pool = Pool::new(LIMITS);
    let address = |count: usize| {
        job(count, move |scratch| {
            let blocks = scratch.blocks(count)?;
            assert!(
                blocks
                    .iter()
                    .all(|block| block.as_ref().iter().all(|word| *word == 0))
            );
            blocks.iter_mut().for_each(|block| block.as_mut().fill(7));
            Ok(blocks.as_ptr() as usize)
        })
    };
    let first = pool.run_blocking(address(10)).unwrap();
    assert_eq!(pool.run_blocking(address(10)), Ok(first));
    assert_eq!(pool.0.lock().spare.len(), 1);
    // 95 blocks leave no room in the budget for the 10 that are kept.
    pool.run_blocking(address(95)).unwrap();
    assert_eq!(pool.0.lock().spare.len(), 0);
}

#[test]
fn jobs_together_never_use_more_than_the_budget() {
    let pool = Pool::new(Limits {
        workers: 3,
        ..LIMITS
    });
    let (first, started, end) = gate(60);
    let mut first = pin!(pool.run(first));
    assert!(poll_once(first.as_mut()).is_pending());
    started.recv_timeout(LONG).unwrap();
    let (second, second_started, second_end) = gate(60);
    let mut second = pin!(pool.run(second));
    assert!(poll_once(second.as_mut()).is_pending());
    // Small enough to fit, but no job overtakes another.
    let (third, third_started, third_end) = gate(10);
    let mut third = pin!(pool.run(third));
    assert!(poll_once(third.as_mut()).is_pending());
    assert!(
        second_started
            .recv_timeout(Duration::from_millis(50))
            .is_err()
    );
    assert!(third_started.try_recv().is_err());
    end.send(()).unwrap();
    second_started.recv_timeout(LONG).unwrap();
    third_started.recv_timeout(LONG).unwrap();
    assert!(pool.0.lock().leased <= LIMITS.blocks);
    drop((second_end, third_end));
}

#[test]
fn a_job_over_the_whole_budget_is_refused() {
    let pool = Pool::new(LIMITS);
    let refused = pool.run_blocking(job(101, |_| Ok(())));
    assert_eq!(refused, Err(PasswordError::CostTooHigh));
}

#[test]
fn many_callers_share_a_few_workers() {
    let pool = Pool::new(Limits {
        workers: 3,
        queue: 100,
        ..LIMITS
    });
    thread::scope(|scope| {
        for number in 0..40 {
            let pool = &pool;
            scope.spawn(move || {
                assert_eq!(pool.run_blocking(job(10, move |_| Ok(number))), Ok(number));
            });
        }
    });
    let state = pool.0.lock();
    assert!(state.workers <= 3 && state.queue.is_empty());
}
