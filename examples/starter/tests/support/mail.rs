//! The emails in a user's mailbox.

use std::fs;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) head: String,
    pub(crate) text: String,
}

// === impl Letter ===

impl Letter {
    /// Parses an email in its format on the wire.
    pub(crate) fn read(message: &str) -> Self {
        let (head, text) = message.split_once("\r\n\r\n").unwrap();
        // Whoever opens the file finds each link on one line.
        assert!(head.contains("Content-Transfer-Encoding: 7bit"), "{head}");
        let links = text.lines().filter(|line| line.starts_with("http"));
        assert!(links.count() <= 1, "{text}");
        let paragraphs = text.lines().filter(|line| !line.starts_with("http"));
        assert!(
            paragraphs.into_iter().all(|line| line.len() <= 78),
            "{text}"
        );
        Self {
            head: head.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Returns all emails to this address, in the order in which they were written.
    pub(crate) fn all(folder: &Path, to: &str) -> Vec<Self> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.retain(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".eml") && !name.starts_with('.')
        });
        files.sort();
        let letters = files
            .iter()
            .map(|path| Self::read(&fs::read_to_string(path).unwrap()));
        let to = format!("To: {to}\r\n");
        letters.filter(|letter| letter.head.contains(&to)).collect()
    }

    /// Waits for this many emails to this address, as a user would, and returns the last one.
    pub(crate) async fn wait(folder: &Path, to: &str, count: usize) -> Self {
        for _ in 0..2000 {
            let mut all = Self::all(folder, to);
            if all.len() >= count {
                assert_eq!(all.len(), count, "{all:?}");
                return all.pop().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no email {count} to {to}: {:?}", Self::all(folder, to));
    }

    /// Returns the secret in the link.
    pub(crate) fn token(&self, purpose: &str) -> String {
        let link = format!("https://app.test/#{purpose}=");
        let (_, rest) = self.text.split_once(&link).expect(&self.text);
        rest.split_whitespace().next().unwrap().to_owned()
    }
}
