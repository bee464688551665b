//! [`Waiting`]: the messages that wait for their time.

use std::collections::{BTreeMap, HashSet};

use tokio::time::Instant;

use super::Notification;
use super::postman::Written;

/// How many messages may wait. If there are more, the mail server has been down for a long time.
const QUEUE: usize = 1000;
/// How many of the messages that anybody can cause may wait for one recipient.
const PER_RECIPIENT: usize = 10;

/// A message, and its attempts so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) notification: Notification,
    /// The message of the previous attempt.
    pub(super) written: Option<Written>,
    /// The number of attempts.
    pub(super) tries: usize,
    /// Whether the service had begun to stop before this attempt.
    pub(super) is_last_try: bool,
}

/// Messages by the time at which they are due. A waiting message does not hold up others.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: BTreeMap<(Instant, u64), Entry>,
    /// The recipients to whom a message is being sent. Their next message waits for it, so that one
    /// recipient occupies at most one worker.
    busy: HashSet<String>,
    count: u64,
    pub(super) is_stopping: bool,
}

/// Why a message was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    TooManyForOne,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    Send(Box<Entry>),
    WaitUntil(Instant),
    /// Wait until there is something to do.
    Wait,
}

// === impl Waiting ===

impl Waiting {
    /// Adds a new message, which is due at once. If there is no room, it replaces the message that has
    /// failed most often.
    pub(super) fn add(&mut self, notification: Notification, now: Instant) -> Result<(), Refused> {
        if self.is_stopping {
            return Err(Refused::Full);
        }
        if notification.anybody_can_cause_it() {
            let waiting = self.entries.values().map(|entry| &entry.notification);
            let same = waiting.filter(|other| {
                other.anybody_can_cause_it() && other.recipient() == notification.recipient()
            });
            if same.count() >= PER_RECIPIENT {
                return Err(Refused::TooManyForOne);
            }
        }
        let entry = Entry {
            notification,
            written: None,
            tries: 0,
            is_last_try: false,
        };
        self.insert(entry, now)
    }

    /// Returns the first message that is due and can be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let free = |entry: &Entry| !self.busy.contains(entry.notification.recipient());
        let first = self.entries.iter().find(|(_, entry)| free(entry));
        let Some((&key, _)) = first else {
            return Next::Wait;
        };
        if key.0 > now {
            return Next::WaitUntil(key.0);
        }
        let Some(mut entry) = self.entries.remove(&key) else {
            return Next::Wait;
        };
        self.busy.insert(entry.notification.recipient().to_owned());
        entry.tries += 1;
        entry.is_last_try = self.is_stopping;
        Next::Send(Box::new(entry))
    }

    /// Ends an attempt. The recipient may get the next message.
    pub(super) fn is_over(&mut self, recipient: &str) {
        self.busy.remove(recipient);
    }

    /// Puts back a message that was not sent, until it is due again.
    pub(super) fn put_back(
        &mut self,
        entry: Entry,
        now: Instant,
        due: Instant,
    ) -> Result<(), Refused> {
        let due = if self.is_stopping { now } else { due };
        self.insert(entry, due)
    }

    /// Takes no more messages, and makes all of them due.
    pub(super) fn stop(&mut self, now: Instant) {
        self.is_stopping = true;
        let entries = std::mem::take(&mut self.entries);
        for ((_, number), entry) in entries {
            self.entries.insert((now, number), entry);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.busy.len()
    }

    fn insert(&mut self, entry: Entry, due: Instant) -> Result<(), Refused> {
        if self.entries.len() >= QUEUE {
            let most_tried = self
                .entries
                .iter()
                .max_by_key(|(key, entry)| (entry.tries, **key));
            let most_tried = most_tried.map(|(key, entry)| (*key, entry.tries));
            match most_tried {
                Some((key, tries)) if tries > entry.tries => {
                    if let Some(lost) = self.entries.remove(&key) {
                        let notification = lost.notification.kind();
                        tracing::error!(notification, tries, "given up: the outbox is full");
                    }
                }
                _ => return Err(Refused::Full),
            }
        }
        self.count += 1;
        self.entries.insert((due, self.count), entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::typed::Email;

    fn reset(number: usize) -> Notification {
        Notification::ResetPassword(Email::parse(&format!("user{number}@example.com")).unwrap())
    }

    fn notice(number: usize) -> Notification {
        Notification::PasswordChanged(Email::parse(&format!("user{number}@example.com")).unwrap())
    }

    /// Returns the message that is sent next.
    fn sent(waiting: &mut Waiting, now: Instant) -> Option<Entry> {
        match waiting.next(now) {
            Next::Send(entry) => Some(*entry),
            Next::WaitUntil(_) | Next::Wait => None,
        }
    }

    fn recipients(waiting: &mut Waiting, now: Instant) -> Vec<String> {
        let entries = std::iter::from_fn(|| sent(waiting, now));
        entries
            .map(|entry| entry.notification.recipient().to_owned())
            .collect()
    }

    #[test]
    fn a_deferred_message_does_not_delay_others_and_returns_later() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.add(reset(1), now).unwrap();
        waiting.add(reset(2), now).unwrap();
        let first = sent(&mut waiting, now).unwrap();
        waiting.is_over(first.notification.recipient());
        let due = now + Duration::from_secs(5);
        waiting.put_back(first, now, due).unwrap();
        waiting.add(reset(3), now).unwrap();
        let others = ["user2@example.com", "user3@example.com"];
        assert_eq!(recipients(&mut waiting, now), others);
        assert!(matches!(waiting.next(now), Next::WaitUntil(at) if at == due));
        let again = sent(&mut waiting, due).unwrap();
        assert_eq!(again.tries, 2);
    }

    #[test]
    fn one_recipient_uses_one_worker_and_few_places_in_the_queue() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for _ in 0..PER_RECIPIENT {
            waiting.add(reset(1), now).unwrap();
        }
        assert_eq!(waiting.add(reset(1), now), Err(Refused::TooManyForOne));
        // Messages that anybody can cause do not crowd out those that only the owner can.
        waiting.add(notice(1), now).unwrap();
        waiting.add(reset(2), now).unwrap();
        let both = ["user1@example.com", "user2@example.com"];
        assert_eq!(recipients(&mut waiting, now), both);
        waiting.is_over("user1@example.com");
        assert_eq!(recipients(&mut waiting, now), ["user1@example.com"]);
    }

    #[test]
    fn a_full_queue_drops_the_message_that_failed_most_often() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.add(reset(0), now).unwrap();
        let deferred = sent(&mut waiting, now).unwrap();
        waiting.is_over(deferred.notification.recipient());
        waiting.put_back(deferred, now, now).unwrap();
        for number in 1..QUEUE {
            waiting.add(reset(number), now).unwrap();
        }
        waiting.add(reset(QUEUE), now).unwrap();
        assert_eq!(waiting.add(reset(QUEUE + 1), now), Err(Refused::Full));
        let sent = recipients(&mut waiting, now);
        assert_eq!(sent.len(), QUEUE);
        assert!(!sent.contains(&"user0@example.com".to_owned()));
    }

    #[test]
    fn when_stopping_all_messages_are_due_and_new_ones_are_refused() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let later = now + Duration::from_secs(600);
        waiting.add(reset(1), now).unwrap();
        let entry = sent(&mut waiting, now).unwrap();
        assert!(!entry.is_last_try);
        waiting.is_over(entry.notification.recipient());
        waiting.put_back(entry, now, later).unwrap();
        waiting.stop(now);
        assert_eq!(waiting.add(reset(2), now), Err(Refused::Full));
        assert!(sent(&mut waiting, now).unwrap().is_last_try);
    }
}
