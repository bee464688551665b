//! [`LogLines`]: writes log lines to standard error, on a thread of its own.
//!
//! A log that cannot be written, because the disk is full or its reader has died or hangs, costs log lines and
//! nothing else: no request waits for it, and none fails.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::SERVICE;

/// How many bytes wait for a slow reader before further lines are lost: 1 MiB.
const MAX_WAITING: usize = 1024 * 1024;
/// How long lines are collected after others were written. A thread that waits for each line has to be woken for
/// each, which costs more than to write it.
const PAUSE: Duration = Duration::from_millis(2);
/// How long the end of the program waits until the last lines are written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines without waiting. Clones write to the same place.
#[derive(Debug, Clone)]
pub(crate) struct LogLines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Wakes the thread that writes.
    added: Condvar,
    /// Wakes those who wait for the thread to have nothing to do.
    written: Condvar,
}

/// The lines that wait, in one text. If each line were a text of its own, one thread would allocate it and another
/// would free it, and the allocator would make both wait.
#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    lines: u64,
    /// Lines that could not be written, or for which there was no room.
    lost: u64,
    /// Whether the thread has nothing to do.
    is_idle: bool,
}

// === impl LogLines ===

impl LogLines {
    /// Starts the thread that writes the lines.
    pub(crate) fn start(mut place: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let lines = Self {
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || shared.write_to(&mut place))?;
        Ok(lines)
    }

    /// Waits until what was logged so far is written, for at most [`PATIENCE`].
    pub(crate) fn flush(&self) {
        let is_busy = |waiting: &mut Waiting| !waiting.is_idle || !waiting.text.is_empty();
        let waiting = self.shared.waiting();
        let _ = self
            .shared
            .written
            .wait_timeout_while(waiting, PATIENCE, is_busy);
    }
}

impl Write for LogLines {
    /// Takes a whole line at a time, as the subscriber writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting();
        if waiting.text.len() + line.len() > MAX_WAITING {
            waiting.lost += 1;
            return Ok(line.len());
        }
        waiting.text.extend_from_slice(line);
        waiting.lines += 1;
        if mem::take(&mut waiting.is_idle) {
            self.shared.added.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines as they come, all that wait at once. Counts lines that cannot be written, and says so when
    /// writing works again.
    fn write_to(&self, place: &mut impl Write) {
        let mut text = Vec::new();
        loop {
            let lines = self.take(&mut text);
            let is_written = place.write_all(&text).is_ok();
            text.clear();
            if is_written {
                self.tell_lost(place);
            } else {
                self.waiting().lost += lines;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for lines, puts them into `text`, and returns how many they are.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting();
        while waiting.text.is_empty() {
            waiting.is_idle = true;
            self.written.notify_all();
            let woken = self.added.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_idle = false;
        mem::swap(&mut waiting.text, text);
        mem::take(&mut waiting.lines)
    }

    fn tell_lost(&self, place: &mut impl Write) {
        let lost = mem::take(&mut self.waiting().lost);
        if lost > 0 && writeln!(place, "{SERVICE}: {lost} log lines were lost").is_err() {
            self.waiting().lost += lost;
        }
    }
}

#[cfg(test)]
mod tests {
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
