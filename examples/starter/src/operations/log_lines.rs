//! [`LogLines`]: writes log lines to standard error, on a thread of its own.
//!
//! If the log cannot be written, because the disk is full or its reader is dead or hangs, log lines are
//! lost. No request waits for the log or fails because of it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::SERVICE;

/// How many lines wait for a slow reader before further ones are lost.
const MAX_WAITING: usize = 4096;
/// How much is written at once, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// How long lines are collected after others were written.
const PAUSE: Duration = Duration::from_millis(2);
/// How long the end of the program waits until the last lines are written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines without waiting. Clones write to the same place.
#[derive(Debug, Clone)]
pub(crate) struct LogLines {
    lines: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Asks for a reply once all lines before it are written.
    Flush(SyncSender<()>),
}

// === impl LogLines ===

impl LogLines {
    /// Starts the thread that writes the lines.
    pub(crate) fn start(mut place: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(MAX_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write(&waiting, &mut place, &counted))?;
        Ok(Self { lines, lost })
    }

    /// Waits a moment until everything that was logged so far is written.
    pub(crate) fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (answer, written) = sync_channel(1);
        let mut flush = Message::Flush(answer);
        while let Err(error) = self.lines.try_send(flush) {
            match error {
                TrySendError::Full(message) if Instant::now() < deadline => flush = message,
                _ => return,
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Write for LogLines {
    /// Receives a whole line at a time from the subscriber.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines as they come, all waiting ones at once. Counts lines that cannot be written, and says so when
/// writing works again.
fn write(waiting: &Receiver<Message>, place: &mut impl Write, lost: &AtomicU64) {
    let mut text = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut count = 0;
        let mut flush = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => {
                    text.extend_from_slice(&line);
                    count += 1;
                }
                Message::Flush(answer) => flush = Some(answer),
            }
            let goes_on = flush.is_none() && text.len() < MAX_BYTES;
            next = goes_on.then(|| waiting.try_recv().ok()).flatten();
        }
        if count > 0 {
            write_lines(&text, count, place, lost);
        }
        text.clear();
        if let Some(answer) = flush {
            let _ = place.flush();
            let _ = answer.try_send(());
        }
        // A thread that waits for each line has to be woken for each, which costs more than to write it.
        thread::sleep(PAUSE);
    }
}

fn write_lines(text: &[u8], count: u64, place: &mut impl Write, lost: &AtomicU64) {
    if place.write_all(text).is_err() {
        lost.fetch_add(count, Ordering::Relaxed);
        return;
    }
    let number = lost.swap(0, Ordering::Relaxed);
    if number > 0 && writeln!(place, "{SERVICE}: {number} log lines were lost").is_err() {
        lost.fetch_add(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Refuses lines until it is told otherwise.
    #[derive(Clone, Default)]
    struct Place(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Place {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let mut place = self.0.lock().unwrap();
            if !place.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            place.1.extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_lost_and_counted() {
        let place = Place::default();
        let mut lines = LogLines::start(place.clone()).unwrap();
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"two\n").unwrap();
        LogLines::flush(&lines);
        place.0.lock().unwrap().0 = true;
        lines.write_all(b"three\n").unwrap();
        LogLines::flush(&lines);
        let text = String::from_utf8(place.0.lock().unwrap().1.clone()).unwrap();
        assert_eq!(text, format!("three\n{SERVICE}: 2 log lines were lost\n"));
    }
}
