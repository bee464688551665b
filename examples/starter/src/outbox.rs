//! [`Outbox`]: letters wait here for the worker that sends them. No request waits for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::message::Mailbox;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::with_causes;
use crate::letters::{Letter, Writer, text_of};
use crate::mail::{Mailer, NotSent};
use crate::sms::Sms;

/// How many letters may wait. With more, the mail server has been away for long.
const QUEUE: usize = 1000;
/// How many are on their way at once.
const AT_ONCE: usize = 4;
/// When to try again, and again; after the last the letter is given up.
const PAUSES: [u64; 5] = [1, 5, 30, 120, 600];
/// How long letters may still take when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Where letters are left; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    letters: mpsc::Sender<Letter>,
    stop: watch::Sender<bool>,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Writes a letter and sends it, as often as it takes.
struct Postman {
    writer: Writer,
    mailer: Arc<dyn Mailer>,
    sms: Arc<dyn Sms>,
    from: Mailbox,
    stop: watch::Receiver<bool>,
}

// === impl Outbox ===

impl Outbox {
    /// Starts the worker.
    pub(crate) fn start(
        writer: Writer,
        mailer: Arc<dyn Mailer>,
        sms: Arc<dyn Sms>,
        from: Mailbox,
    ) -> Self {
        let (letters, queue) = mpsc::channel(QUEUE);
        let (stop, stopped) = watch::channel(false);
        let postman = Arc::new(Postman {
            writer,
            mailer,
            sms,
            from,
            stop: stopped,
        });
        let worker = Arc::new(Mutex::new(Some(tokio::spawn(work(queue, postman)))));
        Self {
            letters,
            stop,
            worker,
        }
    }

    /// Leaves a letter. It never waits, and the caller need not know whether there was room: a
    /// user whose letter is lost asks for another.
    pub(crate) fn post(&self, letter: Letter) {
        if let Err(error) = self.letters.try_send(letter) {
            let (mpsc::error::TrySendError::Full(letter)
            | mpsc::error::TrySendError::Closed(letter)) = error;
            tracing::error!(letter = letter.kind(), "no room for a letter: it is lost");
        }
    }

    /// Takes no more letters, and gives those that wait one try, for a few seconds.
    pub(crate) async fn drain(&self) {
        self.stop.send_replace(true);
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut worker) = worker else {
            return;
        };
        if tokio::time::timeout(DRAIN, &mut worker).await.is_err() {
            worker.abort();
            tracing::error!("letters were still waiting: they are lost");
        }
    }
}

async fn work(mut queue: mpsc::Receiver<Letter>, postman: Arc<Postman>) {
    let mut stop = postman.stop.clone();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    loop {
        let letter = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !queue.is_closed() => {
                queue.close();
                continue;
            }
            letter = queue.recv() => letter,
        };
        let (Some(letter), Ok(place)) = (letter, Arc::clone(&places).acquire_owned().await) else {
            break;
        };
        let postman = Arc::clone(&postman);
        under_way.spawn(async move {
            postman.deliver(&letter).await;
            drop(place);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

// === impl Postman ===

impl Postman {
    async fn deliver(&self, letter: &Letter) {
        let mut stop = self.stop.clone();
        let mut pauses = PAUSES.into_iter();
        while let Err(NotSent { again, error }) = self.send(letter).await {
            let error = with_causes(&*error);
            let pause = pauses.next().filter(|_| again && !*stop.borrow());
            let Some(pause) = pause else {
                tracing::error!(letter = letter.kind(), error, "letter given up");
                return;
            };
            tracing::warn!(letter = letter.kind(), error, pause, "letter not sent yet");
            // When the service stops there is one more try, and no more pause.
            let pause = tokio::time::sleep(Duration::from_secs(pause));
            tokio::select! {
                () = pause => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Written anew for each try: a token is as fresh as its letter.
    async fn send(&self, letter: &Letter) -> Result<(), NotSent> {
        if let Letter::Code { phone, code } = letter {
            return self.sms.send(phone, &text_of(code)).await;
        }
        let written = self.writer.write(letter).await;
        let written = written.map_err(|error| NotSent {
            again: true,
            error: error.into(),
        })?;
        match written {
            Some(message) => self.mailer.send(message.written(&self.from)?).await,
            None => Ok(()),
        }
    }
}
