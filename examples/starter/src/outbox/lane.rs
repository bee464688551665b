//! [`Lane`]: a queue with workers, for all messages that are sent in the same way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Notification;
use super::postman::Postman;
use super::waiting::{Entry, Next, Refused, Waiting};
use crate::email::NotSent;
use crate::error::with_causes;

/// How many messages are sent at once.
const WORKERS: usize = 4;
/// How long an attempt may take. A worker must not wait forever, and neither the connection to the mail server nor
/// the connection to the database, which has what the text of a message needs, has a time limit of its own if its
/// server falls silent.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Waiting messages, and the workers that send them.
pub(super) struct Lane {
    queue: Arc<Queue>,
    /// The workers end when this is dropped.
    workers: Mutex<JoinSet<()>>,
}

/// What the workers share.
struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the workers.
    changed: watch::Sender<()>,
    postman: Arc<Postman>,
    /// The pauses between attempts, in seconds.
    pauses: &'static [u64],
}

// === impl Lane ===

impl Lane {
    pub(super) fn start(postman: Arc<Postman>, pauses: &'static [u64]) -> Arc<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: watch::Sender::default(),
            postman,
            pauses,
        });
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(Arc::clone(&queue).work());
        }
        Arc::new(Self {
            queue,
            workers: Mutex::new(workers),
        })
    }

    pub(super) fn add(&self, notification: Notification) -> Result<(), Refused> {
        self.queue.waiting().add(notification, Instant::now())?;
        self.queue.changed.send_replace(());
        Ok(())
    }

    /// Sends the waiting messages, within this time.
    pub(super) async fn drain(&self, time: Duration) {
        self.queue.waiting().stop(Instant::now());
        self.queue.changed.send_replace(());
        let workers = std::mem::take(&mut *lock(&self.workers));
        if tokio::time::timeout(time, workers.join_all())
            .await
            .is_err()
        {
            let lost = self.queue.waiting().len();
            tracing::error!(lost, "messages that were still waiting to be sent are lost");
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

// === impl Queue ===

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    /// Sends messages until the service stops and nothing is left.
    async fn work(self: Arc<Self>) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let (next, is_stopping) = {
                let mut waiting = self.waiting();
                (waiting.next(Instant::now()), waiting.is_stopping)
            };
            let again = async {
                // The sender is ours, so it still exists.
                let _ = changed.changed().await;
            };
            match next {
                Next::Send(entry) => self.send(*entry).await,
                Next::WaitUntil(due) => {
                    let _ = tokio::time::timeout_at(due, again).await;
                }
                // Other workers take care of what is left.
                Next::Wait if is_stopping => return,
                Next::Wait => again.await,
            }
        }
    }

    async fn send(&self, mut entry: Entry) {
        let recipient = entry.notification.recipient().to_owned();
        let postman = Arc::clone(&self.postman);
        // Runs in a task of its own, so that a panic costs one message and not the worker. The task ends if
        // this is dropped.
        let mut task = JoinSet::new();
        task.spawn(async move {
            let send = postman.send(&entry.notification, &mut entry.written);
            let sent = tokio::time::timeout(ATTEMPT, send).await;
            let sent = sent.unwrap_or_else(|_| Err(NotSent::for_now("no response in time")));
            (entry, sent)
        });
        let done = task.join_next().await;
        let now = Instant::now();
        let mut waiting = self.waiting();
        waiting.is_over(&recipient);
        match done {
            Some(Ok((entry, Err(not_sent)))) => {
                self.is_not_sent(&mut waiting, entry, now, &not_sent)
            }
            Some(Ok((_, Ok(())))) => {}
            Some(Err(_)) | None => tracing::error!("a message is lost: sending it panicked"),
        }
        drop(waiting);
        // Another message may be waiting for the same recipient.
        self.changed.send_replace(());
    }

    fn is_not_sent(&self, waiting: &mut Waiting, entry: Entry, now: Instant, why: &NotSent) {
        let (notification, error) = (entry.notification.kind(), with_causes(&*why.error));
        let tries = entry.tries;
        let pause = self.pauses.get(tries - 1);
        let pause = pause.filter(|_| why.again && !entry.is_last_try);
        let cure = why.cure.unwrap_or_default();
        let Some(&pause) = pause else {
            tracing::error!(notification, tries, error, cure, "message given up");
            return;
        };
        match why.cure {
            // It fails again until the operator does something about it.
            Some(_) => tracing::error!(notification, error, cure, pause, "message not sent yet"),
            None => tracing::warn!(notification, error, pause, "message not sent yet"),
        }
        let due = now + Duration::from_secs(pause);
        if waiting.put_back(entry, now, due).is_err() {
            tracing::error!(notification, tries, "message given up: the outbox is full");
        }
    }
}

/// Locks the mutex. Nothing panics while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
